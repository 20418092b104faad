"""A gateway that answers as it was told, and keeps what it was sent."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The answer's head and body in one packet: otherwise the client's delayed acknowledgement costs 40 ms a call.
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.owner.requests.append((self.path, body))
        status, answer = self.server.owner.answers[self.path]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Silence."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: ScriptedGateway


class ScriptedGateway:
    """Serves on loopback while the `with` block runs."""

    def __init__(self, answers: dict[str, tuple[int, bytes]]) -> None:
        """Takes status and body for each path."""
        self.answers = answers
        self.requests: list[tuple[str, bytes]] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> ScriptedGateway:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
