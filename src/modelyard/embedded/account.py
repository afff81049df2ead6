"""Whom the embedded Postgres runs as: it refuses root, and nothing outside the home may be opened for it."""

import logging
import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelyard.embedded import user_namespace
from modelyard.errors import BadInput
from modelyard.home import let_others_pass

LOGGER = logging.getLogger(__name__)

ORDINARY_USER = "nobody"
NEEDS_NO_SITE = ("-I", "-S")


@dataclass(frozen=True)
class Account:
    """Whom a command runs as.

    Attributes:
        prefix: What stands before the command.
        uid: The user to switch to; None: who we are.
        gid: The group to switch to; None: who we are.
    """

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def run(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, out of reach of the terminal's Ctrl-C, its output captured."""
        return subprocess.run(
            [*self.prefix, *map(str, command)],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            start_new_session=True,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )

    def own(self, path: Path) -> None:
        """Gives a file or folder, with all in it, to the user that commands are run as."""
        if self.uid is None or self.gid is None:
            return
        for each in (path, *path.rglob("*")):
            os.chown(each, self.uid, self.gid, follow_symlinks=False)


def choose_account(home: Path, folder: Path, program: Path, log: Path) -> Account:
    """Whom to run as, so that a program which refuses root can write into a folder of ours.

    An ordinary user stays what he is. Root becomes the folder's owner if that is not root, else an ordinary user in a
    user namespace, where its files stay root's; where no such namespace can be made, the user nobody.

    Args:
        home: The folder of all local state, which holds `folder` and `log`; the user nobody may pass through it then.
        folder: What the program keeps its files in; it exists.
        program: The program.
        log: The file that it writes its log into.

    Raises:
        BadInput: Run as root, and neither is possible. The message names the folder that is in the way.
    """
    if os.geteuid() != 0:
        return Account()
    owner = folder.stat().st_uid
    if owner != 0:
        return _switched(pwd.getpwuid(owner))
    nobody = pwd.getpwnam(ORDINARY_USER)
    inside = _in_namespace(nobody)
    if inside.run([program, "--version"]).returncode == 0:
        return inside
    let_others_pass(home, log.parent)
    for needed in (folder, program, log):
        _check_that_others_may_enter(needed)
    LOGGER.info("no user namespace can be made here: Postgres runs as the user %s", ORDINARY_USER)
    return _switched(nobody)


def _in_namespace(user: pwd.struct_passwd) -> Account:
    script = str(Path(user_namespace.__file__).resolve())
    return Account((sys.executable, *NEEDS_NO_SITE, script, str(user.pw_uid), str(user.pw_gid)))


def _switched(user: pwd.struct_passwd) -> Account:
    return Account(uid=user.pw_uid, gid=user.pw_gid)


def _check_that_others_may_enter(path: Path) -> None:
    for parent in reversed(path.resolve().parents):
        if not parent.stat().st_mode & stat.S_IXOTH:
            raise BadInput(
                f"Postgres does not run as root, no user namespace can be made here, and the user {ORDINARY_USER} "
                f"may not enter {parent}: run this as an ordinary user, or put the project and MODELYARD_HOME "
                "under a folder that others may enter"
            )
