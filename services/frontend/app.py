"""The frontend: put together here. Streamlit runs this file anew whenever somebody does something."""

from functools import partial
from pathlib import Path

import streamlit as st

from modelyard.hosts import reachable_url
from modelyard.settings import read_settings
from services.frontend.asking import Api
from services.frontend.fields import FIELD
from services.frontend.history_page import show_history_page
from services.frontend.predict_page import show_predict_page
from services.frontend.services_page import show_services_page

ASSETS = Path(__file__).with_name("assets")


@st.cache_resource(on_release=Api.close)
def connected() -> Api:
    """The API, one connection pool for everybody who looks."""
    settings = read_settings()
    return Api(settings.api_url or f"{reachable_url(settings.bind_address)}:{settings.api_port}", settings.api_key)


def main() -> None:
    """Draws the page that was asked for."""
    st.set_page_config("Modelyard", page_icon=str(ASSETS / "icon.svg"), layout="wide")
    st.logo(str(ASSETS / "logo.svg"), size="large")
    st.html(ASSETS / "style.css")
    _keep_what_is_filled_in()
    api = connected()
    pages = [
        _page(partial(show_predict_page, api), "Predict", "predict", ":material/bolt:", default=True),
        _page(partial(show_history_page, api), "Last predictions", "predictions", ":material/history:"),
        _page(partial(show_services_page, api), "Platform", "platform", ":material/hub:"),
    ]
    st.navigation(pages, position="top").run()


def _page(show: partial[None], title: str, path: str, icon: str, *, default: bool = False) -> st.Page:
    return st.Page(show, title=title, url_path=path, icon=icon, default=default)


def _keep_what_is_filled_in() -> None:
    # Streamlit forgets a field that is not drawn, as while another page is looked at.
    for key in st.session_state:
        if str(key).startswith(FIELD):
            st.session_state[key] = st.session_state[key]


main()
