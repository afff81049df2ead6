"""What a model comes from besides this package: libraries by their versions, modules of the user's by their content."""

import ast
import json
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from modelyard.steps.extras import PACKAGE

# Draws what a model is like, and has no part in how it comes out.
DRAWS = "matplotlib"
NOT_LOOKED_AT = {*sys.stdlib_module_names, "__main__", PACKAGE, DRAWS}
SUFFIXES = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)


class OutsideCode(NamedTuple):
    """What modules need besides this package and the standard library.

    Attributes:
        distributions: The libraries, by the names under which they are installed.
        files: The modules that no library has, by their names, and below them the files that they consist of.
    """

    distributions: set[str]
    files: dict[str, bytes]


def outside_code(modules: Iterable[str]) -> OutsideCode:
    """What modules are, and what they import: a library as a whole, a module of the user's file by file.

    Args:
        modules: Names of modules; one that is not there has no part in it.
    """
    found, seen = OutsideCode(set(), {}), set(NOT_LOOKED_AT)
    waiting = {name.partition(".")[0] for name in modules} - seen
    while waiting:
        module = waiting.pop()
        seen.add(module)
        if libraries := _libraries_with(module):
            found.distributions.update(libraries)
            continue
        for name, file in _files_of(module):
            found.files[name] = file.read_bytes()
            waiting |= imported_by(found.files[name]) - seen if file.suffix == ".py" else set()
    return found


def imported_by(code: bytes) -> set[str]:
    """The packages that a module imports anywhere in it, by the first part of their names."""
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError):
        # What is no Python, such as a template, imports nothing.
        return set()
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in names}


def versions_of(distributions: Iterable[str]) -> dict[str, str]:
    """The versions of libraries and of all that they require, as far as it is installed here."""
    found: dict[str, str] = {}
    waiting, seen = [Requirement(name) for name in distributions], set[tuple[str, frozenset[str]]]()
    while waiting:
        wanted = waiting.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = installed.version
        waiting += [each for each in map(Requirement, installed.requires or []) if _applies(each, extras)]
    return found


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _libraries_with(module: str) -> list[str]:
    """The libraries that have a package. One that is installed in place, to be edited there, is none."""
    return [name for name in _providers().get(module, []) if not _is_editable(name)]


def _is_editable(library: str) -> bool:
    origin = json.loads(distribution(library).read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


@cache
def _providers() -> dict[str, list[str]]:
    # Reads what every installed library consists of: some tenths of a second.
    return dict(packages_distributions())


def _files_of(module: str) -> Iterator[tuple[str, Path]]:
    spec = find_spec(module)
    if spec is None:
        return
    if spec.submodule_search_locations is None and spec.origin and spec.has_location:
        yield module, Path(spec.origin)
    for folder in spec.submodule_search_locations or ():
        for file in sorted(Path(folder).rglob("*")):
            if file.name.endswith(SUFFIXES) and file.is_file():
                yield f"{module}/{file.relative_to(folder).as_posix()}", file
