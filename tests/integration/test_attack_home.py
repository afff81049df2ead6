"""Another user of the machine looks into the folder of all local state."""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from modelyard.home import let_others_pass, open_home


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_attack_another_user_reads_and_lists_nothing_where_a_server_must_pass() -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = open_home(Path(folder) / "home")
        check_that_nobody_reads(home)


def check_that_nobody_reads(home: Path) -> None:
    (home / "logs").mkdir()
    (home / "logs" / "api.log").write_text("what somebody asked")
    let_others_pass(home, home / "logs")
    for attempt in (["/bin/ls", str(home)], ["/bin/cat", str(home / "logs" / "api.log")]):
        done = subprocess.run(attempt, check=False, capture_output=True, text=True, user="nobody")
        assert "Permission denied" in done.stderr
    assert open_home(home).stat().st_mode & 0o011
