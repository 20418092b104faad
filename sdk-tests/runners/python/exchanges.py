"""`smcp-http`: our client against the recorded answers of a scripted gateway."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from vectors import Document, Mismatch, Vector

from smcp import SMCPClient
from smcp.errors import SMCPError, SMCPHTTPError

SERVER_TEXT = "SERVERTEXT"

# Where our client differs from the recorded ones on purpose (section 12): these returned `{}` there.
NOW_AN_ERROR = ("403-no-status", "200-text", "plain-jsonrpc", "no-payload")


class Recorded(BaseHTTPRequestHandler):
    """Answers as recorded, by path."""

    protocol_version = "HTTP/1.1"
    answers: dict[str, tuple[int, bytes]]
    seen: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, body))
        status, answer = self.answers[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass


@contextmanager
def gateway(vector: Vector) -> Iterator[tuple[str, type[Recorded]]]:
    answers = {
        exchange["path"]: (exchange["response_status"], exchange["response_body"].encode())
        for exchange in vector["exchanges"]
    }
    handler = type("Handler", (Recorded,), {"answers": answers, "seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", handler
        finally:
            server.shutdown()
            thread.join()


def check_exchange(_: Document, vector: Vector) -> None:
    invoke = next((exchange for exchange in vector["exchanges"] if exchange["path"].endswith("/invoke")), None)
    sent = json.loads(invoke["request_body"])["payload"] if invoke else None
    attest = json.loads(vector["exchanges"][0]["request_body"])
    with gateway(vector) as (url, handler):
        client = SMCPClient(url, attest["workload_id"], attest["requested_scope"], max_retries=0, reattest=False)
        outcome: Any
        try:
            client.attest()
            outcome = client.call_tool(sent["params"]["name"], sent["params"]["arguments"]) if sent else None
        except SMCPError as error:
            outcome = error
    check_requests(vector, handler.seen)
    check_outcome(vector, outcome)


def check_requests(vector: Vector, seen: list[tuple[str, dict[str, Any]]]) -> None:
    """Ours sends the recorded requests: the same members and values, where they are not fresh for each call."""
    if [path for path, _ in seen] != [exchange["path"] for exchange in vector["exchanges"]]:
        raise Mismatch(f"other requests were sent: {[path for path, _ in seen]}")
    for (path, ours), exchange in zip(seen, vector["exchanges"], strict=True):
        theirs = json.loads(exchange["request_body"])
        if path.endswith("/attest"):
            wanted = {name: value for name, value in theirs.items() if name != "public_key"}
            got = {name: ours.get(name) for name in wanted}
            members = set(ours) - {"proof"} == set(theirs)
        else:
            strip = {"id": None}
            wanted = {"protocol": theirs["protocol"], **theirs["payload"], **strip}
            got = {"protocol": ours["protocol"], **ours["payload"], **strip}
            members = set(ours) == set(theirs)
        if got != wanted or not members:
            raise Mismatch(f"{path}: sent {got}, recorded {wanted}")


def check_outcome(vector: Vector, outcome: Any) -> None:
    theirs = vector["client_result"]
    last = vector["exchanges"][-1]
    if "returned" in theirs and not vector["id"].endswith(NOW_AN_ERROR):
        expected = theirs["returned"]
        if vector["id"].endswith("null-result"):
            expected = None
        if isinstance(outcome, SMCPError) or outcome != expected:
            raise Mismatch(f"gave {outcome!r}, not {expected!r}")
        return
    if not isinstance(outcome, SMCPError):
        raise Mismatch(f"no error but {outcome!r}")
    if isinstance(outcome, SMCPHTTPError) != (last["response_status"] >= 400):
        raise Mismatch(f"{type(outcome).__name__} for HTTP {last['response_status']}")
    if SERVER_TEXT in last["response_body"] and SERVER_TEXT not in str(outcome):
        raise Mismatch(f"the gateway's text did not reach the caller: {outcome}")
    code = recorded_code(last["response_body"])
    if code is not None and outcome.code != code:
        raise Mismatch(f"{outcome.code}, not {code}")


def recorded_code(body: str) -> str | None:
    """The kind the gateway named."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else answer.get("error_code")
    return code if isinstance(code, str) else None
