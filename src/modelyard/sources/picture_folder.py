"""A folder of pictures with one folder a class: `CLASS/…`, or `PART/CLASS/…` with train, validation or test for PART.

A picture is known by its content: moved into another class's folder it is a revision of the same record, and copied
into another part it is rejected there, so that no picture is on two sides. Test comes first. Whose it is and when it
was taken are found in its path, where the use case's split goes by that.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa

from modelyard.contract import Label
from modelyard.errors import BadInput
from modelyard.pictures import LARGEST_BYTES, UnusablePicture, read_picture, too_many_bytes
from modelyard.records import Records, Rejection
from modelyard.sources.files import explained
from modelyard.sources.local_files import HIDDEN, Entry, list_files
from modelyard.sources.places import Place
from modelyard.sources.reach import ANYWHERE, Reach
from modelyard.sources.values import FAR_AHEAD, far_ahead
from modelyard.use_case import UseCase, moment

# Files that are read at the same time, and in a row.
READERS = 4
FILES_AT_A_TIME = 128
# What people call the folders of parts, in small letters or capitals.
PART_OF = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}

Keep = Callable[[str, bytes], None]


class PictureFolder:
    """A folder of pictures that is being read.

    Attributes:
        source: Its path or URL.
        files: What is in it and in its folders, hidden files left out, ordered by path.
    """

    def __init__(self, source: str, reach: Reach = ANYWHERE) -> None:
        """Lists the files.

        Args:
            source: Its path or URL.
            reach: What may be opened.

        Raises:
            BadInput: There is no such folder, or nothing in it, or too much.
            ServiceUnavailable: The server that has it does not answer.
        """
        self.source = source.rstrip("/")
        with explained(self.source):
            self._place = reach.locate(self.source)
            self.files = _files(self.source, self._place)
        if sum(file.size for file in self.files) > reach.limit_bytes:
            raise BadInput(f"{self.source} holds more than {reach.limit_bytes / 1024**2:.0f} MB (SOURCES_LIMIT_MB)")
        self._hashes: dict[str, str] = {}

    def content_hash(self) -> str:
        """A hash of the names and contents of all files.

        Raises:
            BadInput: A file cannot be read.
            ServiceUnavailable: The server that has them stopped answering.
        """
        whole = hashlib.sha256()
        with ThreadPoolExecutor(READERS) as readers:
            for file, content in zip(self.files, readers.map(self._hash, self.files), strict=True):
                self._hashes[file.path] = content
                whole.update(f"{file.path}\0{content}\n".encode())
        return whole.hexdigest()

    def check_unchanged(self, file: Entry, sha256: str) -> None:
        """Compares a file with what it was when the whole folder was hashed.

        Raises:
            BadInput: It has other content now.
        """
        if self._hashes.get(file.path, sha256) != sha256:
            raise BadInput(
                f"{self.source}/{file.path} was changed while it was read: load it again when it is complete"
            )

    def content(self, file: Entry) -> bytes:
        """What is in a file; of one that has become too large since it was listed, just so much that this shows.

        Raises:
            UnusablePicture: It is not read: it is too large, or a link, or no regular file.
            BadInput: It cannot be read.
            ServiceUnavailable: The server that has it stopped answering.
        """
        check_usable(file)
        with explained(f"{self.source}/{file.path}"), self._place.below(file.path).open() as content:
            return content.read(LARGEST_BYTES + 1)

    def _hash(self, file: Entry) -> str:
        # It will be rejected for that.
        if file.problem or file.size > LARGEST_BYTES:
            return file.problem or str(file.size)
        return hashlib.sha256(self.content(file)).hexdigest()


def read_pictures(folder: PictureFolder, use_case: UseCase, keep: Keep) -> Iterator[Records]:
    """All pictures of a folder, some at a time, each checked as training and the API read it.

    Args:
        folder: The folder.
        use_case: Its one feature is an image. In `accepted` it holds the picture's path.
        keep: Takes the sha256 and the content of each picture that can be used.

    Raises:
        BadInput: A file cannot be read.
        ServiceUnavailable: The server that has them stopped answering.
    """
    reader = _PictureReader(folder, use_case, keep)
    with ThreadPoolExecutor(READERS) as threads:
        for start in range(0, len(folder.files), FILES_AT_A_TIME):
            files = folder.files[start : start + FILES_AT_A_TIME]
            yield reader.records(start + 1, files, list(threads.map(reader.checked, files)))


def part_of(path: str) -> str | None:
    """The part that a picture's path puts it into, if it names one."""
    first, *others = path.split("/")
    return PART_OF.get(first.lower()) if len(others) > 1 else None


class _Checked(NamedTuple):
    """What came of a file: the picture's hash, or what is wrong with it."""

    sha256: str = ""
    problem: str = ""


