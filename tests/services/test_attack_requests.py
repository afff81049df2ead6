"""What has held against attackers and must go on holding: odd requests are refused, and nothing else comes of them."""

import gzip
import json
import socket

import httpx
import pytest
from sqlalchemy import Engine, text

from modelyard.contract import TaskKind
from tests.services.conftest import Case
from tests.services.made_models import EVERY_RECORD, LOAN_RECORD, every_type_contract, put

RECORD = json.dumps(LOAN_RECORD).encode()
SQL = "'); drop table predictions; --"


def send(case: Case, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", case.api.port)) as connection:
        connection.settimeout(60)
        connection.sendall(content)
        return connection.recv(10_000)


def rows(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("select count(*) from predictions")) or 0)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
@pytest.mark.parametrize("path", ["", "/batch"])
def test_a_page_of_another_site_gets_no_prediction(case: Case, raw_engine: Engine, kind: str, path: str) -> None:
    body = RECORD if not path else b"[" + RECORD + b"]"
    for origin in ("https://evil.example", "null"):
        headers = {"Content-Type": kind, "Origin": origin}
        response = case.api.client.post(f"/predict/{case.name}{path}", content=body, headers=headers)
        assert response.status_code == 403
        assert "access-control-allow-origin" not in response.headers
    response = case.api.client.post(f"/predict/{case.name}{path}", content=body, headers={"Content-Type": kind})
    assert response.status_code == 422
    assert rows(raw_engine) == 0


def test_no_field_is_sql(case: Case, raw_engine: Engine) -> None:
    name = f"{case.name}_every"
    put(case.source, 1, every_type_contract(TaskKind.BINARY, name), EVERY_RECORD)
    case.source.point(**{name: 1})
    case.api.wait_for_version(1, name)
    record = EVERY_RECORD | {"city": SQL, "note": SQL, "id": SQL}
    response = case.api.client.post(f"/predict/{name}", json=record, headers={"Idempotency-Key": SQL})
    assert response.status_code == 200, response.text
    with raw_engine.connect() as connection:
        kept = connection.execute(
            text("select features->>'city', features->>'note', record_key from predictions")
        ).one()
        assert tuple(kept) == (SQL, SQL, SQL)
        query = "select count(*) from idempotency_keys where use_case = :name and idempotency_key = :sql"
        assert connection.scalar(text(query), {"name": name, "sql": SQL}) == 1
    for field in ("colour", SQL):
        assert case.api.client.post(f"/predict/{name}", json=EVERY_RECORD | {field: SQL}).status_code == 422
    assert case.api.client.post(f"/predict/{SQL}", json=LOAN_RECORD).status_code == 404
    assert case.api.client.get(f"/predictions/{SQL}").status_code in (404, 422)


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 300_000,
        b'{"a":' * 100_000,
        b"1" * 500_000,
        b"1e999999999",
        b"-" + b"9" * 4000,
        b'"\\u0000"',
        b'"\x00"',
        b'"\\ud800"',
        b'"\xff\xfe"',
        b"NaN",
        b"0x10",
        b"",
    ],
)
def test_odd_values_are_refused(case: Case, value: bytes) -> None:
    body = RECORD.replace(b"35", value)
    for path, content in (("", body), ("/batch", b"[" + body + b"]")):
        response = case.api.client.post(
            f"/predict/{case.name}{path}", content=content, headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 422
        assert len(response.content) < 20_000


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Content-Length: -1"],
        ["Content-Length: 99999999999999999999999999"],
        ["Content-Length: 5,5"],
        ["Content-Length: 0x5"],
        ["Transfer-Encoding: gzip"],
        ["Transfer-Encoding: chunked, identity"],
        ["A B: c"],
        [": nothing"],
        ["X: a\0b"],
    ],
)
def test_heads_with_two_meanings_are_refused(case: Case, lines: list[str]) -> None:
    head = [f"POST /predict/{case.name} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *lines]
    said = send(case, ("\r\n".join(head) + "\r\n\r\nhello").encode())
    assert said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
    assert case.answer()


def test_a_compressed_body_is_not_unpacked(case: Case) -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    for encoding in ("gzip", "deflate", "br", "zstd"):
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        response = case.api.client.post(f"/predict/{case.name}", content=bomb, headers=headers)
        assert response.status_code == 422
        assert "not valid JSON" in response.text or "must be one JSON object" in response.text


@pytest.mark.parametrize(
    "path", ["/predict/../metrics", "/predict/%2e%2e%2fmetrics", "/predict/a%00b", "/predict/a/b/batch"]
)
def test_no_path_leads_elsewhere(case: Case, path: str) -> None:
    said = send(case, f"POST /predict/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    assert said.split()[1] in (b"404", b"405")


def test_what_is_refused_tells_nothing_of_the_service(case: Case) -> None:
    response: httpx.Response = case.api.client.post(f"/predict/{case.name}", content=b"\xff" * 1000)
    assert response.status_code == 422
    assert "Traceback" not in response.text
    assert "server" not in response.headers or "/" not in response.headers["server"]
