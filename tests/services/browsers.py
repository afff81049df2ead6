"""The frontend as a process, and a real browser that looks at it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from modelyard.settings import child_environment
from tests.services.running_api import PATIENCE_SECONDS, REPOSITORY, free_port, wait_until

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def browser_path() -> str | None:
    """Where a browser is on this machine."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


needs_browser = pytest.mark.skipif(
    browser_path() is None,
    reason=f"no browser is installed: one of {', '.join(BROWSERS)} on PATH, and `make browser` installs one",
)


@contextmanager
def running_frontend(api_url: str, folder: Path, **variables: str) -> Iterator[str]:
    """Starts the frontend on a free port and ends it; where it answers.

    Args:
        api_url: The API that it shows.
        folder: Gets its log.
        variables: More of its environment.
    """
    port = free_port()
    usual = {"API_URL": api_url, "FRONTEND_PORT": str(port), "MODELYARD_HOME": str(folder)}
    environment = child_environment(usual | variables)
    output = folder / f"frontend-{port}.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.frontend"], cwd=REPOSITORY, env=environment, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _is_ok(url), lambda: output.read_text(encoding="utf-8"))
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@contextmanager
def headless_browser() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox", "--lang=en"])
        try:
            yield browser
        finally:
            browser.close()


def _is_ok(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_stcore/health", trust_env=False).text == "ok"
    except httpx.TransportError:
        return False
