"""How much comes in: counted at the door, and read by what gives way to it."""

from dataclasses import dataclass


@dataclass
class Traffic:
    """What comes in.

    Attributes:
        under_way: How many requests are being answered.
    """

    under_way: int = 0
