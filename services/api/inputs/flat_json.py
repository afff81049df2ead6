"""Flat JSON objects in a body, found before anything of it is read: how much is read in one call has a bound then.

Reading JSON holds the interpreter until it is done, and makes of one byte some hundred: nobody else is answered
meanwhile, in whichever thread it is. A record is an object without arrays and objects in it, so where it ends can be
told without reading it.
"""

import re
from collections.abc import Iterator

from pydantic_core import from_json, to_json

# So much is read in one call, and more only of one record that is longer.
PIECE_BYTES = 32 * 1024
MOST_AT_ONCE = 512
# What is no flat object is still read, as far as its problems can be named, up to this size.
READABLE_BYTES = 64 * 1024
# An object of so few bytes has no need of a second look.
SMALL_BYTES = 4096
SPACE = rb"[ \t\n\r]*+"
TEXT = rb'"(?:[^"\\]*+"|[^"\\]*+(?:\\.[^"\\]*+)++")'
BARE = rb'[^ \t\n\r,\[\]{}"]++'
OPENING = re.compile(SPACE + rb"\[" + SPACE)
NEXT = re.compile(SPACE + rb"," + SPACE)
CLOSING = re.compile(SPACE + rb"\]" + SPACE)


class NotFlat(Exception):
    """What comes next is no flat object of the size and with as many fields as one may have."""


class FlatObjects:
    """Finds flat objects.

    Args:
        most_fields: How many fields one may have.
        largest_bytes: How long one may be.
    """

    def __init__(self, most_fields: int, largest_bytes: int) -> None:
        self._largest_bytes = largest_bytes
        # A name and perhaps a text for each.
        one = rb'\{[^{}\[\]"]*+(?:%b[^{}\[\]"]*+){0,%d}+\}' % (TEXT, 2 * most_fields)
        # What can only be a mistake is let through where it is short: it is named when it is read.
        element = rb"(?:%b|%b|%b)" % (one, TEXT, BARE)
        self._alone = re.compile(SPACE + one + SPACE, re.DOTALL)
        self._one = re.compile(one, re.DOTALL)
        more = rb"(?:%b%b){0,%d}+" % (NEXT.pattern, element, MOST_AT_ONCE - 1)
        self._some = re.compile(element + more, re.DOTALL)

    def is_one(self, body: bytes) -> bool:
        """Whether a body is a flat object; short ones that are need hardly any time."""
        if len(body) <= SMALL_BYTES and b"[" not in body and body.count(b"{") == 1:
            return True
        return len(body) <= self._largest_bytes and self._alone.fullmatch(body) is not None

    def split(self, body: bytes) -> Iterator[bytes]:
        """An array of flat objects as some arrays, each short enough to be read in one call.

        Args:
            body: The array.

        Raises:
            NotFlat: There is something else where an object should be.
        """
        place = _pass(OPENING, body, 0)
        if _ends(body, place):
            return
        while True:
            end = self._end(body, place)
            yield b"[%b]" % body[place:end]
            if _ends(body, end):
                return
            place = _pass(NEXT, body, end)

    def _end(self, body: bytes, place: int) -> int:
        if end := _end_of_plain(body, place):
            return end
        found = self._some.match(body, place, place + PIECE_BYTES)
        if found is None:
            found = self._one.match(body, place, place + self._largest_bytes)
        if found is None:
            raise NotFlat
        return found.end()


def without_depth(body: bytes, depth: int) -> bytes:
    """A short body with nothing in the arrays and objects that are deeper than allowed: what is wrong is the same.

    Args:
        body: JSON; what is none is returned as it is.
        depth: Of a record 1, of an array of records 2.

    Raises:
        NotFlat: It is too long for that.
    """
    if len(body) > READABLE_BYTES:
        raise NotFlat
    try:
        value = from_json(body)
    except ValueError:
        return body
    return to_json(_emptied(value, depth))


def _end_of_plain(body: bytes, place: int) -> int:
    """Where some objects end that are written as programs mostly do; 0: they are not, or that cannot be told so fast.

    With an even number of quotes and no escape it ends outside of a text. An object in another one would have a bracket
    that does not follow another object's end, whatever brackets there are in texts.
    """
    end = body.rfind(b"}", place, place + PIECE_BYTES) + 1
    piece = body[place:end]
    objects = piece.count(b"{")
    follow = max(piece.count(b"},{"), piece.count(b"}, {"))
    is_plain = piece.startswith(b"{") and objects == follow + 1 and objects <= MOST_AT_ONCE
    return end if is_plain and piece.count(b'"') % 2 == 0 and b"[" not in piece and b"\\" not in piece else 0


def _emptied(value: object, depth: int) -> object:
    match value:
        case dict():
            return {name: _emptied(each, depth - 1) for name, each in value.items()} if depth else {}
        case list():
            return [_emptied(each, depth - 1) for each in value] if depth else []
        case _:
            return value


def _pass(pattern: re.Pattern[bytes], body: bytes, place: int) -> int:
    found = pattern.match(body, place, place + PIECE_BYTES)
    if found is None:
        raise NotFlat
    return found.end()


def _ends(body: bytes, place: int) -> bool:
    found = CLOSING.match(body, place, place + PIECE_BYTES)
    return found is not None and found.end() == len(body)
