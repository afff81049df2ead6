"""Pictures of the frontend for `docs/images`, taken of the platform that runs: `make screenshots`.

    python -m tests.screenshots [ADDRESS [USE_CASE…]]

Takes the page of each use case with the answer to its example, the last predictions of the first, and the platform.
"""

import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from modelyard.settings import read_settings
from tests.services.browsers import headless_browser

FOLDER = Path(__file__).parents[1] / "docs" / "images"
SIZE = {"width": 1280, "height": 860}
PATIENCE_MS = 60_000
SETTLED_MS = 1500
COLOURS = 256


def main(address: str, use_cases: list[str]) -> None:
    """Takes the pictures."""
    expect.set_options(timeout=PATIENCE_MS)
    with headless_browser() as browser:
        page = browser.new_page(base_url=address, viewport=SIZE, device_scale_factor=1)  # type: ignore[arg-type]
        for use_case in use_cases:
            take_answer(page, use_case)
        page.goto(f"/predictions?use_case={use_cases[0]}")
        expect(page.get_by_test_id("stDataFrame")).to_be_visible()
        keep(page, "frontend-predictions")
        page.goto("/platform")
        expect(page.get_by_text("Open").first).to_be_visible()
        keep(page, "frontend-platform")


def take_answer(page: Page, use_case: str) -> None:
    """Takes the page of a use case with the answer to its example."""
    page.goto(f"/?use_case={use_case}")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator(".my-said")).to_be_visible()
    keep(page, f"frontend-{use_case.replace('_', '-')}")


def keep(page: Page, name: str) -> None:
    """Keeps what is seen as a small picture."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(SETTLED_MS)
    picture = Image.open(BytesIO(page.screenshot()))
    file = FOLDER / f"{name}.png"
    picture.convert("RGB").quantize(COLOURS).save(file, optimize=True)
    sys.stdout.write(f"{file} ({file.stat().st_size // 1024} kB)\n")


if __name__ == "__main__":
    settings = read_settings()
    here = sys.argv[1] if len(sys.argv) > 1 else f"http://127.0.0.1:{settings.frontend_port}"
    main(here, sys.argv[2:] or [settings.default_use_case])
