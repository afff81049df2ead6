"""Pictures for tests: two classes that a network tells apart in seconds, and files that are wrong in every way."""

import random
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modelyard.contract import Feature, FeatureType, Shape, Target, TaskKind
from modelyard.use_case import Candidate, Split, UseCase

SIDE = 16
SHAPE: Shape = (SIDE, SIDE, 3)
CLASSES = ("cold", "warm")


def weather(*, name: str = "weather", epochs: int = 4, folds: int | None = None) -> UseCase:
    """A use case of pictures that are rather blue or rather red."""
    parameters = {"filters": 4, "epochs": epochs, "learning_rate": 0.01, "folds": folds}
    return UseCase(
        name=name,
        title="Weather",
        kind=TaskKind.IMAGE,
        features=(Feature(name="photo", type=FeatureType.IMAGE, shape=SHAPE),),
        target=Target(name="kind", classes=CLASSES),
        source="weather",
        split=Split(train=0.64, validation=0.16, test=0.2),
        candidates=(
            Candidate(name="small", estimator="modelyard.models.images.architectures.basic", parameters=parameters),
        ),
        extra="tensorflow",
    )


def pixels(label: str, seed: int, side: int = SIDE) -> NDArray[np.uint8]:
    """A picture of one class, noisy enough that some are taken for the other."""
    noise = np.random.default_rng([seed, CLASSES.index(label)]).integers(0, 180, (side, side, 3))
    noise[:, :, 0 if label == "warm" else 2] += 60
    return np.clip(noise, 0, 255).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The content of a file with that picture."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(label: str = "warm", seed: int = 0, side: int = SIDE) -> Image.Image:
    """A picture of one class."""
    return Image.fromarray(pixels(label, seed, side))


def write_photos(folder: Path, count: int, part: str = "", seed: int = 0) -> Path:
    """So many pictures of each class, one folder a class; returns the folder."""
    for label in CLASSES:
        where = folder / part / label
        where.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (where / f"{number:04d}.png").write_bytes(encoded(photo(label, seed + number)))
    return folder


def shuffle_labels(folder: Path, seed: int = 0) -> None:
    """Gives each picture the class of another one."""
    files = sorted(folder.rglob("*.png"))
    contents = [file.read_bytes() for file in files]
    random.Random(seed).shuffle(contents)
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)


def _rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo(side=32).resize((32, 64)), "JPEG", exif=exif)


def _deep_grey() -> bytes:
    return encoded(Image.fromarray(np.full((32, 32), 40_000, dtype=np.uint16)))


# What cannot be used, and a part of what is said of it.
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is empty"),
    "text": (lambda: b"no picture at all", "is no picture"),
    "gif": (lambda: encoded(photo(), "GIF"), "is no picture in JPEG, PNG or WebP format"),
    "truncated_jpeg": (lambda: encoded(photo(side=64), "JPEG")[:1200], "is damaged or cut off"),
    "truncated_png": (lambda: encoded(photo(side=64))[:3000], "is damaged or cut off"),
    "huge_file": (lambda: b"\xff\xd8" + bytes(50 * 1024 * 1024), "has 50 MB, and at most 20 MB are read"),
    "bomb": (lambda: encoded(Image.new("1", (20_000, 20_000))), "has more than 50 million pixels"),
    "small_bomb": (lambda: encoded(Image.new("1", (8_000, 8_000))), "has more than 50 million pixels"),
    "dot": (lambda: encoded(Image.new("RGB", (1, 1))), "has 1 x 1 pixels"),
}
# What is converted.
CONVERTED: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded(photo(side=64), "JPEG"),
    "webp": lambda: encoded(photo(side=64), "WEBP"),
    "grey": lambda: encoded(photo(side=64).convert("L"), "JPEG"),
    "deep_grey": _deep_grey,
    "cmyk": lambda: encoded(photo(side=64).convert("CMYK"), "JPEG"),
    "palette": lambda: encoded(photo(side=64).convert("P")),
    "transparent": lambda: encoded(photo(side=64).convert("RGBA")),
    "rotated": _rotated,
}
