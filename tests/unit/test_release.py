"""What a release is made of: one version everywhere, notes from the changelog, distributions, images."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from hatchling.builders.sdist import SdistBuilder

from scripts.release_notes import release_notes

REPOSITORY = Path(__file__).parents[2]
VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
COMPOSE = (REPOSITORY / "docker" / "compose.yaml").read_text(encoding="utf-8")
ADDRESS = "https://host.example/blob/v1.2.3/"
CHANGELOG = """# Changelog

## [Unreleased]

- To come.

## [1.2.3] - 2026-12-01

This is it.

### Added

- [A page](docs/page.md) beside [another](https://other.example/), see [above](#changelog).

## [1.2.2] - 2026-11-30

- Before.
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def test_the_notes_are_the_section_of_the_version_with_links_that_lead_somewhere(repository: Path) -> None:
    assert release_notes(repository, "v1.2.3", ADDRESS) == (
        "This is it.\n\n### Added\n\n"
        f"- [A page]({ADDRESS}docs/page.md) beside [another](https://other.example/), see [above](#changelog).\n"
    )


@pytest.mark.parametrize("tag", ["v1.2.2", "1.2.3", "v1.2.3rc1", "v1.2.30"])
def test_another_tag_than_the_versions_is_refused(repository: Path, tag: str) -> None:
    with pytest.raises(
        SystemExit, match=re.escape(f"error: the tag is {tag}, and the version in pyproject.toml is 1.2.3")
    ):
        release_notes(repository, tag, ADDRESS)


@pytest.mark.parametrize("changed", [CHANGELOG.replace("## [1.2.3] - 2026-12-01", ""), "## [1.2.3] - 2026-12-01\n\n"])
def test_a_version_of_which_the_changelog_says_nothing_is_refused(repository: Path, changed: str) -> None:
    (repository / "CHANGELOG.md").write_text(changed)
    with pytest.raises(SystemExit, match=r"CHANGELOG\.md says nothing below a heading"):
        release_notes(repository, "v1.2.3", ADDRESS)


def test_images_have_the_version_of_the_package() -> None:
    config = (REPOSITORY / "config.env").read_text(encoding="utf-8")
    assert re.findall(r"^VERSION=(.+)$", config, re.MULTILINE) == [VERSION]
    assert set(re.findall(r"\$\{VERSION:-(.+?)\}", COMPOSE)) == {VERSION}


def test_every_image_that_is_built_is_joined_and_signed() -> None:
    built = set(re.findall(r"image: \$\{IMAGE_REGISTRY:-\}modelyard-([\w-]+)", COMPOSE))
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "images.yml").read_text(encoding="utf-8"))
    runs = [step.get("run", "") for step in workflow["jobs"]["publish"]["steps"]]
    [services] = [found[1].split() for run in runs if (found := re.search(r"for service in (.+); do", run))]
    assert set(services) == built - {"airflow-"} | {"airflow-docker", "airflow-process"}


def test_the_source_distribution_has_what_the_wheel_is_built_of_and_nothing_else() -> None:
    names = {file.distribution_path for file in SdistBuilder(str(REPOSITORY)).recurse_included_files()}
    assert "src/modelyard/py.typed" in names
    # pyproject.toml and the two files that it names come with every one.
    assert {name for name in names if not name.startswith("src/modelyard/")} == {"CHANGELOG.md"}
