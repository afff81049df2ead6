"""Prints the settings of config.env that name public base images, each with its digest. Standard library only.

Put into the environment, they make compose build on just these images and run just these, wherever a tag points later.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

CONFIG = Path(__file__).parents[1] / "config.env"
SETTING = re.compile(r"^(\w+_IMAGE)=(\S+)$", re.MULTILINE)


def main() -> None:
    """Prints a line for each setting."""
    for name, image in SETTING.findall(CONFIG.read_text(encoding="utf-8")):
        sys.stdout.write(f"{name}={resolve(os.environ.get(name) or image)}\n")


def resolve(image: str) -> str:
    """An image's name with the digest that its registry gives; one that has a digest stays as it is."""
    if "@" in image:
        return image
    if not shutil.which("docker"):
        sys.exit(f"error: there is no docker command to pull {image} with, whose digest is known to its registry only")
    if subprocess.run(["docker", "pull", "--quiet", image], check=False, stdout=sys.stderr).returncode:
        sys.exit(f"error: {image} cannot be pulled, and its digest is known to its registry only")
    found = subprocess.run(["docker", "image", "inspect", image], check=True, stdout=subprocess.PIPE)
    return str(json.loads(found.stdout)[0]["RepoDigests"][0])


if __name__ == "__main__":
    main()
