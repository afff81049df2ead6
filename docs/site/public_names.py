"""The Python reference is whole: what notebooks and use cases import is in it, and all that is in it is documented."""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.typing import stringify_annotation

from modelyard.authoring.declaration import NAMES as WRITTEN_BY_NEW

LOGGER = logging.getLogger(__name__)

PACKAGE = "modelyard"
PAGE = "docs/python"
SECTION = "Attributes:"
FIELD = re.compile(r"    (\w+): ")
# Defaults that say something in a few characters.
SHORT = (bool, int, float, str, tuple, type(None))
# Napoleon, which reads the docstrings, comes at 500.
BEFORE_NAPOLEON = 400


def check_documented(_app: Sphinx, kind: str, name: str, value: object, _options: object, lines: list[str]) -> None:
    """Warns of a name without documentation, and of a class's field that its docstring does not name.

    Args:
        kind: What the name is of: a module, class, function, method, property, attribute or data.
        name: The name.
        value: What it stands for.
        lines: Its docstring.
    """
    if kind in ("attribute", "data"):
        return
    if not any(line.strip() for line in lines):
        LOGGER.warning("%s is public, and has no docstring", name)
    elif kind == "property":
        # Napoleon would take what is before a colon in the first line for a type.
        lines.insert(0, "")
    elif inspect.isclass(value):
        told = {field for field, _ in _told_fields(lines)}
        for field in sorted(_fields(value) - told):
            LOGGER.warning("%s.%s is public, and its class's docstring does not name it", name, field)
        _add_types(value, lines)


def leave_out_fields(_app: Sphinx, _kind: str, _name: str, value: object, *_: object) -> bool | None:
    """Leaves out what has no docstring of its own: the docstring of its class names it."""
    documented = (property, cached_property, staticmethod, classmethod, Enum, type)
    return None if inspect.isroutine(value) or isinstance(value, documented) else True


def leave_out_arguments(_app: Sphinx, kind: str, *_: object) -> tuple[str, str] | None:
    """Leaves out the arguments of a class: they are its fields."""
    return ("", "") if kind == "class" else None


def check_complete(app: Sphinx, env: BuildEnvironment) -> None:
    """Warns of each name that a notebook or a use case imports and that the reference lacks."""
    if PAGE not in env.found_docs:
        return
    told = env.domains.python_domain.objects
    for name in sorted(set(imported_names(Path(app.srcdir))) - told.keys()):
        LOGGER.warning("%s is imported by a notebook or a use case, and is not on the page %s", name, PAGE)


def imported_names(repository: Path) -> Iterator[str]:
    """What notebooks, use cases and what `modelyard new` writes import of the package, with their modules."""
    for folder in ("src/modelyard/use_cases", "use_cases"):
        for file in (repository / folder).glob("*.py"):
            yield from _imports(file.read_text(encoding="utf-8"))
    for file in (repository / "notebooks").glob("*.ipynb"):
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        yield from _imports("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    for module, names in WRITTEN_BY_NEW.items():
        yield from (f"{module}.{name}" for name in names)


def _imports(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _fields(value: type) -> set[str]:
    """The public fields that a class declares itself."""
    names = {name for name in inspect.get_annotations(value) if not name.startswith("_")}
    return names - {"model_config"}


def _told_fields(lines: list[str]) -> Iterator[tuple[str, int]]:
    """The fields that a docstring names, with their lines."""
    if SECTION not in lines:
        return
    for place in range(lines.index(SECTION) + 1, len(lines)):
        if lines[place] and not lines[place].startswith(" "):
            return
        if found := FIELD.match(lines[place]):
            yield found[1], place


def _add_types(value: type, lines: list[str]) -> None:
    types = get_type_hints(value)
    given = value.model_fields if issubclass(value, BaseModel) else {}
    for field, place in _told_fields(lines):
        if field in types:
            said = stringify_annotation(types[field], "smart") + _default(given.get(field))
            lines[place] = lines[place].replace(f"{field}:", f"{field} ({said}):", 1)


def _default(field: FieldInfo | None) -> str:
    if field is None or field.is_required():
        return ""
    return f", default {field.default!r}" if isinstance(field.default, SHORT) else ", optional"


def setup(app: Sphinx) -> dict[str, bool]:
    """Has Sphinx use it."""
    app.connect("autodoc-process-docstring", check_documented, priority=BEFORE_NAPOLEON)
    app.connect("autodoc-process-signature", leave_out_arguments)
    app.connect("autodoc-skip-member", leave_out_fields)
    app.connect("env-check-consistency", check_complete)
    return {"parallel_read_safe": True}
