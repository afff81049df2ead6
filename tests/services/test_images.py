"""Asking a running API about pictures, as files and as base64, good ones and bad ones."""

import base64
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import Engine, text

from modelyard.contract import Contract, Seen
from modelyard.embedded.postgres import Postgres
from modelyard.models.onnx.compiled import CompiledModel
from modelyard.pictures import read_picture, to_base64
from services.api.errors import InvalidRequest
from services.api.inputs.image import PictureReader
from tests.painted import BAD, CONVERTED, SHAPE, encoded, photo, pixels, weather
from tests.services.folder_source import FolderSource
from tests.services.made_models import LOAN_RECORD, loan_contract, put
from tests.services.running_api import RunningApi, peak_memory_mb, running_api

pytestmark = pytest.mark.usefixtures("empty_postgres")

STATUS = {"text": 415, "gif": 415, "huge_file": 413, "bomb": 413, "small_bomb": 413}
FORM = "multipart/form-data; boundary=xx"


# As large as a picture may be to a model: three megabytes.
VAST = (1024, 1024, 3)


def vast_contract() -> Contract:
    """A model of the largest pictures."""
    [photo_of_weather] = weather().features
    features = (photo_of_weather.model_copy(update={"shape": VAST}),)
    example = {"photo": to_base64(np.full(VAST, 90, dtype=np.uint8))}
    return weather().contract().model_copy(update={"use_case": "vast", "features": features, "example": example})


def weather_contract() -> Contract:
    """As a training leaves it; of ordinary brightness is what lies in the middle."""
    seen = {"photo": Seen(count=9, missing=0, minimum=60, maximum=200, mean=100)}
    contract = weather().contract().model_copy(update={"key": "id"})
    return contract.with_seen(seen, {"photo": to_base64(pixels("warm", 0))})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> FolderSource:
    made = FolderSource(tmp_path_factory.mktemp("registry"))
    put(made, 2, weather_contract(), weather_contract().example, bias=-1)
    put(made, 1, loan_contract(), LOAN_RECORD)
    put(made, 1, vast_contract(), vast_contract().example)
    made.point(weather=2, loan_approval=1, vast=1)
    return made


