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
# What a job may do beyond reading the code.
WRITES = {
    "images": {
        "build": {"packages": "write"},
        "publish": {"packages": "write", "id-token": "write"},
    },
    "release": {
        "images": {"packages": "write", "id-token": "write"},
        "release": {"contents": "write", "id-token": "write"},
    },
    "dependencies": {"propose": {"contents": "write", "pull-requests": "write"}},
}

pytestmark = pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]
    assert found
    return found


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(file).values() for step in job.get("steps", [])]


def before(file: Path, name: str) -> set[str]:
    """The jobs that must have succeeded before one of them begins."""
    needs = jobs(file)[name].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*(before(file, each) for each in direct))


def test_an_action_is_pinned_to_a_commit_and_says_which_version_that_is(file: Path) -> None:
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if "uses: " in line]
    # A workflow of this repository is as it is at the same commit.
    lines = [line for line in lines if not line.startswith("uses: ./")]
    assert len(lines) == len([step for step in steps(file) if "uses" in step]) > 0
    for line in lines:
        assert re.fullmatch(r"- uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_nothing_is_allowed_but_what_a_job_asks_for(file: Path) -> None:
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["permissions"] == {}
    for name, job in jobs(file).items():
        allowed = {"contents": "read"} | WRITES.get(file.stem, {}).get(name, {})
        assert job["permissions"].items() <= allowed.items(), name


def test_what_is_published_was_tested_first(file: Path) -> None:
    found = jobs(file)
    for name, job in found.items():
        if "packages" in job["permissions"] and "steps" in job:
            tests = [step.get("run") for each in before(file, name) for step in found[each]["steps"]]
            assert "make test-stack" in tests


def test_no_step_keeps_the_token_that_the_code_was_fetched_with(file: Path) -> None:
    fetched = [step for step in steps(file) if step.get("uses", "").startswith("actions/checkout@")]
    assert fetched
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
        assert sum("secrets." in str(step) for step in job.get("steps", [])) <= 1


def test_what_is_published_is_built_on_the_images_that_were_tested(file: Path) -> None:
    for job in jobs(file).values():
        runs = [step.get("run") for step in job.get("steps", [])]
        if "make publish" not in runs:
            continue
        tested = jobs(file)[job["needs"]]
        test_runs = [step.get("run", "") for step in tested["steps"]]
        [pinned] = [place for place, run in enumerate(test_runs) if "docker/base_images.py" in run]
        assert pinned < test_runs.index("make test-stack")
        assert tested["outputs"]["base-images"] == "${{ steps.base-images.outputs.settings }}"
        taken = [step.get("env", {}).get("BASE_IMAGES") for step in job["steps"]]
        assert taken.index("${{ needs.test.outputs.base-images }}") < runs.index("make publish")
