"""One long text in a flat JSON object, such as a picture in base64: taken out before the object is read as JSON.

A text of megabytes takes a JSON reader a tenth of a second and more in one call, in which nobody else is answered. Here
it is looked through in pieces, and what is left of the object is short.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pydantic_core import from_json

from services.api.inputs.flat_json import NEXT, OPENING, NotFlat

# What is longer is taken out; so much of it stays in its place.
LONG_BYTES = 1024
# What lies between two texts, which is a number or a word and some space, may be no longer.
GAP_BYTES = 1024
PIECE_BYTES = 256 * 1024
QUOTE, ESCAPE, END = b'"', b"\\", b"}"
# Whole characters only, so that no escape is cut in two.
CHARACTERS = re.compile(rb'(?:[^"\\]++|\\u[0-9a-fA-F]{4}|\\[^u])*+', re.DOTALL)


class Shortened(NamedTuple):
    """One object or an array of them, without long texts.

    Attributes:
        body: The same, with the beginning of each long text in the place of the text.
        texts: Where the long text of each object is in what it was found in; None: it has none.
    """

    body: bytes
    texts: list[slice | None]


class _Object(NamedTuple):
    parts: list[bytes]
    text: slice | None
    end: int


def shorten(body: bytes, most_objects: int, most_fields: int) -> Shortened:
    """Takes long texts out of one object, or out of an array of them.

    Args:
        body: What was sent.
        most_objects: What comes after one more than so many is left out.
        most_fields: How many fields an object may have.

    Raises:
        NotFlat: There is something else than flat objects with at most one long text each.
    """
    opening = OPENING.match(body, 0, GAP_BYTES)
    place = opening.end() if opening else 0
    parts = [body[:place]]
    texts: list[slice | None] = []
    while len(texts) <= most_objects:
        found = _shorten_one(body, place, most_fields)
        parts += found.parts
        texts.append(found.text)
        between = NEXT.match(body, found.end, found.end + GAP_BYTES)
        if between is None:
            if len(body) > found.end + GAP_BYTES:
                raise NotFlat
            return Shortened(b"".join([*parts, body[found.end :]]), texts)
        parts.append(between[0])
        place = between.end()
    return Shortened(b"".join([*parts[:-1], b"]"]), texts)


def _shorten_one(body: bytes, start: int, most_fields: int) -> _Object:
    parts: list[bytes] = []
    text: slice | None = None
    # A name and perhaps a text for each, and the end.
    for _ in range(2 * most_fields + 1):
        quote = body.find(QUOTE, start, start + GAP_BYTES)
        end = body.find(END, start, quote if quote >= 0 else start + GAP_BYTES)
        if end >= 0:
            return _Object([*parts, body[start : end + 1]], text, end + 1)
        after = _after_text(body, quote) if quote >= 0 else -1
        is_long = after - quote > LONG_BYTES
        if after < 0 or (is_long and text):
            raise NotFlat
        if is_long:
            text = slice(quote + 1, after - 1)
        parts.append(body[start : quote + 1] + beginning(body, quote + 1) + QUOTE if is_long else body[start:after])
        start = after
    raise NotFlat


def beginning(body: bytes, start: int) -> bytes:
    """What stays in the place of the long text that begins there."""
    whole = body[start : _characters(body, start, start + LONG_BYTES)]
    return whole.decode(errors="ignore").encode()


def read_text(body: bytes, text: slice) -> Iterator[bytes]:
    """A text of JSON as it is meant, in pieces.

    Raises:
        ValueError: An escape in it means nothing.
    """
    if body.find(ESCAPE, text.start, text.stop) < 0:
        yield body[text]
        return
    start = text.start
    while start < text.stop:
        end = _characters(body, start, min(start + PIECE_BYTES, text.stop))
        yield str(from_json(b'"%b"' % body[start:end])).encode()
        start = end


def _after_text(body: bytes, quote: int) -> int:
    """Where the text that begins with a quote has ended; -1: it does not end."""
    end = body.find(QUOTE, quote + 1)
    if end < 0 or body.find(ESCAPE, quote + 1, end) < 0:
        return end + 1 or -1
    place, before = quote + 1, quote
    while place > before:
        place, before = _characters(body, place, place + PIECE_BYTES), place
    return place + 1 if body[place : place + 1] == QUOTE else -1


def _characters(body: bytes, start: int, end: int) -> int:
    found = CHARACTERS.match(body, start, end)
    return found.end() if found else start
