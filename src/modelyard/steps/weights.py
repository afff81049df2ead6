"""The weights that a network may start from: a file that a setting names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple

from modelyard.settings import Settings


class Weights(NamedTuple):
    """A file with weights.

    Attributes:
        source: Its path or URL.
        sha256: Hash of its content.
    """

    source: str
    sha256: str


def pretrained_weights(settings: Settings) -> Weights | None:
    """What PRETRAINED_WEIGHTS names; None: it names nothing.

    Raises:
        BadInput: There is no such file.
        ServiceUnavailable: The server that has it does not answer.
    """
    if settings.pretrained_weights is None:
        return None
    from modelyard.sources.files import content_hash
    from modelyard.sources.locate import resolve

    source = resolve(settings.pretrained_weights, settings.data_url)
    return Weights(source, content_hash(source))


@contextmanager
def on_this_machine(weights: Weights | None) -> Iterator[Path | None]:
    """A copy of the file under its own name, by whose ending Keras tells its formats apart.

    Raises:
        BadInput: It has gone, or holds something else by now.
        ServiceUnavailable: The server that has it does not answer.
    """
    if weights is None:
        yield None
        return
    from modelyard.sources.files import copy_content

    with TemporaryDirectory(prefix="modelyard-weights-") as folder:
        local = Path(folder) / PurePosixPath(weights.source).name
        copy_content(weights.source, weights.sha256, str(local))
        yield local
