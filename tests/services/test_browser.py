"""The frontend as people meet it: a real process, a real API, a real browser without a window."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine

from modelyard.contract import Contract, Feature, FeatureType, Target, TaskKind
from modelyard.embedded.postgres import Postgres
from modelyard.pictures import to_base64
from tests.services.browsers import headless_browser, needs_browser, running_frontend
from tests.services.folder_source import FolderSource
from tests.services.made_models import EVERY_RECORD, LOAN_RECORD, every_type_contract, loan_contract, put
from tests.services.running_api import running_api

PATIENCE_MS = 90_000

pytestmark = needs_browser


@pytest.fixture(scope="module")
def frontend(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the frontend answers, with an API behind it that serves two use cases."""
    source = FolderSource(tmp_path_factory.mktemp("registry"))
    put(source, 1, loan_contract(threshold=0.4), LOAN_RECORD)
    put(source, 1, every_type_contract(TaskKind.MULTICLASS), EVERY_RECORD)
    spots = spots_contract()
    put(source, 1, spots, spots.example)
    source.point(loan_approval=1, every_multiclass=1, spots=1)
    services = {
        "Here": {"health": "http://127.0.0.1:1/", "link": "https://example.org/here", "purpose": "to be away"},
    }
    home = tmp_path_factory.mktemp("home")
    arguments = ["tests.services.folder_api", str(source.folder)]
    url = postgres.url("raw_data", "api")
    with running_api(arguments, home, url, platform_services=json.dumps(services)) as api:
        api.wait_for_version(1)
        api.wait_for_version(1, "every_multiclass")
        api.wait_for_version(1, "spots")
        with running_frontend(str(api.client.base_url), home) as address:
            yield address


