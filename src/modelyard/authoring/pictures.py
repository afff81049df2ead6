"""A use case of pictures that is proposed for a folder with one folder a class."""

import math
from collections import Counter
from dataclasses import dataclass
from statistics import median

import numpy as np

from modelyard.authoring.few_records import FEW_RECORDS, FEW_SPLIT
from modelyard.authoring.names import title_of
from modelyard.authoring.target import FEWEST_OF_A_CLASS
from modelyard.errors import BadInput
from modelyard.pictures import UnusablePicture, read_picture
from modelyard.sources.local_files import Entry
from modelyard.sources.picture_folder import PictureFolder, part_of
from modelyard.use_case import Candidate, Split

# So many pictures are opened to see what they are like.
OPENED = 100
LOOKED_AT = (64, 64, 3)
# Sides that networks halve well. More pixels are worth their time only where there are many pictures.
SIDES = (32, 64, 96, 128, 224)
FEW_PICTURES, FEW_PICTURES_SIDE = 2_000, 64
FEWEST_PICTURES = 100
USUAL_SPLIT = Split(train=0.64, validation=0.16, test=0.2)
NETWORK = "modelyard.models.images.architectures.basic"
PARAMETERS = {"learning_rate": 5e-4, "batch_size": 32}


@dataclass(frozen=True)
class PictureDraft:
    """A use case of pictures that is proposed.

    Attributes:
        name: Its name.
        source: The folder.
        counts: How many files are in each class's folder, in the classes' order.
        given_test: How many of them the folder says are for the test.
        strays: Files that lie in no class's folder.
        opened: How many were opened.
        unusable: Those of them that cannot be used, with the reason.
        side: Height and width that the models see.
        channels: 3 for colours, 1 for shades of grey.
        size: The usual size of the shorter side in the files.
    """

    name: str
    source: str
    counts: dict[str, int]
    given_test: int
    strays: int
    opened: int
    unusable: dict[str, str]
    side: int
    channels: int
    size: int

    @property
    def title(self) -> str:
        """The use case's name for people."""
        return title_of(self.name)

    @property
    def pictures(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    @property
    def split(self) -> Split:
        """How the snapshots are parted."""
        return FEW_SPLIT if self.pictures < FEW_RECORDS and not self.given_test else USUAL_SPLIT

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The models to try."""
        slim = PARAMETERS | {"filters": 16, "epochs": 12}
        return (
            Candidate(name="slim", estimator=NETWORK, parameters=slim),
            Candidate(name="basic", estimator=NETWORK, parameters=PARAMETERS | {"epochs": 8}),
        )


def picture_draft_of(name: str, source: str) -> PictureDraft:
    """Looks at a folder of pictures and proposes a use case for it.

    Raises:
        BadInput: It cannot be one; the message says why and what to do.
        ServiceUnavailable: The server that has the folder does not answer.
    """
    folder = PictureFolder(source)
    labels = [_label(file) for file in folder.files]
    counts = Counter(label for label in labels if label)
    chosen = [file for file, label in zip(folder.files, labels, strict=True) if label]
    parts = Counter(part_of(file.path) for file in chosen)
    _check(source, counts, parts)
    opened = chosen[:: max(1, math.ceil(len(chosen) / OPENED))]
    sizes, greys, unusable = _looked_at(folder, opened)
    if len(unusable) > len(opened) / 2:
        first, reason = next(iter(unusable.items()))
        raise BadInput(
            f"{source}: {len(unusable)} of {len(opened)} files that were opened cannot be used: {first} {reason}"
        )
    size = int(median(sizes))
    return PictureDraft(
        name=name,
        source=source,
        counts={label: counts[label] for label in sorted(counts)},
        given_test=parts["test"],
        strays=len(folder.files) - len(chosen),
        opened=len(opened),
        unusable=unusable,
        side=_side(size, sum(counts.values())),
        channels=1 if all(greys) else 3,
        size=size,
    )


def assumptions_of_pictures(draft: PictureDraft) -> list[str]:
    """What was assumed, a sentence each."""
    shares = ", ".join(f"{label} {count}" for label, count in draft.counts.items())
    colours = "in colours" if draft.channels == 3 else "in shades of grey, as all that were opened are"
    shorter = f"the shorter side of the files has about {draft.size}"
    said = [
        f"The folders are the classes: {shares}.",
        f"The models see {draft.side} by {draft.side} pixels {colours}; {shorter}.",
    ]
    if draft.given_test:
        said.append(f"{draft.given_test} pictures are for the test, as their folder says.")
    if draft.split == FEW_SPLIT:
        said.append(
            f"{draft.pictures} pictures are few: two fifths of them are kept for the test. The gate is as strict "
            "as with many."
        )
    return said


def doubts_of_pictures(draft: PictureDraft) -> list[str]:
    """What is doubtful, a sentence each."""
    said = [f"{path} {reason}: it is set aside." for path, reason in list(draft.unusable.items())[:3]]
    if len(draft.unusable) > len(said):
        said.append(f"In all, {len(draft.unusable)} of the {draft.opened} files that were opened cannot be used.")
    if draft.strays:
        lie = "file lies" if draft.strays == 1 else "files lie"
        said.append(f"{draft.strays} {lie} in no class's folder: set aside when pictures are loaded.")
    said += [
        f"The class {label!r} has only {count} pictures: a part may come to have none of them."
        for label, count in draft.counts.items()
        if count < 3 * FEWEST_OF_A_CLASS
    ]
    return said


def _label(file: Entry) -> str | None:
    folders = file.path.split("/")[:-1]
    within = folders[1:] if part_of(file.path) else folders
    return within[0] if within else None


def _check(source: str, counts: Counter[str], parts: Counter[str | None]) -> None:
    if len(counts) < 2:
        there = f"only {next(iter(counts))!r}" if counts else "none"
        raise BadInput(f"{source} must have a folder for each class, two at least, and has {there}")
    if sum(counts.values()) < FEWEST_PICTURES:
        raise BadInput(f"{source} has {sum(counts.values())} pictures, and a model needs {FEWEST_PICTURES}")
    if None not in parts and not {"train", "test"} <= set(parts):
        there = " and ".join(sorted(filter(None, parts)))
        raise BadInput(f"{source} must have folders train and test, or just one for each class, and has only {there}")


def _looked_at(folder: PictureFolder, files: list[Entry]) -> tuple[list[int], list[bool], dict[str, str]]:
    """The shorter sides, whether each is grey, and what cannot be used with the reason."""
    sizes, greys, unusable = [], [], {}
    for file in files:
        try:
            picture = read_picture(folder.content(file), LOOKED_AT)
        except UnusablePicture as problem:
            unusable[file.path] = str(problem)
            continue
        sizes.append(min(picture.width, picture.height))
        greys.append(bool(np.ptp(picture.pixels.astype(np.int16), axis=2).max() == 0))
    return sizes, greys, unusable


def _side(size: int, pictures: int) -> int:
    largest = FEW_PICTURES_SIDE if pictures < FEW_PICTURES else SIDES[-1]
    return max((side for side in SIDES if side <= min(size, largest)), default=SIDES[0])
