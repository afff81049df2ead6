"""wrk, the client that serving is measured with: it takes little of the processor that it shares with the server."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from modelyard.errors import BadInput

SCRIPT = Path(__file__).with_name("post.lua")
MISSING = "serving is measured with wrk, which is not installed: `apt-get install wrk` (a package of Debian and Ubuntu)"


class Load(NamedTuple):
    """What wrk measured.

    Attributes:
        requests: How many were answered.
        seconds: For how long.
        failed: Those that were not answered with a 200, or not at all.
        p50_ms: Half of the answers came within.
        p99_ms: 99 of 100 did.
    """

    requests: int
    seconds: float
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def median_of(loads: Sequence[Load]) -> Load:
    """What several loads of the same kind measured, value by value the median; of failures all."""
    return Load(
        requests=round(median(load.requests for load in loads)),
        seconds=median(load.seconds for load in loads),
        failed=sum(load.failed for load in loads),
        p50_ms=median(load.p50_ms for load in loads),
        p99_ms=median(load.p99_ms for load in loads),
    )


def check_is_installed() -> None:
    """Returns when there is a wrk.

    Raises:
        BadInput: There is none; the message says how to get it.
    """
    if shutil.which("wrk") is None:
        raise BadInput(MISSING)


def post(url: str, body: Path, connections: int, seconds: float, rate: float | None = None) -> Load:
    """Posts a file again and again.

    Args:
        url: Where to.
        body: The file.
        connections: How many there are at the same time.
        seconds: For how long.
        rate: About how many requests a second, by pauses of random length; None: as many as are answered.
    """
    # A connection waits for its answer and then pauses.
    pause_ms = connections / rate * 1000 if rate else 0.0
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{round(seconds)}s"]
    command += ["--timeout", "30s", "--script", str(SCRIPT), url, "--", str(body), f"{pause_ms:.2f}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Load(**json.loads(output.splitlines()[-1]))