@pytest.fixture(scope="module")
def api(models: FolderSource, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    url = postgres.url("raw_data", "api")
    with running_api(
        ["tests.services.folder_api", str(models.folder)], tmp_path_factory.mktemp("home"), url
    ) as running:
        running.wait_for_version(2, "weather")
        running.wait_for_version(1)
        running.wait_for_version(1, "vast")
        yield running


def send(api: RunningApi, content: bytes, name: str = "photo", **more: Any) -> httpx.Response:
    return api.client.post("/predict/weather", files={name: ("a.jpg", content)}, **more)


def send_base64(api: RunningApi, content: bytes, **more: Any) -> httpx.Response:
    return api.predict({"photo": base64.b64encode(content).decode(), **more}, "weather")


def test_a_file_and_its_base64_get_the_answer_of_the_model(api: RunningApi, models: FolderSource) -> None:
    content = CONVERTED["jpeg"]()
    model = CompiledModel.load(models.folder / "weather" / "2")
    [score] = model.scores({"photo": read_picture(content, SHAPE).pixels[np.newaxis]})[:, 1]
    for response in (send(api, content), send_base64(api, content)):
        answer = response.json()
        assert response.status_code == 200, response.text
        assert list(answer) == ["prediction", "probability", "model_version", "request_id", "warnings"]
        assert answer["probability"] == pytest.approx(float(score), abs=1e-6)
        assert answer["prediction"] in weather().target.classes
        assert (answer["model_version"], answer["warnings"]) == (2, [])


def test_what_is_kept_of_a_picture_is_said_of_it_and_not_the_picture(api: RunningApi, raw_engine: Engine) -> None:
    content = encoded(photo(side=40))
    answer = send(api, content, data={"id": "mole 7"}).json()
    with raw_engine.connect() as connection:
        query = text("select features, record_key, prediction from predictions where request_id = :id")
        row = connection.execute(query, {"id": answer["request_id"]}).one()
    kept = row.features["photo"]
    assert {name: kept[name] for name in ("format", "bytes", "width", "height")} == {
        "format": "PNG",
        "bytes": len(content),
        "width": 40,
        "height": 40,
    }
    assert len(kept["sha256"]) == 64
    assert 0 < kept["brightness"] < 255
    assert row.record_key == "mole 7"
    assert row.prediction == answer["prediction"]


@pytest.mark.parametrize("how", [send, send_base64])
@pytest.mark.parametrize("name", [name for name in BAD if name != "huge_file"])
def test_a_bad_picture_gets_a_sentence(api: RunningApi, name: str, how: Any) -> None:
    make, reason = BAD[name]
    content = make()
    response = how(api, content)
    assert response.status_code == STATUS.get(name, 422), response.text
    if content or how is send:
        assert f"photo {reason}" in response.text
    else:
        assert "photo must be a picture in base64, not ''" in response.text


def test_a_file_of_50_mb_is_not_read(api: RunningApi) -> None:
    response = send(api, BAD["huge_file"][0]())
    assert response.status_code == 413
    assert "the body may have 16777216 bytes, not" in response.json()["detail"]


@pytest.mark.parametrize("name", CONVERTED)
def test_what_can_be_converted_is_answered(api: RunningApi, name: str) -> None:
    response = send(api, CONVERTED[name]())
    assert response.status_code == 200, response.text
    remarked = {"grey": "shades of grey", "deep_grey": "shades of grey", "cmyk": "CMYK"}
    if name in remarked:
        assert remarked[name] in response.json()["warnings"][0]


def test_a_picture_unlike_all_others_is_warned_of(api: RunningApi) -> None:
    [warning] = send(api, encoded(Image.new("RGB", (32, 32)))).json()["warnings"]
    assert warning == "photo: a mean brightness of 0 is outside of what the model was trained on (60 to 200)"


def form(*parts: tuple[str, str, bytes]) -> bytes:
    pieces = [
        f'--xx\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"
        for name, file, content in parts
    ]
    return b"".join([*pieces, b"--xx--\r\n"])


FILE = '; filename="a.png"'


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"", FORM, "the form must have one file, photo, and has 0"),
        (b"nonsense", FORM, "the body is not the form that its Content-Type says"),
        (b"--yy--", "multipart/form-data", "the body is not the form that its Content-Type says"),
        (form(), FORM, "the form must have one file, photo, and has 0: curl -F photo=@picture.jpg"),
        (form(("photo", "", b"text")), FORM, "the form must have one file, photo, and has 0"),
        (form(("a", FILE, b"1"), ("b", FILE, b"2")), FORM, "must have one file, photo, and has 2"),
        (form(("a", FILE, encoded(photo())), ("colour", "", b"red")), FORM, "'colour' is not a field of weather"),
        (form(("a", FILE, encoded(photo())), ("id", "", b"k" * 201)), FORM, "id must be a text of up to 200"),
        (encoded(photo()), "image/png", "the body must be multipart/form-data with a file, or application/json"),
        (b"photo=1", "application/x-www-form-urlencoded", "the body must be multipart/form-data with a file"),
        (b"{}", "application/json", "photo is missing: it must be a picture in base64"),
        (b'{"photo": 7}', "application/json", "photo must be a picture in base64, not 7"),
        (b'{"photo": "not base64!"}', "application/json", "photo is not base64"),
        (b'{"photo": "aGVsbG8=", "x": 1}', "application/json", "'x' is not a field of weather"),
    ],
)
def test_a_body_of_another_kind_gets_a_sentence(api: RunningApi, body: bytes, kind: str, words: str) -> None:
    response = api.client.post("/predict/weather", content=body, headers={"Content-Type": kind})
    assert response.status_code == 422, response.text
    assert words in response.json()["detail"][0]["msg"]


def test_the_file_may_have_any_field_name(api: RunningApi) -> None:
    assert send(api, encoded(photo()), name="file").status_code == 200


def form_of(content: bytes, **fields: str) -> tuple[bytes, str]:
    sent = httpx.Request("POST", "http://any", files={"photo": ("a.jpg", content)}, data=fields)
    return sent.read(), sent.headers["content-type"]


def test_group_and_time_are_kept_with_a_picture_and_a_time_is_one_in_a_form_as_in_json() -> None:
    contract = weather_contract().model_copy(update={"group": "patient", "time": "taken_on"})
    reader, content = PictureReader(contract), encoded(photo("warm", 1))
    beside = {"patient": "P7", "taken_on": "2026-11-20T10:30:00+01:00"}
    picture = {"photo": base64.b64encode(content).decode()}
    for question in (
        reader.read(*form_of(content, **beside)),
        reader.read(json.dumps(picture | beside).encode(), "application/json"),
    ):
        assert {name: question.record[name] for name in beside} == beside
    for time in ("yesterday", "9999-12-31T23:00:00-05:00"):
        for body, kind in (
            form_of(content, taken_on=time),
            (json.dumps(picture | {"taken_on": time}).encode(), "application/json"),
        ):
            with pytest.raises(InvalidRequest) as caught:
                reader.read(body, kind)
            [problem] = caught.value.problems
            assert problem["loc"] == ["body", "taken_on"]
            assert problem["msg"].startswith("taken_on must be a date or time in ISO 8601, such as '2026-11-20'")
            assert problem["msg"].endswith(f"not {time!r}")


