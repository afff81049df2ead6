"""`down-local` says that the platform is down once its process is gone, which is after it has given back its lock."""

import subprocess
import sys
import tempfile
from pathlib import Path

from modelyard.native.lifecycle import down_local
from modelyard.settings import Settings

# Holds the platform of a home as the real one does, and takes its time after the lock.
HOLDER = """
import os, signal, sys, time
from pathlib import Path
from modelyard.embedded.locks import lock_at_once, open_lock, run_folder
from modelyard.native.runtime import LOCK, Holder, Ports

home = Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
try:
    with open_lock(home, LOCK) as lock:
        assert lock_at_once(lock)
        holder = Holder(kind="platform", pid=os.getpid(), ports=Ports.free(), healthy=True)
        (run_folder(home) / "platform.json").write_text(holder.model_dump_json())
        print("held", flush=True)
        signal.pause()
finally:
    time.sleep(1)
"""


def test_the_platform_is_down_when_its_process_is_gone() -> None:
    with tempfile.TemporaryDirectory(prefix="modelyard-test-") as folder:
        command = [sys.executable, "-c", HOLDER, folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            try:
                down_local(Settings(_env_file=None, modelyard_home=Path(folder)))
                assert holder.poll() == 0
            finally:
                holder.kill()
