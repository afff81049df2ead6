"""From the names that people give their columns to names that are the same in every part of Modelyard, and back."""

import keyword
import re
import unicodedata

from modelyard.contract import LONGEST_NAME
from modelyard.use_case import RESERVED_COLUMNS

# Letters that do not come apart into a plain one and a mark.
PLAIN = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d"}
    | {"Đ": "D", "ð": "d", "þ": "th", "ä": "ae", "Ä": "Ae", "ö": "oe", "Ö": "Oe", "ü": "ue", "Ü": "Ue"}
)
KEBAB = re.compile(r"[a-z0-9]{2,}(-[a-z0-9]+)+")
UNIT = re.compile(r"^(?P<title>.+?)\s*[(\[](?P<unit>[^()\[\]]{1,20})[)\]]\s*$")


def identifier(column: str, position: int) -> str:
    """A column's name as Modelyard writes it: lower case, letters, digits and underscores, a letter first.

    Args:
        column: Its name in the file.
        position: Where it is, from 0 on: for one of whose name nothing is left.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", column).translate(PLAIN))
    # Capitals that begin a word part words, as spaces do; those of a unit such as kWh do not.
    parted = re.sub(r"(?<=[a-z0-9]{2})(?=[A-Z])", "_", plain.encode("ascii", "ignore").decode())
    name = re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")[: LONGEST_NAME - 10].strip("_")
    if not name:
        return f"column_{position + 1}"
    if not name[0].isalpha():
        return f"column_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in RESERVED_COLUMNS else name


def identifiers(columns: list[str]) -> list[str]:
    """A name for each column, no two alike."""
    names: list[str] = []
    for position, column in enumerate(columns):
        name = wanted = identifier(column, position)
        count = 1
        while name in names:
            count += 1
            name = f"{wanted}_{count}"
        names.append(name)
    return names


def title_of(use_case: str) -> str:
    """A use case's name for people."""
    return use_case.replace("_", " ").capitalize()


def title_and_unit(column: str) -> tuple[str, str]:
    """A column's name for people, and the unit that stands behind it in brackets, if one does."""
    shown = " ".join("".join(character if character.isprintable() else " " for character in column).split())
    found = UNIT.match(shown)
    title, unit = (found["title"], found["unit"]) if found else (shown, "")
    title = re.sub(r"(?<=[a-z0-9]{2})(?=[A-Z][a-z])", " ", title).replace("_", " ").strip()
    if KEBAB.fullmatch(title):
        title = title.replace("-", " ")
    return title if title[1:2].isupper() else title[:1].upper() + title[1:], unit
