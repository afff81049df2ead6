"""A picture on the page. The browser decodes it, never this process: a file may claim to hold gigabytes."""

import base64

import streamlit as st

BEGINNINGS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"RIFF": "image/webp"}


def show_picture(content: bytes) -> None:
    """Draws a picture; a file that is none is left to what the API says of it."""
    kind = next((kind for beginning, kind in BEGINNINGS.items() if content.startswith(beginning)), None)
    if kind is not None:
        text = base64.b64encode(content).decode()
        st.html(f'<img class="my-picture" alt="The picture that is asked about" src="data:{kind};base64,{text}">')
