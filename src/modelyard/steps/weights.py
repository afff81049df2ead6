"""The weights that a network may start from: a file that a setting names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from modelyard.settings import Settings

# Keras tells its formats apart by the name.
ENDING = ".weights.h5"


@contextmanager
def pretrained_weights(settings: Settings) -> Iterator[Path | None]:
    """The file on this machine that PRETRAINED_WEIGHTS names; None: it names none.

    Raises:
        BadInput: There is no such file.
        ServiceUnavailable: The server that has it does not answer.
    """
    if settings.pretrained_weights is None:
        yield None
        return
    from modelyard.sources.files import BLOCK_BYTES, opened
    from modelyard.sources.locate import resolve

    with TemporaryDirectory(prefix="modelyard-weights-") as folder:
        local = Path(folder) / f"pretrained{ENDING}"
        with opened(resolve(settings.pretrained_weights, settings.data_url)) as content, local.open("wb") as file:
            while block := content.read(BLOCK_BYTES):
                file.write(block)
        yield local
