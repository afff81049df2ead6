"""Picture files become pixels, the same way for training and for the API: checked, turned upright, converted, resized.

What a file is, its content says and not its name. What can be shown faithfully enough is converted: shades of grey and
CMYK become colours, what is transparent becomes white, a picture that says how it is to be turned is turned. All else
cannot be used; each reason is the end of a sentence that begins with the picture's name.
"""

import base64
import binascii
import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from io import BytesIO
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from modelyard.errors import BadInput

Pixels = NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP")
LARGEST_BYTES = 20 * 1024 * 1024
# A file of a few kilobytes can claim to hold gigabytes of pixels. A decoder of WebP holds five copies of a picture.
LARGEST_PIXELS = 50_000_000
LARGEST_PIXELS_OF = {"WEBP": 12_000_000}
# Of larger ones, one is decoded at a time.
MANY_PIXELS = 8_000_000
LARGE_PICTURES = Lock()
# Rows of a large picture that are made smaller at a time.
ROWS_AT_A_TIME = 256
SMALLEST_SIDE = 16
# A JPEG of many times the wanted size is decoded smaller at once, still so many times larger than wanted.
DECODED_SCALE = 2
RESAMPLING = Image.Resampling.BILINEAR
WHITE = (255, 255, 255, 255)
GREY_MODES = ("1", "L", "LA")
GREY_OF_16_BITS = "I;16"
UNUSABLE_MODES = ("I", "F")
DATA_URL = "data:image/"
# Characters, which decode to three bytes each four.
DECODED_AT_ONCE = 1024 * 1024

# What decoders raise when a file is not what it should be.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)

# Up to twice as many the library only warns of; `_opened` refuses them.
Image.MAX_IMAGE_PIXELS = LARGEST_PIXELS


class UnusablePicture(BadInput):
    """The picture cannot be used. Its message is the end of a sentence."""


class UnknownPicture(UnusablePicture):
    """The file is no picture, or of a kind that is not read."""


class TooLargePicture(UnusablePicture):
    """The picture has too many bytes or pixels."""


class Picture(NamedTuple):
    """A picture as a model sees it, and what its file was.

    Attributes:
        pixels: Of the asked shape (height, width, channels).
        sha256: Hash of the file.
        size: Bytes of the file.
        format: JPEG, PNG or WEBP.
        width: Of the picture in its file, upright.
        height: Of the picture in its file, upright.
        remarks: How its colours were changed, as ends of sentences.
    """

    pixels: Pixels
    sha256: str
    size: int
    format: str
    width: int
    height: int
    remarks: tuple[str, ...]

    @property
    def facts(self) -> dict[str, str | int]:
        """What is said of the file where the picture itself is not kept."""
        return {
            "sha256": self.sha256,
            "format": self.format,
            "bytes": self.size,
            "width": self.width,
            "height": self.height,
        }


def read_picture(content: bytes, shape: Sequence[int]) -> Picture:
    """A picture from its file's content.

    Args:
        content: The file.
        shape: Height, width and channels (1 or 3) of the pixels that are wanted.

    Raises:
        UnusablePicture: It cannot be used; the message is the end of a sentence.
    """
    if len(content) > LARGEST_BYTES:
        raise TooLargePicture(too_many_bytes(len(content)))
    if not content:
        raise UnusablePicture("is empty")
    try:
        with _opened(content) as image, LARGE_PICTURES if _is_large(image) else nullcontext():
            return _picture(image, content, shape)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(LARGEST_PIXELS) from error
    except UnidentifiedImageError as error:
        raise UnknownPicture("is no picture in JPEG, PNG or WebP format") from error
    except DAMAGED as error:
        raise UnusablePicture(f"is damaged or cut off: {error}") from error


def too_many_bytes(size: int) -> str:
    """Why a file of that size is not read, as the end of a sentence."""
    return f"has {size / 1024**2:.0f} MB, and at most {LARGEST_BYTES // 1024**2} MB are read"