def spots_contract() -> Contract:
    """A model of pictures."""
    pixels = np.full((16, 16, 3), 90, dtype=np.uint8)
    return Contract(
        use_case="spots",
        title="Spots",
        kind=TaskKind.IMAGE,
        features=(Feature(name="image", type=FeatureType.IMAGE, title="Picture of a spot", shape=(16, 16, 3)),),
        target=Target(name="spot", classes=("none", "one")),
        example={"image": to_base64(pixels)},
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with headless_browser() as running:
        yield running


@pytest.fixture
def page(frontend: str, browser: Browser, raw_engine: Engine) -> Iterator[Page]:
    """A page on which no script fails."""
    assert raw_engine
    failures: list[str] = []
    opened = browser.new_page(base_url=frontend, viewport={"width": 1360, "height": 950})
    opened.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    opened.on("pageerror", lambda error: failures.append(str(error)))
    yield opened
    assert failures == []
    expect(opened.get_by_text("Traceback")).to_have_count(0)
    opened.close()


def press(page: Page, button: str) -> None:
    """Presses a button once the page is drawn: a press while it is drawn anew may meet a button that goes."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.get_by_role("button", name=button, exact=True).click()


def test_a_person_fills_in_the_form_and_gets_an_answer(page: Page, tmp_path: Path) -> None:
    page.goto("/?use_case=loan_approval")
    expect(page.get_by_role("heading", name="Loan approval")).to_be_visible()
    page.get_by_role("spinbutton", name="Age (years)").fill("69")
    page.get_by_text("Yes", exact=True).click()
    press(page, "Predict")
    expect(page.locator(".my-said")).to_have_text("Approved")
    expect(page.locator(".my-scale")).to_be_visible()
    request_id = page.locator(".my-mono").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as JSON").click()
    download.value.save_as(tmp_path / "answer.json")
    saved = json.loads((tmp_path / "answer.json").read_text(encoding="utf-8"))
    assert saved["answer"]["request_id"] == request_id
    assert saved["record"]["age"] == 69
    assert saved["record"]["had_past_default"] is True


def test_a_mistake_is_a_sentence_where_the_answer_would_be(page: Page) -> None:
    page.goto("/?use_case=loan_approval")
    press(page, "Clear")
    expect(page.get_by_role("spinbutton", name="Age (years)")).to_have_value("")
    press(page, "Predict")
    expect(page.get_by_text("Is missing: it must be a whole number (1 to 50 years).")).to_be_visible()
    expect(page.get_by_text("There is no answer yet:")).to_be_visible()


def test_another_use_case_is_a_choice_away_and_the_pages_know_it(page: Page) -> None:
    page.goto("/")
    page.get_by_role("combobox", name="Use case").click()
    page.get_by_role("option", name="Every multiclass").click()
    expect(page.get_by_role("heading", name="Every multiclass")).to_be_visible()
    assert "use_case=every_multiclass" in page.url
    press(page, "Predict")
    expect(page.locator(".my-bar")).to_have_count(3)
    page.get_by_role("link", name="Last predictions").click()
    expect(page.get_by_text("What was answered last for Every multiclass")).to_be_visible()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()


def test_times_are_those_of_who_looks(frontend: str, browser: Browser, page: Page) -> None:
    asked = datetime.now(ZoneInfo("Asia/Tokyo"))
    page.goto("/?use_case=spots")
    press(page, "Predict")
    expect(page.locator(".my-said")).to_be_visible()
    answered = datetime.now(ZoneInfo("Asia/Tokyo"))
    abroad = browser.new_page(base_url=frontend, timezone_id="Asia/Tokyo")
    abroad.goto("/predictions?use_case=spots")
    table = abroad.get_by_test_id("stDataFrame")
    expect(table.locator("th", has_text="Time (Asia/Tokyo)")).to_be_attached()
    hour = re.compile("|".join(f"{moment:%Y-%m-%d %H}:" for moment in (asked, answered)))
    expect(table.locator("td", has_text=hour).first).to_be_attached()
    abroad.close()


def test_the_page_is_dark_where_the_browser_is(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto("/?use_case=spots")
    expect(page.get_by_test_id("stApp")).to_have_css("color-scheme", "dark")
    expect(page.locator(".st-key-answer")).to_have_css("background-color", "rgb(25, 34, 39)")


def test_the_overview_shows_services_with_links_and_the_models(page: Page) -> None:
    page.goto("/platform")
    expect(page.get_by_text("does not answer")).to_be_visible()
    expect(page.get_by_role("link", name="Open Here")).to_have_attribute("href", "https://example.org/here")
    expect(page.get_by_text("Version 1 is in production and has proven itself on its example")).to_have_count(3)


def test_nobody_is_told_of_what_is_looked_at(page: Page, frontend: str) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(httpx.URL(request.url).netloc.decode()))
    page.goto("/")
    expect(page.get_by_role("button", name="Predict")).to_be_visible()
    assert hosts == {httpx.URL(frontend).netloc.decode()}


def test_a_picture_is_uploaded_and_stands_beside_the_answer(page: Page, tmp_path: Path) -> None:
    page.goto("/?use_case=spots")
    expect(page.get_by_role("heading", name="Spots")).to_be_visible()
    press(page, "Predict")
    expect(page.locator(".my-said")).to_be_visible()
    of_the_example = page.locator(".my-mono").inner_text()
    Image.new("RGB", (300, 200), (250, 250, 250)).save(tmp_path / "bright.png")
    page.locator("input[type=file]").set_input_files(tmp_path / "bright.png")
    expect(page.get_by_text("bright.png").first).to_be_visible()
    press(page, "Predict")
    expect(page.locator(".my-mono")).not_to_have_text(of_the_example)
    expect(page.locator(".st-key-answer img")).to_be_visible()
    press(page, "Fill in the example")
    expect(page.get_by_text("bright.png")).to_have_count(0)
    (tmp_path / "text.jpg").write_text("no picture", encoding="utf-8")
    page.locator("input[type=file]").set_input_files(tmp_path / "text.jpg")
    press(page, "Predict")
    expect(page.get_by_text("is no picture in JPEG, PNG or WebP format")).to_be_visible()
