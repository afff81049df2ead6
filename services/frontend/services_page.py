"""The page with how the platform is: its services, and what the API serves."""

from collections.abc import Callable, Sequence
from functools import partial
from html import escape

import streamlit as st

from services.frontend.asking import Api, ApiTrouble
from services.frontend.choice import show_unreachable
from services.frontend.said import Service, UseCaseHealth

COLUMNS = 3
REFRESH_SECONDS = 15


def show_services_page(api: Api) -> None:
    """Draws the page."""
    st.title("Platform", anchor=False)
    st.html('<p class="my-lead">What Modelyard is made of, where to find it, and whether it works.</p>')
    _show_now(api)


@st.fragment(run_every=REFRESH_SECONDS)
def _show_now(api: Api) -> None:
    try:
        said, health, info = api.services(), api.health(), api.info()
    except ApiTrouble as trouble:
        show_unreachable(trouble)
        return
    st.subheader("Services", anchor=False)
    if not said.services:
        st.info("No services are listed: whoever starts the API says with PLATFORM_SERVICES what there is.")
    _in_columns([partial(_show_service, service) for service in said.services], "services")
    st.subheader("Models", anchor=False)
    models = [partial(_show_model, info.title_of(name), state) for name, state in health.use_cases.items()]
    _in_columns(models, "models")
    for broken in said.broken_use_cases:
        # As code: its words are a file's, and no markup.
        st.error("This file cannot be used as a use case:", icon=":material/error:")
        st.code(f"{broken.place}: {broken.reason}", language=None, wrap_lines=True)


def _in_columns(cards: Sequence[Callable[[], None]], what: str) -> None:
    for first in range(0, len(cards), COLUMNS):
        for column, position in zip(st.columns(COLUMNS), range(first, len(cards)), strict=False):
            with column, st.container(border=True, height="stretch", key=f"card-{what}-{position}"):
                cards[position]()


def _show_service(service: Service) -> None:
    st.html(_head(service.name, "" if service.healthy else "my-bad", service.detail) + _text(service.purpose))
    if service.link:
        st.link_button(f"Open {service.name}", service.link, icon=":material/open_in_new:")


def _show_model(title: str, state: UseCaseHealth) -> None:
    version = f"version {state.model_version}" if state.model_version else "no version"
    challenger = _text(f"Challenger: {state.shadow.detail}") if state.shadow else ""
    st.html(_head(title, _mark(state), version) + _text(state.detail) + challenger)


def _mark(state: UseCaseHealth) -> str:
    if state.self_test == "failed":
        return "my-bad"
    return "" if state.model_version else "my-wait"


def _head(name: str, mark: str, words: str) -> str:
    return (
        f'<div class="my-card-head"><span class="my-dot {mark}"></span>{escape(name)}'
        f'<span class="my-state">{escape(words)}</span></div>'
    )


def _text(words: str) -> str:
    return f'<div class="my-card-text">{escape(words[:1].upper() + words[1:])}</div>'
