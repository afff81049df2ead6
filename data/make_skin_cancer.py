"""Paints pictures of skin lesions that nobody ever had, into the folder `skin_cancer_sample` beside this file.

    python data/make_skin_cancer.py

The folders are those of the public pictures that many tutorials use: `train|test/benign|malignant/*.jpg`. They are
painted by the rule that people are taught: asymmetry, border, colour, diameter. Benign is round, even and brown;
malignant is lopsided, ragged, of several colours and larger. How much so varies, and some of either look like the
other, so that a good model of these pictures is not a perfect one. Nothing can be learnt from them about real skin.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TRAIN, TEST = 360, 120
SIDE = 72
SEED = 20_261_121
QUALITY = 80
FOLDER = Path(__file__).with_name("skin_cancer_sample")
CLASSES = ("benign", "malignant")

Floats = NDArray[np.float64]

SKIN = np.array([224.0, 178.0, 150.0])
BROWN = np.array([139.0, 88.0, 62.0])
BLACK = np.array([58.0, 40.0, 42.0])
BLUE = np.array([104.0, 104.0, 128.0])
# How ragged, lopsided and many-coloured a lesion is, between 0 and 1: mean of each class, and how far from it.
SEVERITY = {"benign": 0.2, "malignant": 0.7}
SPREAD = 0.34


def lesion_picture(label: str, side: int, random: Any) -> NDArray[np.uint8]:
    """A picture of one lesion, of shape (side, side, 3).

    Args:
        label: Its class.
        side: Height and width.
        random: Gives uniform numbers, as many as it is asked for.
    """
    severity = np.clip(SEVERITY[label] + SPREAD * (2 * random() - 1), 0, 1)
    rows, columns = np.mgrid[0:side, 0:side] / side - 0.5
    x, y = columns - 0.2 * (random() - 0.5), rows - 0.2 * (random() - 0.5)
    inside = _inside(x, y, severity, random)
    skin = SKIN * (0.88 + 0.2 * random()) + 14 * (x * (random() - 0.5) + y * (random() - 0.5))[..., None]
    picture = skin + inside[..., None] * (_colours(x, y, severity, random) - skin)
    picture = _with_hairs(picture, x, y, random) + 10 * (random((side, side, 1)) - 0.5)
    pixels: NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    return pixels


def write_pictures(folder: Path, train: int, test: int, side: int, seed: int) -> None:
    """Writes `train|test/benign|malignant/*.jpg`, the same pictures for the same arguments.

    Args:
        folder: What is in it already is removed.
        train: How many pictures for training, of both classes together.
        test: How many for the test.
        side: Their height and width.
        seed: Seed of everything random.
    """
    # Uniform numbers only: their stream is the same in all versions of numpy, that of other distributions need not be.
    random = np.random.Generator(np.random.PCG64(seed)).random
    shutil.rmtree(folder, ignore_errors=True)
    for part, count in (("train", train), ("test", test)):
        for number in range(count):
            label = CLASSES[number % len(CLASSES)]
            path = folder / part / label / f"{number:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(lesion_picture(label, side, random)).save(path, quality=QUALITY, optimize=True)


def _inside(x: Floats, y: Floats, severity: float, random: Any) -> Floats:
    """How much each pixel belongs to the lesion: 1 within, 0 outside, between them at a soft border."""
    angle, distance = np.arctan2(y, x), np.hypot(x, y)
    radius = 0.15 + 0.06 * random() + 0.12 * severity
    for waves in range(1, 8):
        strength = severity * (0.16 if waves == 1 else 0.10) * random()
        radius = radius * (1 + strength * np.sin(waves * angle + 2 * np.pi * random()))
    sharpness = 45 + 60 * random()
    share: Floats = 1 / (1 + np.exp(sharpness * (distance - radius)))
    return share


def _colours(x: Floats, y: Floats, severity: float, random: Any) -> Floats:
    colours: Floats = BROWN * (0.8 + 0.4 * random()) + np.zeros((*x.shape, 1))
    for colour in (BLACK, BLUE, BLACK):
        spot_x, spot_y = 0.3 * (random() - 0.5), 0.3 * (random() - 0.5)
        size = 0.008 + 0.012 * random()
        share = severity * (0.4 + 0.6 * random()) * np.exp(-((x - spot_x) ** 2 + (y - spot_y) ** 2) / size)
        colours = colours + share[..., None] * (colour - colours)
    return colours


def _with_hairs(picture: Floats, x: Floats, y: Floats, random: Any) -> Floats:
    for _ in range(int(4 * random())):
        slope, offset, bend = 2 * random() - 1, 0.6 * (random() - 0.5), random() - 0.5
        hair = np.exp(-((y - slope * x - offset - bend * x**2) ** 2) / 0.00008)
        picture = picture * (1 - 0.6 * hair[..., None])
    return picture


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description="Paints pictures of skin lesions.")
    parser.add_argument("--train", type=int, default=TRAIN)
    parser.add_argument("--test", type=int, default=TEST)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=FOLDER)
    chosen = parser.parse_args()
    write_pictures(chosen.out, chosen.train, chosen.test, chosen.side, chosen.seed)


if __name__ == "__main__":
    main()
