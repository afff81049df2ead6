"""What the API tells about itself: what it answered last, and the services that it is one of."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.services.conftest import Case, StartApi
from tests.services.folder_source import FolderSource
from tests.services.made_models import LOAN_RECORD
from tests.services.running_api import RunningApi, free_port, wait_until

HEALTHY = {"metadatabase": {"status": "healthy"}, "triggerer": {"status": None}}
HALF = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}}


def last(api: RunningApi, use_case: str, **parameters: int) -> list[dict[str, Any]]:
    response = api.client.get(f"/predictions/{use_case}", params=parameters)
    assert response.status_code == 200, response.text
    return list(response.json()["predictions"])


def test_the_last_answers_are_there_the_newest_first(case: Case) -> None:
    assert last(case.api, case.name) == []
    answers = [case.api.answer(LOAN_RECORD | {"id": key, "age": 30 + key}, case.name) for key in (1, 2, 3)]
    found = last(case.api, case.name)
    assert [each["request_id"] for each in found] == [answer["request_id"] for answer in reversed(answers)]
    newest, answer = found[0], answers[-1]
    assert (newest["record_key"], newest["model_version"]) == ("3", answer["model_version"])
    assert newest["prediction"] == answer["prediction"]
    assert newest["probabilities"]["1"] == pytest.approx(answer["probability"])


def test_no_more_than_was_asked_for(case: Case) -> None:
    for _ in range(3):
        case.answer()
    assert len(last(case.api, case.name, limit=2)) == 2


def test_what_was_asked_with_is_not_told(case: Case) -> None:
    case.answer()
    assert set(last(case.api, case.name)[0]) == {
        "request_id",
        "created_at",
        "model_version",
        "record_key",
        "prediction",
        "probabilities",
        "lower",
        "upper",
    }


@pytest.mark.parametrize("limit", ["0", "201", "many"])
def test_an_impossible_number_is_refused(case: Case, limit: str) -> None:
    response = case.api.client.get(f"/predictions/{case.name}", params={"limit": limit})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "limit"]


def test_an_unknown_use_case_is_a_sentence(case: Case) -> None:
    response = case.api.client.get("/predictions/nothing")
    assert response.status_code == 404
    assert "there is no use case 'nothing'; there are: " in response.json()["detail"]


def test_without_a_database_a_sentence_says_so(start_api: StartApi) -> None:
    with start_api(raw_database_url=f"postgresql+psycopg2://api@127.0.0.1:{free_port()}/raw_data") as api:
        api.wait_for_version(1)
        response = api.client.get("/predictions/loan_approval")
        assert response.status_code == 503
        assert "does not answer as it should" in response.json()["detail"]


@contextmanager
def answering(status: int, content: object) -> Iterator[str]:
    """A service that says always the same."""

    class Same(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Same)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/health"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_service_is_there_with_its_link_and_how_it_is(start_api: StartApi) -> None:
    with answering(200, HEALTHY) as well, answering(200, HALF) as half, answering(500, {}) as broken:
        services = {
            "Well": {"health": well, "link": "https://example.org/well", "purpose": "to be well"},
            "Half": {"health": half},
            "Broken": {"health": broken},
            "Away": {"health": f"http://127.0.0.1:{free_port()}/"},
        }
        own = {"Own": {"health": well}}
        with start_api(platform_services=json.dumps(services), more_services=json.dumps(own)) as api:
            response = api.client.get("/services")
    assert response.status_code == 200
    found = {service["name"]: service for service in response.json()["services"]}
    assert list(found) == ["Well", "Half", "Broken", "Away", "Own"]
    assert {name: (service["healthy"], service["detail"]) for name, service in found.items()} == {
        "Well": (True, "answers"),
        "Half": (False, "its scheduler is unhealthy"),
        "Broken": (False, "answers 500"),
        "Away": (False, "does not answer"),
        "Own": (True, "answers"),
    }
    assert (found["Well"]["link"], found["Well"]["purpose"]) == ("https://example.org/well", "to be well")
    assert found["Half"]["link"] is None


def test_without_services_the_list_is_empty(case: Case) -> None:
    assert case.api.client.get("/services").json() == {"services": [], "broken_use_cases": []}


def test_a_file_that_is_no_use_case_is_named_and_stops_nothing(start_api: StartApi, tmp_path: Path) -> None:
    folder = tmp_path / "use_cases"
    folder.mkdir()
    (folder / "broken.py").write_text("print('hello')\n1 / 0\n")
    (folder / "ends.py").write_text("raise SystemExit(3)\n")
    with start_api(use_cases_path=folder) as api:
        wait_until(lambda: len(broken(api)) == 2, api.logged)
        found = [(Path(each["file"]).name, each["line"], each["reason"]) for each in broken(api)]
        assert found == [("broken.py", 2, "division by zero"), ("ends.py", 1, "it ends the program with 3")]
        (folder / "ends.py").write_text("import os\nos._exit(4)\n")
        ends = {"file": str(folder), "line": None, "reason": "reading its files ends with exit code 4"}
        wait_until(lambda: broken(api) == [ends], api.logged)
        (folder / "ends.py").unlink()
        wait_until(lambda: [each["line"] for each in broken(api)] == [2], api.logged)


def broken(api: RunningApi) -> list[dict[str, Any]]:
    return list(api.client.get("/services").json()["broken_use_cases"])


def test_a_use_case_that_was_deleted_is_answered_no_more(start_api: StartApi, source: FolderSource) -> None:
    with start_api() as api:
        api.wait_for_version(1)
        source.delete("loan_approval")
        wait_until(lambda: api.predict(LOAN_RECORD).status_code == 503, api.logged)
    with start_api() as api:
        wait_until(lambda: api.client.get("/health").json()["registry"] == "answers", api.logged)
        # There is always a default use case, with a version or without one.
        assert api.predict(LOAN_RECORD).status_code == 503


def test_what_a_registry_has_lost_is_answered_as_before(start_api: StartApi, source: FolderSource) -> None:
    with start_api() as api:
        api.wait_for_version(1)
        source.lose_everything()
        source.point(another=None)
        wait_until(lambda: "another" in api.client.get("/health").json()["use_cases"], api.logged)
        assert api.predict(LOAN_RECORD).status_code == 200
