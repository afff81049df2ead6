"""What is printed of the public base images. That registries are asked is seen where one can be reached."""

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "docker" / "base_images.py"
NAMES = re.findall(r"^(\w+_IMAGE)=\S+$", (REPOSITORY / "config.env").read_text(encoding="utf-8"), re.MULTILINE)


def printed(**environment: str) -> subprocess.CompletedProcess[str]:
    """What comes of it where there is no docker command."""
    return subprocess.run([sys.executable, SCRIPT], check=False, capture_output=True, text=True, env=environment)


def test_what_has_a_digest_is_printed_as_it_is() -> None:
    given = {name: f"registry.example/{name.lower()}@sha256:{'0' * 64}" for name in NAMES}
    assert len(given) == 4
    assert printed(PATH="", **given).stdout.splitlines() == [f"{name}={image}" for name, image in given.items()]


def test_without_docker_a_sentence_names_the_image() -> None:
    done = printed(PATH="")
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no docker command to pull python:")
    assert "Traceback" not in done.stderr
