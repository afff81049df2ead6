"""The how-to for a use case of one's own, followed on the running platform: a table by Docker alone, and pictures."""

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.how_to import blocks, record
from tests.painted import encoded, photo, write_photos
from tests.services.browsers import headless_browser, needs_browser
from tests.stack.platform_in_containers import REPOSITORY, Stack, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]

WHAT_COMPOSE_READS = ("docker-compose.yaml", "config.env")
DAGS_SECONDS = 180
PATIENCE_MS = 60_000
PICTURES_OF_EACH_CLASS = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This folder as somebody finds it who has just cloned it, without what images are built of."""
    clone = tmp_path_factory.mktemp("clone")
    clone.chmod(0o755)
    for name in WHAT_COMPOSE_READS:
        shutil.copy(REPOSITORY / name, clone)
    shutil.copytree(REPOSITORY / "docker", clone / "docker", symlinks=True)
    (clone / "data").mkdir()
    shutil.copy(REPOSITORY / "data" / "make_customers.py", clone / "data")
    (clone / "use_cases").mkdir()
    return clone


@pytest.fixture(scope="module")
def churn(stack: Stack, folder: Path) -> Stack:
    """The platform after all commands of the how-to about a table."""
    said = follow("needs Docker", "churn", stack, folder)
    assert "use_cases/churn.py: one of two classes from 6 features, made from 3000 records" in said
    return stack


@pytest.fixture(scope="module")
def sky(stack_with_tensorflow: Stack, folder: Path) -> Stack:
    """The platform after all commands of the how-to about pictures."""
    write_photos(folder / "data" / "sky", PICTURES_OF_EACH_CLASS)
    said = follow("needs Docker and pictures", "sky", stack_with_tensorflow, folder)
    assert "use_cases/sky.py: one of 2 classes from a picture, made from 300 pictures" in said
    return stack_with_tensorflow


def follow(needs: str, use_case: str, stack: Stack, folder: Path) -> str:
    """Proposes and trains a use case as the how-to says; returns what was said of the proposal."""
    propose, start = blocks(needs)
    said = run(propose, stack, folder)
    wait_until(lambda: is_there(stack, f"{use_case}.load_raw_data"), "the DAG of the new use case", DAGS_SECONDS)
    run(start, stack, folder)
    stack.wait_for_training(use_case)
    return said


def run(block: str, stack: Stack, folder: Path) -> str:
    command = ["/bin/bash", "-euo", "pipefail", "-c", block]
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=stack.environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def is_there(stack: Stack, dag: str) -> bool:
    with stack.airflow() as client:
        return client.get(f"/api/v2/dags/{dag}").status_code == httpx.codes.OK


def test_what_was_written_is_the_users(churn: Stack, folder: Path) -> None:
    owner = int(churn.environment["HOST_UID"])
    for file in ("use_cases/churn.py", "data/own/churn.csv"):
        assert (folder / file).stat().st_uid == owner


def test_the_api_answers_and_keeps_what_it_said(churn: Stack) -> None:
    with httpx.Client(base_url=churn.url("API_PORT"), trust_env=False, timeout=30) as client:
        features = client.get("/info").raise_for_status().json()["use_cases"]["churn"]["features"]
        asked = client.post("/predict/churn", content=record(), headers={"Content-Type": "application/json"})
    assert [each["title"] for each in features][:2] == ["Months as customer", "Monthly fee"]
    answer = asked.raise_for_status().json()
    assert (answer["prediction"], answer["model_version"]) == ("yes", 1)
    found = f"select use_case, prediction from predictions where request_id = '{answer['request_id']}'"
    assert churn.psql("raw_data", found) == ['churn|"yes"']


@needs_browser
def test_the_form_answers(churn: Stack) -> None:
    expect.set_options(timeout=PATIENCE_MS)
    with headless_browser() as browser:
        page = browser.new_page(base_url=churn.url("FRONTEND_PORT"))
        page.goto("/?use_case=churn")
        expect(page.get_by_role("heading", name="Churn")).to_be_visible()
        page.get_by_role("spinbutton", name="Months as customer").fill("3")
        page.get_by_role("button", name="Predict").click()
        expect(page.locator(".my-said")).to_be_visible()
        request_id = page.locator(".my-mono").inner_text()
    found = f"select features->>'months_as_customer' from predictions where request_id = '{request_id}'"
    assert churn.psql("raw_data", found) == ["3"]


def test_the_api_answers_to_a_picture_and_keeps_what_it_said(sky: Stack) -> None:
    with httpx.Client(base_url=sky.url("API_PORT"), trust_env=False, timeout=30) as client:
        asked = client.post("/predict/sky", files={"image": ("evening.png", encoded(photo("warm", seed=7000)))})
    answer = asked.raise_for_status().json()
    assert (answer["prediction"], answer["model_version"]) == ("warm", 1)
    found = f"select use_case, prediction from predictions where request_id = '{answer['request_id']}'"
    assert sky.psql("raw_data", found) == ['sky|"warm"']
