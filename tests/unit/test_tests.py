"""What is true of all tests, whatever they show."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
MODULES = sorted(FOLDER.rglob("*.py"))
# Something lasts, or is broken off, after a time that is chosen; nothing is concluded from what did not happen.
LASTS = {
    "integration/test_attack_apart.py:wait",
    "integration/test_load.py:test_a_load_that_is_killed_and_run_again_is_as_if_it_had_not_been",
    "integration/test_preprocess.py:test_one_that_is_killed_and_run_again_is_as_if_it_had_not_been",
    "services/load.py:_note",
    "stack/test_replicas.py:test_one_that_is_killed_while_the_database_says_nothing_leaves_its_rows_to_the_others",
    "unit/test_engine_proxy.py:silent_for_long",
}
IDS = [str(path.relative_to(FOLDER)) for path in MODULES]


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names of all that is imported, also inside of functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)


@pytest.mark.parametrize("module", MODULES, ids=IDS)
def test_nothing_is_imported_from_a_module_of_tests(module: Path) -> None:
    """What several of them need has a module of its own, or is a fixture in conftest.py."""
    names = imported(ast.parse(module.read_bytes()))
    assert [name for name in names if any(part.startswith("test_") for part in name.split("."))] == []


def sleepers(node: ast.AST, function: str = "") -> Iterator[str]:
    """The functions that sleep once; in a loop, something is asked again and again."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        function = node.name
    elif isinstance(node, ast.For | ast.AsyncFor | ast.While):
        return
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "asyncio.sleep", "sleep"):
        yield function
    for child in ast.iter_child_nodes(node):
        yield from sleepers(child, function)


def test_no_test_sleeps_to_see_that_nothing_happens() -> None:
    """On a slow machine that shows nothing: ask a counter or a state, or wait for something that comes later."""
    pairs = ((path.relative_to(FOLDER), ast.parse(path.read_bytes())) for path in MODULES)
    assert {f"{path}:{function}" for path, tree in pairs for function in sleepers(tree)} == LASTS
