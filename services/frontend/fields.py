"""From a field of a contract to what a person fills in, and back to a value."""

import math
import zlib
from collections.abc import Callable, Sequence

import streamlit as st

from services.frontend.said import Field, Range, Value, number

# What is filled in is kept under names that begin with this.
FIELD = "field:"
UNKNOWN = "not known"
# Beyond it, a browser does not tell all whole numbers apart.
LARGEST_INTEGER = 2**53 - 1
LARGEST_NUMBER = 3.4e38
# A click on plus or minus moves a number by about so much of what the model has seen.
STEPS = 100
TRUTH = {True: "Yes", False: "No", None: "Not known"}


def state_key(use_case: str, field: Field) -> str:
    """Where a field's value is kept: another place when the field becomes another one."""
    identity = zlib.crc32(repr((field.type, field.valid, field.categories, field.nullable)).encode())
    return f"{FIELD}{use_case}.{field.name}.{identity:08x}"


def show_field(field: Field, key: str) -> Value:
    """Draws a field; what a person has filled in, None while it is empty."""
    return DRAWN[field.type](field, key)


def fitting(field: Field, value: Value) -> Value:
    """A value as the field's widget takes it; None when it cannot be in it."""
    if value is None:
        return None
    if field.type == "boolean":
        return bool(value)
    if field.type == "category":
        return str(value) if not field.categories or value in field.categories else None
    if isinstance(value, str) or abs(value) > (LARGEST_INTEGER if field.type == "integer" else LARGEST_NUMBER):
        return None
    return int(value) if field.type == "integer" else float(value)


def label(field: Field) -> str:
    """A field's title with its unit."""
    return f"{field.title} ({field.unit})" if field.unit else field.title


def hint(field: Field) -> str:
    """What a person needs to know of a field."""
    is_seen = field.seen.minimum is not None and field.type != "boolean"
    seen = f"The model was trained on {range_in_words(field.seen)}." if is_seen else ""
    valid = f"Can be {range_in_words(field.valid)}." if field.valid != Range() else ""
    unknown = "Leave it empty when it is not known." if field.nullable and field.type != "boolean" else ""
    return "\n\n".join(part for part in (field.help, valid, seen, unknown) if part)


def range_in_words(limits: Range) -> str:
    """From where to where."""
    if limits.minimum is None:
        return "anything" if limits.maximum is None else f"at most {number(limits.maximum)}"
    if limits.maximum is None:
        return f"at least {number(limits.minimum)}"
    return f"{number(limits.minimum)} to {number(limits.maximum)}"


def _show_number(field: Field, key: str) -> Value:
    whole = field.type == "integer"
    kind: type[int] | type[float] = int if whole else float
    # No limits: the widget would refuse what is outside without a word. The API says what is wrong.
    value: Value = st.number_input(
        label(field),
        key=key,
        value=None,
        step=kind(_step(field)),
        format="%d" if whole else "%g",
        help=hint(field),
        placeholder=UNKNOWN if field.nullable else "",
    )
    return value


def _show_truth(field: Field, key: str) -> Value:
    options = [True, False, None] if field.nullable else [True, False]
    value: Value = st.radio(
        label(field), options, key=key, format_func=TRUTH.__getitem__, help=hint(field), horizontal=True, index=None
    )
    return value


def _show_category(field: Field, key: str) -> Value:
    options: Sequence[str] = field.categories or field.known
    if not options:
        return (
            st.text_input(label(field), key=key, help=hint(field), placeholder=UNKNOWN if field.nullable else "")
            or None
        )
    chosen = st.session_state.get(key)
    if not field.categories and isinstance(chosen, str) and chosen not in options:
        options = [chosen, *options]
    value: Value = st.selectbox(
        label(field),
        options,
        key=key,
        index=None,
        help=hint(field),
        placeholder=UNKNOWN if field.nullable else "choose",
        accept_new_options=not field.categories,
    )
    return value


def _step(field: Field) -> float:
    if field.seen.minimum is None or field.seen.maximum is None or field.seen.maximum <= field.seen.minimum:
        return 1
    exponent = math.floor(math.log10((field.seen.maximum - field.seen.minimum) / STEPS * 2))
    step = float(f"1e{exponent}")
    return max(step, 1) if field.type == "integer" else step


DRAWN: dict[str, Callable[[Field, str], Value]] = {
    "number": _show_number,
    "integer": _show_number,
    "boolean": _show_truth,
    "category": _show_category,
}
