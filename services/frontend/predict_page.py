"""The page with the form and the answer."""

from html import escape

import streamlit as st

from services.frontend.answers import show_answer, show_nothing_yet, with_title
from services.frontend.asking import Api, ApiTrouble, sentence
from services.frontend.choice import choose
from services.frontend.form import Filled, outcome_key, show_form
from services.frontend.said import Answer, UseCase


def show_predict_page(api: Api) -> None:
    """Draws the page."""
    chosen = choose(api)
    if chosen is None:
        return
    name, title, use_case = chosen
    _show_head(title, use_case)
    left, right = st.columns([3, 2], gap="large")
    with left:
        filled = show_form(name, use_case)
    with right, st.container(key="outcome"):
        if filled is not None:
            _ask(api, name, filled)
        _show_outcome(name, use_case)


def _show_head(title: str, use_case: UseCase) -> None:
    st.title(title, anchor=False)
    since = f"{use_case.loaded_at:%d %b %Y, %H:%M} UTC"
    chips = [f"Model version <b>{use_case.model_version}</b>", f"loaded <b>{since}</b>"]
    if use_case.threshold is not None:
        chips.append(f"threshold <b>{use_case.threshold * 100:.1f} %</b>")
    shown = "".join(f'<span class="my-chip">{chip}</span>' for chip in chips)
    st.html(f'<p class="my-lead">{escape(use_case.description)}</p><div class="my-chips">{shown}</div>')


def _ask(api: Api, name: str, filled: Filled) -> None:
    """Asks for an answer and keeps what came of it, so that it stays while the page is drawn again."""
    try:
        with st.spinner("Asking the model"):
            st.session_state[outcome_key(name)] = (filled, api.predict(name, filled.record))
    except ApiTrouble as trouble:
        st.session_state[outcome_key(name)] = (filled, trouble)


def _show_outcome(name: str, use_case: UseCase) -> None:
    filled, outcome = st.session_state.get(outcome_key(name), (None, None))
    if isinstance(outcome, Answer):
        show_answer(name, use_case, filled, outcome)
    elif isinstance(outcome, ApiTrouble):
        show_trouble(outcome, use_case)
    else:
        show_nothing_yet()


def show_trouble(trouble: ApiTrouble, use_case: UseCase) -> None:
    """Draws why there is no answer: what is wrong with which field, in sentences."""
    for words in trouble.sentences:
        st.error(words, icon=":material/error:")
    if trouble.fields:
        lines = [f"- {_of_field(use_case, name, words)}" for name, words in trouble.fields.items()]
        st.error("\n".join(["There is no answer yet:", "", *lines]), icon=":material/error:")


def _of_field(use_case: UseCase, name: str, words: str) -> str:
    return with_title(
        use_case, f"{name}: {sentence(words.removeprefix(name).strip().replace(', or null', ', or left empty'))}"
    )
