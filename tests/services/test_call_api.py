"""The script that shows how a program asks the API."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from sqlalchemy import Engine, text

from modelyard.settings import child_environment
from tests.services.conftest import Case, StartApi
from tests.services.running_api import free_port, wait_until

SCRIPT = Path(__file__).parents[2] / "examples" / "call_api.py"


def call(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    # No package of ours or of others: what the standard library has is enough.
    command = [sys.executable, "-I", "-S", SCRIPT, *arguments]
    return subprocess.run(command, check=False, env=child_environment(environment), capture_output=True, text=True)


def test_without_a_record_it_sends_the_models_example(case: Case, raw_engine: Engine) -> None:
    done = call("--url", str(case.api.client.base_url), "--use-case", case.name)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["prediction"] in (0, 1)
    with raw_engine.connect() as connection:
        query = text("select prediction from predictions where request_id = :request_id")
        assert connection.execute(query, {"request_id": answer["request_id"]}).one()


def test_fields_and_a_file_can_be_given(case: Case, raw_engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    example = case.api.client.get("/info").json()["use_cases"][case.name]["example"]
    file.write_text(json.dumps(example | {"age": 20}))
    done = call("--url", str(case.api.client.base_url), "--use-case", case.name, "--record", file, "age=41", "id=a-17")
    assert done.returncode == 0, done.stderr
    with raw_engine.connect() as connection:
        query = text("select record_key, features ->> 'age' as age from predictions where request_id = :request_id")
        row = connection.execute(query, {"request_id": json.loads(done.stdout)["request_id"]}).one()
    assert (row.record_key, row.age) == ("a-17", "41")


def test_the_key_of_the_environment_is_sent(start_api: StartApi) -> None:
    with start_api(api_keys=hashlib.sha256(b"first").hexdigest()) as api:
        wait_until(lambda: api.client.get("/ready").status_code == 200, api.logged)
        url = str(api.client.base_url)
        assert call("--url", url, API_KEY="first").returncode == 0
        refused = call("--url", url, API_KEY="second")
        assert refused.returncode == 1
        assert refused.stderr.startswith("error: 401 Unauthorized: this API answers only requests with a key")


def test_what_is_wrong_is_a_sentence(case: Case, tmp_path: Path) -> None:
    url = str(case.api.client.base_url)
    (tmp_path / "many.json").write_text("[]")
    nowhere = f"http://127.0.0.1:{free_port()}"
    for arguments, words in (
        (["--use-case", case.name, "age=old"], "422 Unprocessable"),
        (["--use-case", case.name, "age=old"], "age must be a whole number"),
        (["--use-case", "nothing"], "no model of nothing answers; those that do: "),
        (["--record", tmp_path / "absent.json"], "No such file"),
        (["--record", tmp_path / "many.json"], "must hold one record, which is a JSON object"),
        (["--url", nowhere], f"the API at {nowhere}/info does not answer"),
    ):
        done = call("--url", url, *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert words in done.stderr
        assert "Traceback" not in done.stderr
