"""The use case that is looked at: chosen once, kept from page to page, and part of the page's address."""

import streamlit as st

from services.frontend.asking import Api, ApiTrouble
from services.frontend.said import Health, Info, UseCase, spaced

CHOSEN = "use_case"


def choose(api: Api) -> tuple[str, str, UseCase] | None:
    """Draws the choice; the use case's name, title and contract. None: there is none, which is said on the page."""
    try:
        info = api.info()
    except ApiTrouble as trouble:
        st.title("The API has no answer", anchor=False)
        show_unreachable(trouble)
        return None
    if not info.use_cases:
        _show_no_model(api)
        return None
    name = _chosen(info)
    return name, info.title_of(name), info.use_cases[name]


def show_unreachable(trouble: ApiTrouble) -> None:
    """Draws why a page has nothing to show, in place of it."""
    for words in trouble.sentences:
        st.error(words, icon=":material/cloud_off:")
    st.button("Look again", icon=":material/refresh:")


def _chosen(info: Info) -> str:
    names = sorted(info.use_cases, key=info.title_of)
    asked = st.query_params.get(CHOSEN)
    if asked and asked not in names:
        st.warning(f"No version of {asked} answers. What follows is another use case.", icon=":material/search_off:")
    wanted = st.session_state.get(CHOSEN) or asked
    known = wanted if wanted in names else info.default_use_case
    with st.container(key="choice"):
        name: str = st.selectbox(
            "Use case",
            names,
            index=names.index(known) if known in names else 0,
            format_func=info.title_of,
            width=360,
        )
    st.session_state[CHOSEN] = name
    st.query_params[CHOSEN] = name
    return name


def _show_no_model(api: Api) -> None:
    st.title("No model answers yet", anchor=False)
    st.html('<p class="my-lead">A model gets here when it has been trained and has passed the gate.</p>')
    with st.container(border=True):
        st.markdown(
            "**What to do**\n\n"
            "1. Run `make demo`, or start `load_raw_data` of a use case in Airflow: the rest follows by itself.\n"
            "2. Or bring a table of your own: `modelyard new NAME --from FILE.csv --target COLUMN`.\n"
            "3. When the gate has let a version pass, it is here a few seconds later."
        )
        st.button("Look again", icon=":material/refresh:", type="primary")
    try:
        _show_states(api.health())
    except ApiTrouble as trouble:
        for words in trouble.sentences:
            st.error(words)


def _show_states(health: Health) -> None:
    lines = [f"- **{spaced(name)}**: {state.detail}" for name, state in health.use_cases.items()]
    if lines:
        st.markdown("\n".join(["How far the models are:", "", *lines]))