def test_curl_sends_a_file(api: RunningApi, tmp_path: Any) -> None:
    file = tmp_path / "mole.png"
    file.write_bytes(encoded(photo()))
    command = ["curl", "-s", "--noproxy", "*", "-F", f"photo=@{file}", f"{api.client.base_url}/predict/weather"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["model_version"] == 2


def test_a_page_of_another_site_cannot_send_a_form(api: RunningApi) -> None:
    response = send(api, encoded(photo()), headers={"Origin": "https://evil.example"})
    assert response.status_code == 403
    assert "a page of https://evil.example cannot send forms" in response.json()["detail"]
    own = str(api.client.base_url).rstrip("/")
    assert send(api, encoded(photo()), headers={"Origin": own}).status_code == 200


def test_tables_are_answered_as_ever_and_take_no_form(api: RunningApi) -> None:
    assert api.predict(LOAN_RECORD).status_code == 200
    response = api.client.post("/predict/loan_approval", files={"photo": ("a.jpg", encoded(photo()))})
    assert response.status_code == 422
    assert "the body must be JSON" in response.text


def test_the_document_and_the_form_of_a_picture(api: RunningApi) -> None:
    document = api.client.get("/openapi.json").json()
    operation = document["paths"]["/predict/weather"]["post"]
    assert list(operation["requestBody"]["content"]) == ["multipart/form-data", "application/json"]
    assert {"413", "415", "422"} <= set(operation["responses"])
    file = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["photo"]
    assert (file["type"], file["format"]) == ("string", "binary")
    info = api.client.get("/info").json()["use_cases"]["weather"]
    assert info["features"][0]["type"] == "image"
    assert send_base64(api, base64.b64decode(info["example"]["photo"])).status_code == 200


def test_many_at_once_get_each_their_own_answer(api: RunningApi, models: FolderSource) -> None:
    model = CompiledModel.load(models.folder / "weather" / "2")
    seeds = range(40)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda seed: send(api, encoded(photo(seed=seed))).json(), seeds))
    wanted = model.scores({"photo": np.stack([pixels("warm", seed) for seed in seeds])})[:, 1]
    np.testing.assert_allclose([answer["probability"] for answer in answers], wanted, atol=1e-6)
    assert len({answer["request_id"] for answer in answers}) == len(seeds)


def test_many_large_pictures_at_once_take_bounded_memory(api: RunningApi) -> None:
    large = [
        encoded(Image.new("L", (7000, 7000))),
        encoded(Image.new("RGBA", (7000, 7000))),
        encoded(Image.new("RGB", (7000, 7000)), "JPEG", progressive=True, subsampling=0),
    ]
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda number: send(api, large[number % 3]).status_code, range(15)))
    assert set(statuses) == {200}
    assert peak_memory_mb(api.process.pid) < 600


def batch(api: RunningApi, contents: list[bytes], use_case: str = "weather") -> httpx.Response:
    records = [{"photo": base64.b64encode(content).decode()} for content in contents]
    return api.client.post(f"/predict/{use_case}/batch", json=records)


def test_a_batch_of_pictures_gets_the_answers_of_the_single_ones(api: RunningApi, models: FolderSource) -> None:
    seeds = range(21)
    response = batch(api, [encoded(photo(seed=seed)) for seed in seeds])
    assert response.status_code == 200, response.text
    answers = [answer["probability"] for answer in response.json()["predictions"]]
    model = CompiledModel.load(models.folder / "weather" / "2")
    wanted = model.scores({"photo": np.stack([pixels("warm", seed) for seed in seeds])})[:, 1]
    np.testing.assert_allclose(answers, wanted, atol=1e-6)


def test_a_batch_of_pictures_takes_bounded_memory(api: RunningApi) -> None:
    small = encoded(photo())
    before = peak_memory_mb(api.process.pid)
    assert batch(api, [small] * 32, "vast").status_code == 200
    # Decoded they are 100 MB. Of their inner arrays, four times as large, eight are there at a time.
    assert peak_memory_mb(api.process.pid) - before < 300
    refused = batch(api, [small] * 33, "vast")
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["msg"] == "a batch has up to 32 pictures, not 33"


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from([FORM, "multipart/form-data", "application/json", "image/png"]))
def test_no_body_makes_the_service_fail(api: RunningApi, body: bytes, kind: str) -> None:
    response = api.client.post("/predict/weather", content=body, headers={"Content-Type": kind})
    assert response.status_code in (413, 415, 422), response.text
