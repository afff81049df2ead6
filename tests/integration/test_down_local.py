"""`down-local` says that the platform is down once its process is gone, which is after it has given back its lock."""

import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from modelyard.native import lifecycle as platform
from modelyard.native.lifecycle import down_local
from modelyard.native.runtime import holder_of
from modelyard.settings import Settings

HAS_ENDED = platform._has_ended
# Holds the platform of a home as the real one does, and stays after it has given back the lock until it may go.
HOLDER = """
import os, signal, sys
from pathlib import Path
from modelyard.embedded.locks import lock_at_once, open_lock, run_folder
from modelyard.native.runtime import LOCK, LockOwner, Ports

home = Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
try:
    with open_lock(home, LOCK) as lock:
        assert lock_at_once(lock)
        holder = LockOwner(kind="platform", pid=os.getpid(), ports=Ports.free(), healthy=True)
        (run_folder(home) / "platform.json").write_text(holder.model_dump_json())
        print("held", flush=True)
        signal.pause()
finally:
    sys.stdin.read()
"""


def has_ended(process: psutil.Process, holder: subprocess.Popen[str], home: Path) -> bool:
    """What `down_local` asks while it waits; the holder, once it has given back the lock, may go as somebody asks."""
    if holder_of(home) is None:
        assert holder.stdin is not None
        holder.stdin.close()
    return HAS_ENDED(process)


def test_the_platform_is_down_when_its_process_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="modelyard-test-") as folder:
        command = [sys.executable, "-c", HOLDER, folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            monkeypatch.setattr(platform, "_has_ended", lambda process: has_ended(process, holder, Path(folder)))
            assert holder.stdout.readline() == "held\n"
            try:
                down_local(Settings(_env_file=None, modelyard_home=Path(folder)))
                assert holder.poll() == 0
            finally:
                holder.kill()
