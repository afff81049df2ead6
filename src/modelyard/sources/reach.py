"""What a step may open as a source. Importing this imports nothing heavy."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelyard.sources.places import Place


class Reach:
    """What may be opened. This one has no bounds: it is for a person at a shell, and for what a use case declares.

    Attributes:
        limit_bytes: So much of a source's decompressed content is read.
    """

    limit_bytes: float = math.inf

    def locate(self, source: str) -> "Place":
        """Where a source is.

        Args:
            source: A path or URL.

        Raises:
            BadInput: It is out of reach.
            ValueError: It is of no kind that is known.
        """
        from modelyard.sources.places import place_of

        return place_of(source)


ANYWHERE = Reach()
