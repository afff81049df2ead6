#!/usr/bin/env -S python -IS
"""Asks a URL whether a service works: `probe URL [[KEY…]=VALUE]`, for health checks.

Ends with 0 when the answer is 200 and, where a value is asked for, when that is at these keys of the JSON in it, or,
without a key, all of the answer.
Standard library only, and as little of it as possible: it runs every few seconds.
"""

import http.client
import json
import sys
from functools import reduce

TIMEOUT_SECONDS = 5


def main(url: str, wanted: str = "") -> int:
    """Asks; returns the exit code."""
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"/{path}")
        response = connection.getresponse()
        body = response.read()
    except OSError as error:
        sys.stderr.write(f"{url} does not answer: {error}\n")
        return 1
    if response.status != http.client.OK:
        sys.stderr.write(f"{url} answers {response.status}\n")
        return 1
    keys, _, value = wanted.partition("=")
    found = value
    if keys:
        found = reduce(dict.__getitem__, keys.split("."), json.loads(body))
    elif wanted:
        found = body.decode()
    if found != value:
        sys.stderr.write(f"{url}: {keys or 'the answer'} is {found}, not {value}\n")
    return int(found != value)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