class _PictureReader:
    def __init__(self, folder: PictureFolder, use_case: UseCase, keep: Keep) -> None:
        self._folder = folder
        self._feature = use_case.features[0]
        self._target = use_case.target.name
        self._labels = {str(label): label for label in use_case.target.classes}
        self._split = use_case.split
        self._keep = keep
        # Where each picture was found first.
        self._known: dict[str, str] = {}

    def checked(self, file: Entry) -> _Checked:
        try:
            check_usable(file)
            self._label(file)
            self._beside(file)
            content = self._folder.content(file)
            self._folder.check_unchanged(file, hashlib.sha256(content).hexdigest())
            picture = read_picture(content, self._feature.image_shape)
        except UnusablePicture as problem:
            return _Checked(problem=str(problem))
        self._keep(picture.sha256, content)
        return _Checked(sha256=picture.sha256)

    def records(self, first: int, files: Sequence[Entry], checked: Sequence[_Checked]) -> Records:
        accepted: list[tuple[Any, ...]] = []
        rejected = []
        for line, file, found in zip(range(first, first + len(files)), files, checked, strict=True):
            problem = found.problem or self._repeated(found.sha256, file)
            if problem:
                rejected.append(Rejection(line, self._feature.name, f"{file.path} {problem}", file.path))
            else:
                accepted.append((found.sha256, line, file.path, self._label(file), *self._beside(file)))
        names = ["record_key", "line", self._feature.name, self._target, *self._split.columns]
        columns = zip(*accepted, strict=True) if accepted else ([] for _ in names)
        types = [pa.string(), pa.int64(), pa.string(), pa.scalar(next(iter(self._labels.values()))).type]
        types += [pa.timestamp("us") if name == self._split.time else pa.string() for name in self._split.columns]
        arrays = [pa.array(list(column), kind) for column, kind in zip(columns, types, strict=True)]
        return Records(pa.table(dict(zip(names, arrays, strict=True))), rejected)

    def _label(self, file: Entry) -> Label:
        folders = file.path.split("/")[:-1]
        folder = folders[1:2] if part_of(file.path) else folders[:1]
        if not folder:
            raise UnusablePicture(f"lies in no class's folder; the classes are {', '.join(self._labels)}")
        if folder[0] not in self._labels:
            raise UnusablePicture(f"lies in the folder {folder[0]!r}, and the classes are {', '.join(self._labels)}")
        return self._labels[folder[0]]

    def _beside(self, file: Entry) -> list[str | datetime]:
        """Group and time of a picture, as its path says them."""
        if self._split.path is None:
            return []
        found = re.search(self._split.path, file.path)
        return [self._said(found, name) for name in self._split.columns]

    def _said(self, found: re.Match[str] | None, name: str) -> str | datetime:
        text = found[name] if found else None
        if not text:
            raise UnusablePicture(f"has no {name} in its path: {self._split.path!r} finds none")
        if name != self._split.time:
            return text
        try:
            found_at = moment(text)
        except ValueError:
            raise UnusablePicture(f"has {text!r} in its path, which is no date or time in ISO 8601") from None
        if len(far_ahead(pa.array([found_at], pa.timestamp("us")))):
            raise UnusablePicture(f"has {text!r} in its path, which {FAR_AHEAD}")
        return found_at

    def _repeated(self, sha256: str, file: Entry) -> str:
        first = self._known.setdefault(sha256, file.path)
        return "" if first == file.path else f"is the same picture as {first}"


def check_usable(file: Entry) -> None:
    """Checks what is known of a file before it is read.

    Raises:
        UnusablePicture: It is too large, or a link, or no regular file.
    """
    if file.problem:
        raise UnusablePicture(file.problem)
    if file.size > LARGEST_BYTES:
        raise UnusablePicture(too_many_bytes(file.size))


def _files(source: str, place: Place) -> list[Entry]:
    if source.startswith(("http://", "https://")):
        raise BadInput(f"{source}: pictures come from a folder here or in an object store, not from a web server")
    if place.system.isfile(place.path):
        raise BadInput(f"{source} is a file; pictures come as a folder with a folder for each class")
    if not place.system.exists(place.path):
        raise BadInput(f"{source}: there is no such folder; pictures come as a folder with a folder for each class")
    found = sorted(list_files(place.path) if place.is_local else _stored_files(place))
    if not found:
        raise BadInput(f"{source} has no files in it")
    return found


def _stored_files(place: Place) -> list[Entry]:
    found = place.system.find(place.path, detail=True).items()
    files = [Entry(path.removeprefix(place.path).lstrip("/"), int(about["size"])) for path, about in found]
    return [file for file in files if not any(name.startswith(HIDDEN) for name in file.path.split("/"))]