def from_base64(text: str) -> bytes:
    """The content of a file from its base64 text, which may be a data URL.

    Raises:
        UnusablePicture: It is not base64.
    """
    if text.startswith(DATA_URL):
        text = text.partition(",")[2]
    try:
        return b"".join(_decoded_pieces(text))
    except (binascii.Error, ValueError) as error:
        raise UnusablePicture("is not base64") from error


def _decoded_pieces(text: str) -> Iterator[bytes]:
    """In pieces, as decoding holds the interpreter, in which others may wait."""
    for start in range(0, len(text), DECODED_AT_ONCE):
        piece = text[start : start + DECODED_AT_ONCE]
        if piece.endswith("=") and start + DECODED_AT_ONCE < len(text):
            raise ValueError("it goes on after its end")
        yield base64.b64decode(piece, validate=True)


def to_base64(pixels: Pixels) -> str:
    """Pixels of shape (height, width, channels) as the base64 text of a PNG, which keeps each of them."""
    file = BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def resized(pixels: Pixels, shape: Sequence[int]) -> Pixels:
    """Pixels in another shape; the same ones when they have it already."""
    if pixels.shape == tuple(shape):
        return pixels
    return read_picture(base64.b64decode(to_base64(pixels)), shape).pixels


def _opened(content: bytes) -> Image.Image:
    image = Image.open(BytesIO(content), formats=FORMATS)
    most = LARGEST_PIXELS_OF.get(image.format or "", LARGEST_PIXELS)
    if image.width * image.height > most:
        raise _too_many_pixels(most)
    return image


def _is_large(image: Image.Image) -> bool:
    return image.width * image.height > MANY_PIXELS


def _too_many_pixels(most: int) -> TooLargePicture:
    return TooLargePicture(f"has more than {most // 10**6} million pixels")


def _picture(image: Image.Image, content: bytes, shape: Sequence[int]) -> Picture:
    height, width, channels = shape
    kind, size = image.format or "", image.size
    if min(size) < SMALLEST_SIDE:
        raise UnusablePicture(f"has {size[0]} x {size[1]} pixels, and needs {SMALLEST_SIDE} x {SMALLEST_SIDE} or more")
    longest = DECODED_SCALE * max(height, width)
    image.draft(None, (longest, longest))
    image.load()
    upright = ImageOps.exif_transpose(_reduced(image, longest, channels))
    turned = (upright.width > upright.height) != (image.width > image.height)
    remarks = _remarks(image.mode, channels)
    fitting = _in_channels(upright, channels).resize((width, height), RESAMPLING)
    return Picture(
        pixels=np.asarray(fitting, dtype=np.uint8).reshape(height, width, channels),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        # A JPEG with further pictures behind the first one.
        format="JPEG" if kind == "MPO" else kind,
        width=size[1] if turned else size[0],
        height=size[0] if turned else size[1],
        remarks=remarks,
    )


def _reduced(image: Image.Image, longest: int, channels: int) -> Image.Image:
    """A large picture, converted and made smaller some rows at a time: at once it would take several copies."""
    factor = min(image.size) // longest
    if not _is_large(image) or factor < DECODED_SCALE:
        return image
    rows = max(ROWS_AT_A_TIME // factor, 1) * factor
    smaller = Image.new("L" if channels == 1 else "RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(top + rows, image.height)))
        smaller.paste(_in_channels(part, channels).reduce(factor), (0, top // factor))
    # Among it how the picture is to be turned. What is transparent is white by now.
    smaller.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return smaller


def _remarks(mode: str, channels: int) -> tuple[str, ...]:
    if channels == 1:
        return ()
    if mode in GREY_MODES or mode.startswith(GREY_OF_16_BITS):
        return ("has no colours, only shades of grey",)
    return ("is in CMYK, the colours of print: they were converted and may differ",) if mode == "CMYK" else ()


def _in_channels(image: Image.Image, channels: int) -> Image.Image:
    if image.mode in UNUSABLE_MODES:
        raise UnusablePicture(f"has pixels of the unusual kind {image.mode}")
    if image.mode.startswith(GREY_OF_16_BITS):
        values: NDArray[Any] = np.asarray(image)
        image = Image.fromarray((values >> 8).astype(np.uint8))
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", coloured.size, WHITE), coloured)
    return image.convert("L" if channels == 1 else "RGB")
