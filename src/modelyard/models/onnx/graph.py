"""What a compiled model's graph may be made of, read from its bytes without a library of graphs.

A graph that goes over its records and ends takes a time that follows from how many they are. Whoever writes graphs can
also have them turn in circles, for certain records only; no proof on an example would show that. So what decides while
it runs how often something is done is refused.
"""

from collections.abc import Iterator
from typing import NamedTuple

from modelyard.errors import UnusableModel

# The standard's operators, and its operators of classical models. Others may do anything.
DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
# They have graphs of their own inside.
ENDLESS = {"If", "Loop", "SequenceMap"}
# Goes over its input once, so nearest neighbours are compiled to it. Inside another one, the times would multiply.
ONCE_OVER = "Scan"

# Numbers of fields, of ONNX's definition in protobuf.
MODEL_GRAPH, MODEL_FUNCTION = 7, 25
GRAPH_NODE = 1
NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS = 6, 11

VARINT, EIGHT_BYTES, DELIMITED, FOUR_BYTES = 0, 1, 2, 5
MOST_VARINT_BYTES = 10


class _Refused(Exception):
    """Why, as the rest of a sentence about the graph."""


class _Field(NamedTuple):
    number: int
    content: memoryview


def check_graph(content: bytes, name: str) -> None:
    """Returns when a compiled model holds nothing but operators that come to an end.

    Args:
        content: The model.
        name: Of its file.

    Raises:
        UnusableModel: It holds others, or is no compiled model; the message says which.
    """
    try:
        for field in _fields(memoryview(content)):
            if field.number == MODEL_FUNCTION:
                raise _Refused("defines functions of its own, which compiled models do not need")
            if field.number == MODEL_GRAPH:
                _check_nodes(field.content, allowed={ONCE_OVER})
    except _Refused as error:
        raise UnusableModel(f"{name}: the graph {error}") from error
    except (IndexError, ValueError) as error:
        raise UnusableModel(f"{name} is not a model that onnxruntime can read: {error}") from error


def _check_nodes(graph: memoryview, allowed: set[str]) -> None:
    for node in _of_number(_fields(graph), GRAPH_NODE):
        fields = list(_fields(node))
        operators = {bytes(each).decode() for each in _of_number(fields, NODE_OPERATOR)}
        domains = {bytes(each).decode() for each in _of_number(fields, NODE_DOMAIN)}
        if foreign := domains - DOMAINS:
            raise _Refused(f"has operators of {_named(foreign)}, which are not the standard's")
        if refused := operators & (ENDLESS | {ONCE_OVER}) - allowed:
            raise _Refused(f"has the operator {_named(refused)}, which need not come to an end")
        # Only there: to look through the attributes of trees would take as long as to load them.
        if ONCE_OVER in operators:
            for attribute in _of_number(fields, NODE_ATTRIBUTE):
                _check_inner(attribute)


def _check_inner(attribute: memoryview) -> None:
    for field in _fields(attribute):
        if field.number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
            _check_nodes(field.content, allowed=set())


def _named(names: set[str]) -> str:
    return ", ".join(repr(name[:40]) for name in sorted(names))


def _of_number(fields: Iterator[_Field] | list[_Field], number: int) -> Iterator[memoryview]:
    return (field.content for field in fields if field.number == number)


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields of a message that hold bytes, text or messages; others are skipped."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        length = 0
        match key & 7:
            case kind if kind == VARINT:
                _, place = _varint(message, place)
            case kind if kind == DELIMITED:
                length, place = _varint(message, place)
            case kind if kind in (EIGHT_BYTES, FOUR_BYTES):
                place += 8 if kind == EIGHT_BYTES else 4
            case kind:
                raise ValueError(f"a field has the unknown kind {kind}")
        if place + length > len(message):
            raise ValueError("it ends too early")
        if key & 7 == DELIMITED:
            yield _Field(key >> 3, message[place : place + length])
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(MOST_VARINT_BYTES):
        byte = message[place + shift]
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, place + shift + 1
    raise ValueError("a number in it has no end")
