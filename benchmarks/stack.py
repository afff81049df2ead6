"""Measures the platform in containers, with new volumes and the images that are there: `make bench-stack`."""

import json
import os
import subprocess
import time
from pathlib import Path

from minio import Minio

from tests.stack.conftest import PORTS, free_ports
from tests.stack.platform_in_containers import REPOSITORY, Stack

IDLE_SECONDS = 60
MIB = {"KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}
NEW_RECORDS = 2000


def main() -> None:
    """Measures, prints a table, and writes stack.json."""
    ports = {name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
    stack = Stack({**os.environ, **ports, "COMPOSE_PROJECT_NAME": "modelyard-bench"})
    measured: dict[str, float] = {}
    try:
        started = time.monotonic()
        stack.compose("up", "--detach", "--wait", show=True)
        measured["up to all healthy, s"] = time.monotonic() - started
        stack.wait_for_training()
        measured["up to the first answer, s"] = time.monotonic() - started
        measured["loop in containers, trigger to served, s"] = loop(stack, 1)
        time.sleep(IDLE_SECONDS)
        measured |= memory(stack)
        processes = Stack({**stack.environment, "STEP_RUNNER": "process"})
        processes.compose("up", "--detach", "--wait", show=True)
        measured["loop in processes, trigger to served, s"] = loop(processes, 2)
    finally:
        stack.compose("down", "--volumes", "--timeout", "5", show=True)
    measured |= image_sizes()
    for name, value in measured.items():
        print(f"{name:<52} {value:10.0f}")
    home = Path(os.environ.get("MODELYARD_HOME", ".modelyard"))
    home.mkdir(parents=True, exist_ok=True)
    (home / "stack.json").write_text(json.dumps(measured, indent=2), encoding="utf-8")


def loop(stack: Stack, number: int) -> float:
    """Seconds from the start of a load of new records to the end of the training that follows."""
    name = f"bench-{number}.csv"
    header, *lines = (REPOSITORY / "data" / "loan_approval.csv").read_text(encoding="utf-8").splitlines()
    new = [f"{number * 1_000_000 + row}{line[line.index(',') :]}" for row, line in enumerate(lines[:NEW_RECORDS])]
    file = Path(os.environ.get("TMPDIR", "/tmp")) / name  # noqa: S108 (nobody else's business, and removed)
    file.write_text("\n".join([header, *new, ""]), encoding="utf-8")
    client = Minio(
        endpoint=f"127.0.0.1:{stack.environment['MINIO_PORT']}",
        access_key="data",
        secret_key="modelyard-data",  # noqa: S106 (the default of a laptop)
        secure=False,
    )
    client.fput_object(bucket_name="data", object_name=name, file_path=str(file))
    file.unlink()
    started = time.monotonic()
    stack.run_loop(source=f"s3://data/{name}")
    return time.monotonic() - started


def memory(stack: Stack) -> dict[str, float]:
    """Memory of each service while nothing runs, and the sum."""
    form = "{{.Name}} {{.MemUsage}}"
    said = subprocess.run(
        ["docker", "stats", "--no-stream", "--format", form],  # noqa: S607 (docker is where PATH says)
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found: dict[str, float] = {}
    for line in said.splitlines():
        name, used = line.split()[:2]
        if name.startswith(f"{stack.project}-"):
            service = name.removeprefix(f"{stack.project}-").removesuffix("-1")
            found[f"idle memory of {service}, MiB"] = float(used[:-3]) * MIB[used[-3:]]
    return {**found, "idle memory in sum, MiB": sum(found.values())}


def image_sizes() -> dict[str, float]:
    """Size of each image, in MB."""
    form = "{{.Repository}}:{{.Tag}}"
    listed = subprocess.run(
        ["docker", "images", "--format", form, "--filter", "reference=modelyard-*:*"],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = [name for name in listed.split() if "offline" not in name]
    inspected = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Size}}", *names],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {f"image {name}, MB": int(size) / 1e6 for name, size in zip(names, inspected.split(), strict=True)}


if __name__ == "__main__":
    main()
