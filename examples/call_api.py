"""Asks the API for a prediction and prints its answer: what a program of yours would do, standard library only.

    python examples/call_api.py
    python examples/call_api.py --use-case loan_approval id=17 age=41 annual_income=90000 credit_score=710 …
    python examples/call_api.py --use-case iris --record flower.json

Without a record, the example that came with the model is sent; fields that are given replace those of it. Where the API
wants a key, it is taken from the environment variable API_KEY, as arguments can be read by others on a machine. The
answer goes to standard output as JSON. It ends with 0, or with 1 and a sentence on standard error that says what is
wrong.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any

URL = "http://127.0.0.1:8086"
TIMEOUT_SECONDS = 30

# A proxy that the environment may name is of no use on the way to this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main() -> int:
    """Asks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Asks the API for a prediction.")
    parser.add_argument("--url", default=URL, help="where the API is")
    parser.add_argument("--use-case", default="loan_approval")
    parser.add_argument("--record", type=Path, help="a JSON file with a record")
    parser.add_argument("fields", nargs="*", metavar="NAME=VALUE", help="fields of the record")
    chosen = parser.parse_args()
    try:
        record = record_in(chosen.record) if chosen.record else example_of(chosen)
        answer = ask(f"{chosen.url}/predict/{chosen.use_case}", {**record, **fields_of(chosen.fields)})
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    return 0


def record_in(file: Path) -> dict[str, Any]:
    """The record in a JSON file."""
    record = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise ValueError(f"{file} must hold one record, which is a JSON object")
    return record


def example_of(chosen: argparse.Namespace) -> dict[str, Any]:
    """The record that came with the model in production."""
    known = ask(f"{chosen.url}/info")["use_cases"]
    if chosen.use_case not in known:
        raise ValueError(f"no model of {chosen.use_case} answers; those that do: {', '.join(sorted(known)) or 'none'}")
    example: dict[str, Any] = known[chosen.use_case]["example"]
    return example


def fields_of(texts: list[str]) -> dict[str, Any]:
    """Fields as they stand on the command line: numbers, true, false and null as JSON has them, all else is text."""
    pairs = [text.partition("=") for text in texts]
    return {name: value_of(value) for name, _, value in pairs}


def value_of(text: str) -> Any:
    """A value as it stands on the command line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def ask(url: str, record: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the API answers.

    Args:
        url: The route.
        record: What is sent; None: nothing, only asked.

    Raises:
        ValueError: It refuses the record, or has no model; the message is its own.
        OSError: It does not answer.
    """
    body = None if record is None else json.dumps(record).encode()
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("API_KEY"):
        headers["X-API-Key"] = key
    request = urllib.request.Request(url, body, headers)  # noqa: S310 (the user's own URL)
    try:
        with OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        raise ValueError(f"{error.code} {HTTPStatus(error.code).phrase}: {sentences(error.read())}") from error
    except urllib.error.URLError as error:
        raise OSError(f"the API at {url} does not answer: {error.reason}") from error


def sentences(body: bytes) -> str:
    """What the API says is wrong."""
    detail = json.loads(body)["detail"]
    return detail if isinstance(detail, str) else "; ".join(problem["msg"] for problem in detail)


if __name__ == "__main__":
    sys.exit(main())
