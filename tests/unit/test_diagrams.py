"""Every diagram of the documentation has the drawing that the site shows, and the drawing is of what stands there."""

import pytest

from docs.site.drawings import FOLDER, diagrams, drawing_of

DIAGRAMS = list(diagrams())


def test_there_is_a_drawing_of_each_diagram_and_no_other() -> None:
    assert DIAGRAMS
    drawn = set(FOLDER.iterdir())
    assert drawn == {drawing_of(source) for source in DIAGRAMS}, "`make diagrams` draws what is new or has changed"


def test_another_diagram_has_another_drawing() -> None:
    assert drawing_of(DIAGRAMS[0] + "    api --> steps\n") != drawing_of(DIAGRAMS[0])


@pytest.mark.parametrize("source", DIAGRAMS, ids=lambda source: drawing_of(source).stem)
def test_a_drawing_is_a_picture_and_runs_nothing(source: str) -> None:
    svg = drawing_of(source).read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert "<script" not in svg
    assert "foreignObject" not in svg
