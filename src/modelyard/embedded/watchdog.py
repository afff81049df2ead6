"""Stops the servers of a home whose users are gone without having stopped them, killed or cut off.

    python -m modelyard.embedded.watchdog HOME LOCK

Started with a home's first server, gone after its last. HOME is the folder of all local state, LOCK the descriptor of
the guard's lock, which its starter took for it.
"""

import logging
import os
import sys
import time
from pathlib import Path
from typing import IO

from modelyard.embedded.mlflow import MlflowProcesses
from modelyard.embedded.postgres import PostgresServer
from modelyard.embedded.processes import MarkedProcesses
from modelyard.embedded.shared import Stoppable, end_if_unused, is_used, stop_unused

LOOK_SECONDS = 0.2


def guard(home: Path, lock: IO[str]) -> None:
    """Watches until nobody uses any server of a home, and ends the process.

    Args:
        home: The folder of all local state.
        lock: The guard's lock, held.
    """
    postgres = PostgresServer(home)
    # All need Postgres: it is stopped last, and nobody uses the others without it.
    servers = (MarkedProcesses(home), MlflowProcesses(home), postgres)
    while True:
        _watch(home, servers)
        # Also what was killed with its starter before it was ever seen in use.
        for server in servers:
            stop_unused(home, server)
        end_if_unused(home, postgres.name, lock)


def _watch(home: Path, servers: tuple[Stoppable, ...]) -> None:
    used = set(servers)
    while used:
        time.sleep(LOOK_SECONDS)
        used = {server for server in servers if _is_still_used(home, server, server in used)}


def _is_still_used(home: Path, server: Stoppable, was_used: bool) -> bool:
    return stop_unused(home, server) if was_used else is_used(home, server.name)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with os.fdopen(int(sys.argv[2]), "a") as held:
        guard(Path(sys.argv[1]).resolve(), held)
