"""A page of a foreign site, whose name resolves to this machine by now, asks the services: none of them answers it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from modelyard.embedded.postgres import Postgres
from modelyard.settings import child_environment
from tests.rebinding import FOREIGN, ask, open_websocket
from tests.services.browsers import running_frontend
from tests.services.conftest import StartApi
from tests.services.made_models import LOAN_RECORD
from tests.services.running_api import PATIENCE_SECONDS, REPOSITORY, RunningApi, free_port, running_api, wait_until

OWN = "ml.example.org"
RECORD = json.dumps(LOAN_RECORD).encode()
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def api(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API that has no model, and one more name."""
    folder = tmp_path_factory.mktemp("registry")
    arguments = ["tests.services.folder_api", str(folder)]
    home = tmp_path_factory.mktemp("home")
    with running_api(arguments, home, postgres.url("raw_data", "api"), allowed_hosts=OWN) as running:
        yield str(running.client.base_url)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/metrics", None),
        ("GET", "/services", None),
        ("GET", "/docs", None),
        ("GET", "/openapi.json", None),
        ("GET", "/nothing-is-here", None),
        ("POST", "/predict", RECORD),
        ("POST", "/predict/loan_approval/batch", RECORD),
        ("OPTIONS", "/predict", None),
    ],
)
def test_the_api_tells_a_foreign_name_nothing(api: str, method: str, path: str, body: bytes | None) -> None:
    refused = ask(f"{api}{path}", [f"{FOREIGN}:8086"], method, body, JSON)
    assert refused.status == 421
    assert "ALLOWED_HOSTS" in json.loads(refused.body)["detail"]
    for right in (OWN, "localhost:1", "10.1.2.3:8086", "[::1]:8086"):
        assert ask(f"{api}{path}", [right], method, body, JSON).status != 421


@pytest.mark.parametrize(
    "hosts", [["localhost", FOREIGN], [FOREIGN, "localhost"], ["localhost", "localhost"], ["user@localhost"], [""]]
)
def test_the_api_is_not_confused_by_odd_headers(api: str, hosts: list[str]) -> None:
    assert ask(f"{api}/metrics", hosts).status in {400, 421}


def test_the_api_looks_at_the_header_whatever_the_request_line_says(api: str) -> None:
    assert ask(f"{api}/metrics", [FOREIGN], target="http://localhost/metrics").status == 421


def test_probes_are_answered_whatever_they_call_the_api(api: str) -> None:
    assert ask(f"{api}/live").status == 200
    assert ask(f"{api}/ready").status in {200, 503}
    assert ask(f"{api}/metrics", hosts=[]).status == 200


def test_a_prediction_for_a_foreign_name_is_neither_made_nor_kept(start_api: StartApi) -> None:
    with start_api() as running:
        running.wait_for_version(1)
        assert ask(f"{running.client.base_url}/predict", [FOREIGN], "POST", RECORD, JSON).status == 421
        assert predictions(running) == []
        assert ask(f"{running.client.base_url}/predict", ["localhost"], "POST", RECORD, JSON).status == 200
        assert len(predictions(running)) == 1


def predictions(api: RunningApi) -> list[object]:
    return list(api.client.get("/predictions/loan_approval").json()["predictions"])


@pytest.fixture(scope="module")
def frontend(api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the frontend answers, by one more name."""
    with running_frontend(api, tmp_path_factory.mktemp("frontend"), ALLOWED_HOSTS=OWN) as url:
        yield url


@pytest.mark.parametrize(
    "path", ["/", "/predict", "/_stcore/health", "/_stcore/host-config", "/media/x.png", "/static/x.js"]
)
def test_the_frontend_tells_a_foreign_name_nothing(frontend: str, path: str) -> None:
    assert ask(f"{frontend}{path}", [f"{FOREIGN}:8501"]).status == 421
    for right in (OWN, "localhost:1", "10.1.2.3:8501"):
        assert ask(f"{frontend}{path}", [right]).status != 421


def test_the_frontend_takes_no_file_from_a_foreign_name(frontend: str) -> None:
    assert ask(f"{frontend}/_stcore/upload_file/session/file", [FOREIGN], "PUT", b"").status == 421


def test_the_frontend_opens_its_websocket_to_its_own_pages_alone(frontend: str) -> None:
    stream = f"{frontend}/_stcore/stream"
    assert open_websocket(stream, f"{FOREIGN}:8501", "streamlit") == 403
    own_port = httpx.URL(frontend).netloc.decode()
    for right in (own_port, OWN, "10.1.2.3:8501"):
        assert open_websocket(stream, right, "streamlit") == 101


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where JupyterLab answers, by one more name, as it is in a container: it listens on every address."""
    port, folder = free_port(), tmp_path_factory.mktemp("jupyter")
    changes = {
        "ALLOWED_HOSTS": OWN,
        "BIND_ADDRESS": "0.0.0.0",  # noqa: S104 (as in the container)
        "JUPYTER_PORT": str(port),
        "JUPYTER_TOKEN": "token",
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    command = [sys.executable, "-m", "services.jupyter", f"--ServerApp.root_dir={folder}"]
    output, url = folder / "jupyter.log", f"http://127.0.0.1:{port}"
    with output.open("wb") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=child_environment(changes), stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(f"{url}/api", process), lambda: output.read_text(encoding="utf-8"))
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "it has ended"
    try:
        return ask(url, ["localhost"]).status == 200
    except OSError:
        return False


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api"),
        ("GET", "/lab"),
        ("GET", "/login"),
        ("GET", "/static/favicons/favicon.ico"),
        ("POST", "/api/contents/nowhere"),
        ("DELETE", "/api/contents/x"),
    ],
)
def test_jupyter_tells_a_foreign_name_nothing_even_with_its_token(jupyter: str, method: str, path: str) -> None:
    token = {"Authorization": "token token"}
    assert ask(f"{jupyter}{path}", [f"{FOREIGN}:8888"], method, b"", token).status == 421
    for right in (OWN, "localhost:1", "10.1.2.3:8888"):
        assert ask(f"{jupyter}{path}", [right], method, b"", token).status not in {403, 421}


def test_jupyter_opens_no_websocket_to_a_foreign_name(jupyter: str) -> None:
    events = f"{jupyter}/api/events/subscribe?token=token"
    assert open_websocket(events, FOREIGN) == 421
    assert open_websocket(events, OWN) == 101


def test_an_impossible_name_keeps_a_service_from_starting() -> None:
    for module in ("services.frontend", "services.jupyter", "services.tracking"):
        done = subprocess.run(
            [sys.executable, "-m", module],
            cwd=REPOSITORY,
            env=child_environment({"ALLOWED_HOSTS": "https://ml.example.org"}),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("the settings cannot be used: ALLOWED_HOSTS: "), done.stderr


def test_jupyter_opens_on_the_notebooks_and_asks_about_no_news(jupyter: str) -> None:
    with httpx.Client(base_url=jupyter, params={"token": "token"}, trust_env=False) as browser:
        assert browser.get("/").headers["Location"].partition("?")[0] == "/lab/tree/notebooks"
        page = browser.get("/lab").text
    [settings] = re.findall(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert json.loads(settings)["news"] == {"disabled": True}
