"""What a run in Airflow may load when whoever started it chose the source."""

import os
from collections.abc import Sequence

from modelyard.errors import BadInput
from modelyard.sources.places import Place, place_of
from modelyard.sources.reach import Reach

WEB = ("http", "https")
OBJECT_STORE = "s3"
BUNDLED = "sklearn"


class AllowedSources(Reach):
    """Sources below some folders and URLs, and the data sets that come with scikit-learn.

    Links on this machine are resolved first, and what they lead to is what counts. Anything that chains one protocol to
    another is refused, and so is every protocol that is not named here.

    Args:
        roots: Absolute paths of files and folders; URLs at s3:// and http(s)://.
        limit_bytes: So much of a source's decompressed content is read.
    """

    def __init__(self, roots: Sequence[str], limit_bytes: float) -> None:
        self.limit_bytes = limit_bytes
        self._roots = roots

    def locate(self, source: str) -> Place:
        """Where a source is.

        Args:
            source: An absolute path, or a URL.

        Raises:
            BadInput: It is not allowed.
        """
        scheme, is_url, _ = source.partition("://")
        if scheme in WEB:
            return self._on_the_web(source)
        if "::" in source:
            raise _not_allowed(source)
        if not is_url:
            return self._on_this_machine(source)
        if scheme == BUNDLED or (scheme == OBJECT_STORE and self._holds(source)):
            return place_of(source)
        raise _not_allowed(source)

    def _on_this_machine(self, path: str) -> Place:
        place = place_of(path)
        roots = (os.path.realpath(root) for root in self._roots if "://" not in root)
        if not any(_lies_in(place.path, root) for root in roots):
            raise _not_allowed(path)
        return place

    def _on_the_web(self, url: str) -> Place:
        # Only here: it takes a while to load.
        from yarl import URL

        from modelyard.sources.web import WebRules, web_files

        rules = WebRules(root for root in self._roots if root.partition("://")[0] in WEB)
        rules.check(URL(url))
        return Place(web_files(rules), url)

    def _holds(self, url: str) -> bool:
        return ".." not in url.split("/") and any(_lies_in(url, root) for root in self._roots)


def _lies_in(place: str, folder: str) -> bool:
    return place == folder or place.startswith(f"{folder.rstrip('/')}/")


def _not_allowed(source: str) -> BadInput:
    return BadInput(
        f"{source} is not among the sources that a run may choose: they are in DATA_URL, or SOURCES_ALLOWED names them"
    )
