"""Files and answers over HTTP, in a stream: never more of them than was agreed, in memory or on the disk."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import requests
import tenacity

from modelyard.errors import StepFailed

CHUNK_BYTES = 2**20
# What is left of a disk to others, such as the spool.
DISK_RESERVE_BYTES = 256 * 2**20
SECONDS_BETWEEN_BYTES = 10
# A server that is busy writes slowly, and what is sent again may be written twice.
SECONDS_TO_WRITE = 120
ATTEMPTS = 4
# A thousand registered models with all their tags.
ANSWER_LIMIT_BYTES = 64 * 2**20


patiently = tenacity.retry(
    retry=tenacity.retry_if_exception_type((requests.ConnectionError, requests.Timeout)),
    stop=tenacity.stop_after_attempt(ATTEMPTS),
    wait=tenacity.wait_exponential(multiplier=0.5),
    reraise=True,
)


@patiently
def get(url: str, parameters: Mapping[str, object]) -> requests.Response:
    """The beginning of an answer; its content comes as it is read, and is as long as it looks."""
    texts = {name: str(value) for name, value in parameters.items()}
    as_it_is = {"Accept-Encoding": "identity"}
    return requests.get(url, params=texts, headers=as_it_is, timeout=SECONDS_BETWEEN_BYTES, stream=True)


@patiently
def send(method: str, url: str, content: Mapping[str, object]) -> requests.Response:
    """The beginning of an answer to content that is sent as JSON; a connection that fails is tried again."""
    return requests.request(method, url, json=content, timeout=SECONDS_TO_WRITE, stream=True)


def read_answer(response: requests.Response) -> bytes:
    """An answer's content.

    Raises:
        NotFetched: It is larger than an answer can be.
    """
    content = bytearray()
    for chunk in response.iter_content(CHUNK_BYTES):
        content += chunk
        if len(content) > ANSWER_LIMIT_BYTES:
            raise NotFetched(f"its answer is larger than {ANSWER_LIMIT_BYTES // 2**20} MB")
    return bytes(content)


class NotFetched(Exception):
    """A file could not be fetched now."""


class Fetching:
    """Fetches some files that belong together.

    Args:
        limit_bytes: How large they may be together.
        seconds: How long they may take together.
    """

    def __init__(self, limit_bytes: int, seconds: float) -> None:
        self._limit_bytes = limit_bytes
        self._left_bytes = limit_bytes
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def fetch(self, url: str, target: Path) -> bool:
        """Writes what is at a URL into a file; False: there is nothing.

        Raises:
            StepFailed: It is too large.
            NotFetched: It was not to be had in time, or the disk has no room for it.
        """
        try:
            with get(url, {}) as response:
                if response.status_code == requests.codes.not_found:
                    return False
                response.raise_for_status()
                self._write(response, target)
        except requests.RequestException as error:
            raise NotFetched(str(error)) from error
        return True

    def _write(self, response: requests.Response, target: Path) -> None:
        with target.open("wb") as file:
            for chunk in response.iter_content(CHUNK_BYTES):
                self._check(len(chunk), target)
                file.write(chunk)

    def _check(self, count: int, target: Path) -> None:
        self._left_bytes -= count
        if self._left_bytes < 0:
            limit = f"{self._limit_bytes / 2**20:g} MB (MODEL_LIMIT_MB)"
            raise StepFailed(f"its files are larger than the {limit} that a model may have")
        if time.monotonic() > self._end:
            raise NotFetched(f"{target.name} was not there after {self._seconds:g} s")
        if shutil.disk_usage(target.parent).free < DISK_RESERVE_BYTES + count:
            raise NotFetched(f"{target.name} has no room on the disk of {target.parent}")
