"""`make secrets`: writes secrets.env with secrets of your own for every default one. Standard library only."""

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
FILE = REPOSITORY / "secrets.env"
DOCUMENTED = re.compile(r"^# ([A-Z0-9_]+)=\S+$", re.MULTILINE)


def main() -> int:
    """Writes the file; returns the exit code."""
    if FILE.exists():
        return fail("secrets.env is there already: remove the lines, or the file, that shall be made anew")
    names = DOCUMENTED.findall((REPOSITORY / "config.env").read_text(encoding="utf-8"))
    made = {name: secrets.token_hex(20) for name in names}
    if database_is_there() and not change_administrator(made["POSTGRES_PASSWORD"]):
        return fail("the database has the administrator's old password: `make up` first, then `make secrets` again")
    descriptor = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.writelines(f"{name}={value}\n" for name, value in made.items())
    sys.stdout.write(f"secrets.env has {len(made)} secrets; `make up` takes them\n")
    return 0


def database_is_there() -> bool:
    """Whether the database was made before, with the password of then."""
    try:
        name = json.loads(compose("config", "--format", "json").stdout)["volumes"]["postgres"]["name"]
    except FileNotFoundError:
        return False
    found = subprocess.run(["docker", "volume", "inspect", name], check=False, capture_output=True)
    return found.returncode == 0


def change_administrator(password: str) -> bool:
    """Gives the running database's administrator another password; returns whether it did."""
    statement = f"alter role postgres password '{password}';"
    return not compose("exec", "-T", "postgres", "psql", "-U", "postgres", "-q", stdin=statement).returncode


def compose(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    """Runs compose; what is secret goes through its standard input, where no list of processes shows it."""
    command = ["docker", "compose", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, input=stdin, cwd=REPOSITORY)


def fail(reason: str) -> int:
    """Tells people why not; returns the exit code."""
    sys.stderr.write(f"error: {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
