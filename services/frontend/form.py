"""A form for the records of a use case, made from its contract."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from services.frontend.fields import fitting, label, show_field, state_key
from services.frontend.picture import show_picture
from services.frontend.said import Field, Record, UseCase, Value

COLUMNS = 2
PICTURES = ["jpg", "jpeg", "png", "webp"]


class Filled(NamedTuple):
    """A form that was sent.

    Attributes:
        record: What was filled in.
        picture: The picture in it, if there is one.
    """

    record: Record
    picture: bytes | None = None


def show_form(name: str, use_case: UseCase) -> Filled | None:
    """Draws the form of a use case; what was filled in, when it was sent just now."""
    _start_with_example(name, use_case)
    with st.container(horizontal=True):
        st.button("Fill in the example", icon=":material/edit_note:", on_click=_fill, args=(name, use_case, True))
        st.button("Clear", icon=":material/backspace:", on_click=_fill, args=(name, use_case, False))
    return _show_picture_form(name, use_case) if use_case.picture else _show_record_form(name, use_case)


def _start_with_example(name: str, use_case: UseCase) -> None:
    if any(state_key(name, field) not in st.session_state for field in _fields(use_case)):
        _fill(name, use_case, example=True, keep=True)


def _fill(name: str, use_case: UseCase, example: bool, keep: bool = False) -> None:
    for field in _fields(use_case):
        key = state_key(name, field)
        if not (keep and key in st.session_state):
            value = fitting(field, use_case.example.get(field.name)) if example else None
            st.session_state[key] = value if value is not None or _can_be_none(field) else ""
    st.session_state.pop(outcome_key(name), None)
    st.session_state[_example_key(name)] = example
    st.session_state[_turn_key(name)] = _turn(name) + 1


def _fields(use_case: UseCase) -> list[Field]:
    return [field for field in use_case.features if field.type != "image"]


def _can_be_none(field: Field) -> bool:
    """Whether its widget takes None: a plain line of text does not."""
    return field.type != "category" or bool(field.categories or field.known)


def _show_record_form(name: str, use_case: UseCase) -> Filled | None:
    with st.form(f"form.{name}", border=True):
        record = _show_fields(name, use_case.features)
        key = _show_key(name, use_case)
        sent = st.form_submit_button("Predict", type="primary", icon=":material/play_arrow:", width="stretch")
    if not sent:
        return None
    return Filled({field: value for field, value in (record | key).items() if value is not None})


def _show_fields(name: str, fields: Sequence[Field]) -> Record:
    """Row by row, so that the order of the contract is that of the tab key and of a narrow page."""
    record: Record = {}
    for first in range(0, len(fields), COLUMNS):
        for column, field in zip(st.columns(COLUMNS), fields[first : first + COLUMNS], strict=False):
            with column:
                record[field.name] = show_field(field, state_key(name, field))
    return record


def _show_picture_form(name: str, use_case: UseCase) -> Filled | None:
    field = use_case.picture
    if field is None:
        return None
    with st.form(f"form.{name}", border=True):
        # Another one at each turn: what was uploaded cannot be taken out of it otherwise.
        place = f"{name}.picture.{_turn(name)}"
        file = st.file_uploader(label(field), type=PICTURES, help=field.help or None, key=place)
        key = _show_key(name, use_case)
        sent = st.form_submit_button("Predict", type="primary", icon=":material/play_arrow:", width="stretch")
    picture = file.getvalue() if file else _example_picture(name, use_case, field)
    if picture is not None:
        st.caption(file.name if file else "The example")
        show_picture(picture)
    if not sent:
        return None
    text = None if picture is None else base64.b64encode(picture).decode()
    record: Record = {} if text is None else {field.name: text}
    return Filled(record | {name: value for name, value in key.items() if value is not None}, picture)


def _example_picture(name: str, use_case: UseCase, field: Field) -> bytes | None:
    text = use_case.example.get(field.name)
    if not st.session_state.get(_example_key(name), True) or not isinstance(text, str):
        return None
    return base64.b64decode(text)


def outcome_key(name: str) -> str:
    """Where it is kept what came of the form that was sent last."""
    return f"outcome.{name}"


def _example_key(name: str) -> str:
    return f"{name}.example"


def _turn_key(name: str) -> str:
    return f"{name}.turn"


def _turn(name: str) -> int:
    """How often the form was filled in or cleared by a button."""
    return int(st.session_state.get(_turn_key(name), 0))


def _show_key(name: str, use_case: UseCase) -> dict[str, Value]:
    if use_case.key is None:
        return {}
    with st.expander("Name this record"):
        key = st.text_input(
            f"Record key ({use_case.key})",
            key=f"{name}.key",
            help="Kept with the prediction, so that its outcome can be joined later. Never used to predict.",
        )
    return {use_case.key: key.strip() or None}
