"""Runs a command in a user namespace of its own, in which root is an ordinary user.

    python user_namespace.py UID GID COMMAND...

Postgres refuses to run as root. In a namespace that maps root to one ordinary user, it runs without root's powers,
while its files stay root's: nothing has to be opened or given away for it. See user_namespaces(7).

A script of its own, because the kernel lets only a process with a single thread enter a new user namespace.
"""

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x1000_0000


def enter(uid: int, gid: int) -> None:
    """Puts this process into a new user namespace, in which it has these ids.

    Raises:
        OSError: The kernel, or the container's security profile, does not allow it.
    """
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "no user namespace can be made here")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


if __name__ == "__main__":
    enter(int(sys.argv[1]), int(sys.argv[2]))
    # Replacing this process drops what powers it has over its own namespace.
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 (a list from account.py, no shell)
