"""Work on files that others made, in a process of its own: with limits of memory and time, and without secrets.

Whatever such work comes to, it ends, and its end is a sentence.
"""

import importlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from modelyard.errors import UnusableModel
from modelyard.settings import bare_environment

UNUSABLE = 1
MOST_SAID_BYTES = 2000
MEGABYTE = 2**20
# A thread for each processor would each take memory, and leave none to those who answer.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Limits(NamedTuple):
    """What a process may take.

    Attributes:
        memory_bytes: Memory.
        processor_seconds: Time in which it computes.
        seconds: Time from its start to its end.
        file_bytes: The size of a file that it writes.
    """

    memory_bytes: int
    processor_seconds: int
    seconds: float
    file_bytes: int = MEGABYTE


def run_apart(task: str, arguments: Sequence[str], limits: Limits) -> None:
    """Runs a function in a process of its own; what it makes it leaves in files.

    Args:
        task: The function, as module:function. It says what is wrong with the files by raising UnusableModel.
        arguments: What it is called with.
        limits: What the process may take.

    Raises:
        UnusableModel: The function has raised it, or the process has come to a limit or another end.
    """
    numbers = (limits.memory_bytes, limits.processor_seconds, limits.file_bytes)
    command = [sys.executable, "-m", __name__, *map(str, numbers), task, *arguments]
    with TemporaryFile() as said, _started(command, said) as process:
        try:
            code = process.wait(limits.seconds)
        except subprocess.TimeoutExpired as error:
            raise UnusableModel(f"it was not done after {limits.seconds:g} s") from error
        if code == UNUSABLE:
            said.seek(0)
            raise UnusableModel(said.read(MOST_SAID_BYTES).decode(errors="replace"))
        if code:
            raise UnusableModel(_end(code, limits))


@contextmanager
def _started(command: list[str], said: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, and with this process."""
    environment = bare_environment() | ONE_THREAD | {"PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command,
        # Nothing is written there: it closes when this process ends, however it ends.
        stdin=subprocess.PIPE,
        stdout=said,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _end(code: int, limits: Limits) -> str:
    if -code == signal.SIGXCPU:
        return f"it was not done after {limits.processor_seconds} s of computing"
    memory = f"it may take {limits.memory_bytes // MEGABYTE} MB of memory"
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return f"the process that tried it {ended}; {memory}"


def _main(memory_bytes: str, processor_seconds: str, file_bytes: str, task: str, *arguments: str) -> int:
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, int(memory_bytes)),
        (resource.RLIMIT_FSIZE, int(file_bytes)),
    ):
        resource.setrlimit(limit, (most, most))
    # At the second one it is killed; the first is told apart from all other ends.
    resource.setrlimit(resource.RLIMIT_CPU, (int(processor_seconds), int(processor_seconds) + 1))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, _, function = task.partition(":")
    try:
        getattr(importlib.import_module(module), function)(*arguments)
    except MemoryError:
        sys.stdout.write(f"it needs more than {int(memory_bytes) // MEGABYTE} MB of memory")
        return UNUSABLE
    except Exception as error:  # noqa: BLE001 (the process's outermost edge: what others made can be wrong in any way)
        kind = "" if isinstance(error, UnusableModel) else f"{type(error).__name__}: "
        sys.stdout.write(f"{kind}{str(error).strip().partition(chr(10))[0]}")
        return UNUSABLE
    return 0


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(UNUSABLE)


if __name__ == "__main__":
    # Without the interpreter's own end: threads of libraries may still compute.
    exit_code = _main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(exit_code)
