"""A web server on this machine, as an attacker may have one or want to reach one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

TEXT = b"id,age\n1,2\n"


class Server(ThreadingHTTPServer):
    """A web server on this machine.

    Attributes:
        asked: The paths that it was asked for.
        content: What it gives.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.content = TEXT

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Gives the same at each path; `/to/URL` redirects to the URL, and `/endless` never ends."""

    def do_GET(self) -> None:
        cast(Server, self.server).asked.append(self.path)
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/endless.csv":
            self._send_without_end()
        else:
            self.send_response(200)
            content = cast(Server, self.server).content
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815 (the name is the protocol's)

    def _send_without_end(self) -> None:
        # As if it were a piece of 11 bytes of a file that can be asked for in pieces.
        self.send_response(206)
        self.send_header("Content-Range", "bytes 0-10/11")
        self.end_headers()
        try:
            while self.command == "GET":
                self.wfile.write(b"1,2\n" * 50_000)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
