"""The parts of an API process are stopped whole, however far their start came and whatever goes wrong."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.settings import Settings
from services.api import service as service_module
from services.api.limits.traffic import Traffic
from services.api.log.drain import Drain
from services.api.log.spool import Spool
from services.api.models.heartbeat import Heartbeat
from services.api.models.registry_watch import RegistryWatch
from services.api.models.served import Models
from services.api.models.shadow import Shadows
from services.api.service import Service, running
from tests.services.folder_source import FolderSource
from tests.services.running_api import free_port


class Broken(Exception):
    """What is made to go wrong."""


def breaks(*_: object, **__: object) -> None:
    raise Broken


async def start_and_stop(folder: Path, meanwhile: Callable[[Service], None]) -> None:
    source = FolderSource(folder / "registry")
    source.folder.mkdir()
    source.point()
    # Nobody answers there, as in an outage.
    url = f"postgresql+psycopg2://api@127.0.0.1:{free_port()}/raw_data"
    settings = Settings(_env_file=None, modelyard_home=folder / "home", api_poll_seconds=0.1)
    async with running(settings, url, source, Models("loans"), Traffic()) as service:
        meanwhile(service)


def check_nothing_is_left(folder: Path) -> None:
    assert not [each.name for each in threading.enumerate() if each.name.startswith(("spool", "registry-watch"))]
    assert list((folder / "home" / "spool").glob("*")) == []


@pytest.mark.parametrize(
    ("part", "method"),
    [
        (RegistryWatch, "stop"),
        (Shadows, "close"),
        (Drain, "stop"),
        (Heartbeat, "remove"),
        (Spool, "close"),
    ],
)
def test_whatever_fails_at_the_end_the_rest_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: type, method: str
) -> None:
    stop = getattr(part, method)

    def breaks_when_done(self: object) -> object:
        done = stop(self)
        if asyncio.iscoroutine(done):

            async def then_breaks() -> None:
                await done
                raise Broken

            return then_breaks()
        raise Broken

    monkeypatch.setattr(part, method, breaks_when_done)
    with pytest.raises(Broken):
        asyncio.run(start_and_stop(tmp_path, lambda _: None))
    check_nothing_is_left(tmp_path)


def test_what_fails_meanwhile_stops_it_whole(tmp_path: Path) -> None:
    with pytest.raises(Broken):
        asyncio.run(start_and_stop(tmp_path, breaks))
    check_nothing_is_left(tmp_path)


@pytest.mark.parametrize("part", ["PredictionLog", "Drain", "Heartbeat", "Shadows", "RegistryWatch", "UseCaseFiles"])
def test_a_start_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr(service_module, part, breaks)
    with pytest.raises(Broken):
        asyncio.run(start_and_stop(tmp_path, lambda _: None))
    check_nothing_is_left(tmp_path)


def test_a_spool_that_cannot_be_made_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool, "_measure", breaks)
    with pytest.raises(Broken):
        Spool.own(tmp_path / "spool", 2**20)
    assert list((tmp_path / "spool").iterdir()) == []
