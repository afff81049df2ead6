"""Which use cases there are: those of the package and those in a folder of the user's, and which files hold none.

A file that is broken, empty or half-written is listed with its line and its reason, and takes no other use case away.
"""

import importlib
import importlib.util
import pkgutil
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from pydantic import ValidationError

from modelyard import use_cases
from modelyard.errors import BadInput, UnknownUseCase
from modelyard.use_case import UseCase

DECLARED = re.compile(r"^USE_CASE\b")


class BrokenUseCase(BadInput):
    """A file that should declare a use case, and does not.

    Attributes:
        file: The file, or the folder that is none.
        line: Where in it, counted from 1; None: it could not be read.
        reason: What is wrong with it.
    """

    def __init__(self, file: Path, line: int | None, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class Catalog(NamedTuple):
    """What was found.

    Attributes:
        use_cases: The use cases by name.
        broken: The files that hold none.
    """

    use_cases: dict[str, UseCase]
    broken: tuple[BrokenUseCase, ...]


def read_catalog(folder: Path | None = None) -> Catalog:
    """All use cases, and all files that should declare one and do not.

    Of several files with the same use case, the package's counts, else the one that is called as the use case; the
    others are broken.

    Args:
        folder: Holds use-case files outside of the package (`USE_CASES_PATH`).
    """
    loaded: list[tuple[Path, UseCase]] = []
    broken: list[BrokenUseCase] = []
    if folder is not None and not folder.is_dir():
        broken.append(BrokenUseCase(folder, None, "USE_CASES_PATH names it, and it is not a folder"))
    for file, module in _files(folder):
        try:
            loaded.append((file, _declared_in(_run(file, module), file)))
        except BrokenUseCase as problem:
            broken.append(problem)
    found: dict[str, tuple[Path, UseCase]] = {}
    for file, use_case in sorted(loaded, key=lambda each: each[0].stem != each[1].name):
        first, _ = found.setdefault(use_case.name, (file, use_case))
        if first != file:
            reason = f"there is another use case named {use_case.name}, in {first}"
            broken.append(BrokenUseCase(file, _line_of_declaration(file), reason))
    return Catalog({name: use_case for name, (_, use_case) in found.items()}, tuple(broken))


def find_use_case(name: str, folder: Path | None = None) -> UseCase:
    """The use case of that name, whatever is wrong with other files.

    Args:
        name: Its name.
        folder: Holds use-case files outside of the package (`USE_CASES_PATH`).

    Raises:
        BrokenUseCase: The file that is called as it is broken.
        UnknownUseCase: There is none; the message lists those there are, and the files that are broken.
    """
    catalog = read_catalog(folder)
    if name in catalog.use_cases:
        return catalog.use_cases[name]
    for problem in catalog.broken:
        if problem.file.stem == name:
            raise problem
    known = f"there is no use case {name!r}; there are: {', '.join(sorted(catalog.use_cases))}"
    broken = f"; these files cannot be used: {'; '.join(map(str, catalog.broken))}" if catalog.broken else ""
    raise UnknownUseCase(known + broken)


def _files(folder: Path | None) -> Iterator[tuple[Path, str | None]]:
    """The files, those of the package with the names of their modules."""
    for place in use_cases.__path__:
        for info in pkgutil.iter_modules([place]):
            yield Path(place) / f"{info.name}.py", f"{use_cases.__name__}.{info.name}"
    for file in sorted(folder.glob("*.py")) if folder else ():
        yield file, None


def _run(file: Path, module: str | None) -> ModuleType:
    try:
        return importlib.import_module(module) if module else _execute(file)
    # A user's file can raise anything, or end the program.
    except (Exception, SystemExit) as error:
        raise BrokenUseCase(file, _line_of(error, file), _reason_of(error)) from error


def _execute(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"modelyard_user_use_cases.{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError("cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _declared_in(module: ModuleType, file: Path) -> UseCase:
    use_case = getattr(module, "USE_CASE", None)
    if not isinstance(use_case, UseCase):
        raise BrokenUseCase(file, _line_of_declaration(file), "no USE_CASE of type UseCase is defined there")
    return use_case


def _line_of(error: BaseException, file: Path) -> int | None:
    """The line of the file at which an error came up."""
    if isinstance(error, OSError):
        return None
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno or 1
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == str(file)]
    return lines[-1] if lines else 1


def _reason_of(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        problems = ((".".join(map(str, each["loc"])), each["msg"]) for each in error.errors())
        return "; ".join(f"{where}: {what}" if where else what for where, what in problems)
    if isinstance(error, SystemExit):
        return f"it ends the program with {error.code}"
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    return reason or type(error).__name__


def _line_of_declaration(file: Path) -> int:
    """The line that says USE_CASE, else the last one: so far the file goes without it."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((number for number, line in enumerate(lines, 1) if DECLARED.match(line)), max(len(lines), 1))
