"""What workflows on GitHub may do: each job as little as it needs, with actions that nobody can exchange."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.y*ml"))
# What somebody outside can put words into: titles, names of branches, messages.
EXPRESSION = "${{"

pytestmark = pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]
    assert found
    return found


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(file).values() for step in job["steps"]]


def test_an_action_is_pinned_to_a_commit_and_says_which_version_that_is(file: Path) -> None:
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert len(lines) == len([step for step in steps(file) if "uses" in step]) > 0
    for line in lines:
        assert re.fullmatch(r"- uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_nothing_is_allowed_but_what_a_job_asks_for(file: Path) -> None:
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["permissions"] == {}
    for name, job in jobs(file).items():
        more = {"packages": "write"} if name == "publish" else {}
        assert job["permissions"] == {"contents": "read", **more}, name


def test_what_is_published_was_tested_first(file: Path) -> None:
    found = jobs(file)
    for job in found.values():
        if "write" in job["permissions"].values():
            assert "make test-stack" in [step.get("run") for step in found[job["needs"]]["steps"]]


def test_no_step_keeps_the_token_that_the_code_was_fetched_with(file: Path) -> None:
    fetched = [step for step in steps(file) if step.get("uses", "").startswith("actions/checkout@")]
    assert len(fetched) == len(jobs(file))
    assert all(step["with"]["persist-credentials"] is False for step in fetched)


def test_no_command_is_put_together_from_what_others_say(file: Path) -> None:
    assert [step["run"] for step in steps(file) if EXPRESSION in step.get("run", "")] == []


def test_no_workflow_runs_with_the_repositorys_rights_on_the_code_of_others(file: Path) -> None:
    # YAML takes the key `on` for true.
    events = yaml.safe_load(file.read_text(encoding="utf-8"))[True]
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(events)


def test_a_secret_is_given_to_the_step_that_needs_it_alone(file: Path) -> None:
    for job in jobs(file).values():
        without_steps = {name: value for name, value in job.items() if name != "steps"}
        assert "secrets." not in str(without_steps)
        assert sum("secrets." in str(step) for step in job["steps"]) <= 1


def test_what_is_published_is_built_on_the_images_that_were_tested(file: Path) -> None:
    for job in jobs(file).values():
        if "write" not in job["permissions"].values():
            continue
        tested = jobs(file)[job["needs"]]
        runs = [step.get("run", "") for step in tested["steps"]]
        [pinned] = [place for place, run in enumerate(runs) if "docker/base_images.py" in run]
        assert pinned < runs.index("make test-stack")
        assert tested["outputs"]["base-images"] == "${{ steps.base-images.outputs.settings }}"
        taken = [step.get("env", {}).get("BASE_IMAGES") for step in job["steps"]]
        place = taken.index("${{ needs.test.outputs.base-images }}")
        assert place < [step.get("run") for step in job["steps"]].index("make images")
