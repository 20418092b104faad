"""Bad input over HTTP: the right kind, the right status, a message that helps, and a gateway that goes on."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from agent import Agent, Answer, post
from gateway import Gateway, make_config
from upstreams import Recorder
from vectors import exact, vectors

BODY_SIZE = 256 * 1024


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all of it: whatever was sent before must not matter."""
    folder = tmp_path_factory.mktemp("front")
    limits = {"body_size": BODY_SIZE, "header_timeout": "1s", "request_timeout": "3s", "connections": 100}
    upstream = Recorder(folder / "recorder").config(call_timeout="2s")
    with Gateway(folder / "gateway", make_config([upstream], limits=limits)) as running:
        yield running
        assert running.process.poll() is None


@pytest.fixture
def agent(gateway: Gateway) -> Agent:
    return gateway.agent()


def raw(gateway: Gateway, data: bytes, *, seconds: float = 6) -> bytes:
    """What comes back for these bytes until the gateway closes the connection."""
    parts = urlsplit(gateway.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as connection:
        received = b""
        try:
            connection.sendall(data)
            while part := connection.recv(65536):
                received += part
        except ConnectionError:
            pass
        return received


def still_serves(agent: Agent) -> bool:
    """Whether a good call goes through."""
    nonce = secrets.token_hex(8)
    return bool(agent.call("echo", {"nonce": nonce}).result["structuredContent"]["nonce"] == nonce)


MALFORMED = {"MALFORMED_ENVELOPE", "UNSUPPORTED_PROTOCOL"}
BROKEN = [vector for vector in vectors("smcp-envelope-checks") if vector["expect"] == "reject"]


def codes(vector: dict[str, Any]) -> set[str]:
    """What a gateway of today answers: after the shape comes freshness, and all vectors are old or of the future."""
    early = {"json", "envelope", "timestamp-format"}
    # The verify functions take any payload; a gateway wants JSON-RPC 2.0.
    is_broken = early & set(vector["stage"]) or vector["id"] == "tamper-payload-jsonrpc"
    return (MALFORMED if is_broken else set()) | ({"STALE_TIMESTAMP"} if set(vector["stage"]) - early else set())


@pytest.mark.parametrize("vector", BROKEN, ids=lambda vector: vector["id"])
def test_broken_envelopes(gateway: Gateway, vector: dict[str, Any]) -> None:
    answer = post(f"{gateway.url}/v1/smcp/invoke", exact(vector, "wire"))
    assert answer.status == 401 and answer.code in codes(vector), answer
    body = answer.json()
    assert (body["protocol"], body["status"]) == ("smcp/v1", "error")
    assert body["error"]["number"] in (1000, 1004, 1005)
    # In the style of all messages: words, lower case, no full stop.
    message = body["error"]["message"]
    assert len(message) > 10 and not message[0].isupper() and not message.endswith("."), message
    assert {"code", "number", "message", "timestamp", "request_id", "details"} == set(body["error"])


def test_there_are_broken_vectors() -> None:
    assert len(BROKEN) > 200
    assert sum(codes(vector) <= MALFORMED for vector in BROKEN) > 60


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\x00",
        b"[]",
        b"null",
        b"{}",
        b'"x"',
        b"\xff\xfe",
        b"{" * 100_000,
        b"[" * 200_000,
        secrets.token_bytes(4096),
    ],
    ids=lambda body: repr(body[:8]),
)
@pytest.mark.parametrize("route", ["smcp/invoke", "seal/invoke", "smcp/attest", "seal/attest"])
def test_bodies_that_are_no_envelope(gateway: Gateway, route: str, body: bytes) -> None:
    answer = post(f"{gateway.url}/v1/{route}", body)
    error = answer.json()["error"]
    if route.endswith("attest"):
        assert answer.status in (401, 413) and error["number"] in (3002, 3003), answer
    else:
        assert answer.status == 401 and error["number"] == (1000 if "seal" in route else error["number"]), answer
        assert error["number"] in (1000, 1005)


def test_plain_mcp_is_told_what_is_missing(gateway: Gateway) -> None:
    text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    answer = post(f"{gateway.url}/v1/smcp/invoke", text)
    assert answer.code == "UNSUPPORTED_PROTOCOL" and "protocol" in answer.error["message"]
    assert post(f"{gateway.url}/mcp", text).status == 404


def test_a_body_above_the_limit_is_413(gateway: Gateway, agent: Agent) -> None:
    def of_size(size: int) -> bytes:
        empty = len(agent.seal(agent.tool_call("echo", {"filler": ""})))
        return agent.seal(agent.tool_call("echo", {"filler": "x" * (size - empty)}))

    assert agent.invoke(of_size(BODY_SIZE - 16)).status == 200
    for body in (of_size(BODY_SIZE + 16), b"x" * (BODY_SIZE + 1), b" " * (8 * BODY_SIZE)):
        answer = _post_or_closed(gateway, body)
        assert (answer.status, answer.code) == (413, "MALFORMED_ENVELOPE"), answer
        assert str(BODY_SIZE) in answer.error["message"]
    assert still_serves(agent)


def _post_or_closed(gateway: Gateway, body: bytes) -> Answer:
    """A POST whose answer may come before its body was sent."""
    parts = urlsplit(gateway.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=6) as connection:
        head = f"POST /v1/smcp/invoke HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
        sender = threading.Thread(target=lambda: _send(connection, body))
        sender.start()
        received = b""
        try:
            while part := connection.recv(65536):
                received += part
        except ConnectionError:
            assert received, "the connection was reset before there was an answer"
        sender.join()
    head_text, _, content = received.partition(b"\r\n\r\n")
    return Answer(int(head_text.split()[1]), {}, content)


def _send(connection: socket.socket, body: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(body)


def test_chunked_bodies_count_too(gateway: Gateway, agent: Agent) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = (
        f"POST /v1/smcp/invoke HTTP/1.1\r\nHost: {urlsplit(gateway.url).netloc}\r\nContent-Type: application/json\r\n"
    )
    answer = raw(gateway, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 5 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]
    assert still_serves(agent)


@pytest.mark.parametrize(
    ("headers", "status", "word"),
    [
        ({"Content-Type": "text/plain"}, 415, "application/json"),
        ({"Content-Type": "application/json; charset=latin-1"}, 415, "application/json"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        ({"Origin": "https://evil.example"}, 403, "Origin"),
        ({"Origin": "null"}, 403, "Origin"),
        ({"Host": "evil.example"}, 403, "Host"),
        ({"Host": "127.0.0.1.evil.example:1"}, 403, "Host"),
    ],
)
def test_front_rules(gateway: Gateway, agent: Agent, headers: dict[str, str], status: int, word: str) -> None:
    envelope = agent.seal(agent.tool_call("echo"))
    for path in ("/v1/smcp/invoke", "/v1/smcp/attest", "/v1/seal/invoke"):
        answer = post(gateway.url + path, envelope, headers)
        assert answer.status == status and word in answer.json()["message"], answer
        assert not any(name.startswith("access-control") for name in answer.headers)
    # The front stands before the pipeline: the envelope was not used up.
    assert agent.invoke(envelope).status == 200


def test_methods_and_paths(gateway: Gateway) -> None:
    for method, path, status in [
        ("GET", "/v1/smcp/invoke", 405),
        ("PUT", "/v1/smcp/attest", 405),
        ("OPTIONS", "/v1/smcp/invoke", 405),
        ("DELETE", "/v1/seal/sessions", 404),
        ("GET", "/v1/sessions", 404),
        ("GET", "/", 404),
        ("GET", "/v1/smcp/../../etc/passwd", 404),
    ]:
        answer = post(gateway.url + path, b"", method=method)
        assert (answer.status, answer.json()["status"]) == (status, "error"), (method, path, answer)
    keys = gateway.get("/.well-known/jwks.json").json()["keys"]
    assert all("d" not in key for key in keys) and keys


def test_the_operator_api_wants_its_token(gateway: Gateway) -> None:
    for header in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
        {"Authorization": gateway.operator_token},
    ):
        for path, method in (("/v1/sessions", "GET"), ("/v1/status", "GET"), ("/v1/sessions/revoke", "POST")):
            assert post(gateway.operator_url + path, b"{}", header, method=method).status == 401
    assert gateway.operate("/v1/status").status == 200
    good = {"Authorization": f"Bearer {gateway.operator_token}"}
    for extra in ({"Host": "evil.example"}, {"Origin": "http://localhost"}):
        assert post(gateway.operator_url + "/v1/status", b"", {**good, **extra}, method="GET").status == 403
    for body in (b"", b"{", b"[]", b'{"session_id":1}', b'{"session_id":"a","for_seconds":-1}', b'{"a":1,"a":2}'):
        answer = post(gateway.operator_url + "/v1/sessions/revoke", body, good)
        assert answer.status == 400 and answer.json()["message"], (body, answer)


def test_a_slow_head_is_cut_off(gateway: Gateway, agent: Agent) -> None:
    parts = urlsplit(gateway.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        started = time.monotonic()
        connection.sendall(f"POST /v1/smcp/invoke HTTP/1.1\r\nHost: {parts.netloc}\r\n".encode())
        while True:
            try:
                connection.sendall(b"X-Slow: y\r\n")
                connection.settimeout(0.2)
                if not connection.recv(4096):
                    break
            except TimeoutError:
                assert time.monotonic() - started < 5, "the slow head was not cut off"
            except ConnectionError:
                break
        assert 0.8 < time.monotonic() - started < 3
    assert still_serves(agent)


def test_many_slow_connections_keep_nobody_out(gateway: Gateway, agent: Agent) -> None:
    """More silent connections than the gateway takes; they are cut off, and calls get through."""
    parts = urlsplit(gateway.url)
    silent = [socket.create_connection((parts.hostname, parts.port), timeout=10) for _ in range(120)]
    try:
        for connection in silent:
            connection.sendall(b"POST /v1")
        started = time.monotonic()
        assert still_serves(agent)
        assert time.monotonic() - started < 5
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.parametrize("said", [b"", b"P", b"PRI * HTTP/2.0\r\n\r\nSM", b"GET"], ids=repr)
def test_a_connection_that_says_little_is_cut_off(gateway: Gateway, said: bytes) -> None:
    """Also before it is known which version of HTTP it speaks."""
    started = time.monotonic()
    assert not raw(gateway, said).startswith(b"HTTP/1.1 2")
    assert 0.8 < time.monotonic() - started < 4


def test_an_idle_connection_is_cut_off(gateway: Gateway) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: {urlsplit(gateway.url).netloc}\r\n\r\n".encode()
    started = time.monotonic()
    assert raw(gateway, request).startswith(b"HTTP/1.1 200")
    assert time.monotonic() - started < 4


def test_a_slow_body_is_given_up(gateway: Gateway, agent: Agent) -> None:
    parts = urlsplit(gateway.url)
    head = f"POST /v1/smcp/invoke HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    started = time.monotonic()
    answer = raw(gateway, f"{head}Content-Length: 1000\r\nConnection: close\r\n\r\n{{".encode(), seconds=10)
    assert 2.5 < time.monotonic() - started < 6
    assert answer.startswith(b"HTTP/1.1 401") and b"did not arrive in time" in answer, answer
    assert still_serves(agent)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 300,
        b"POST /v1/smcp/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/smcp/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/smcp/invoke HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        bytes(range(256)) * 16,
    ],
    ids=lambda data: repr(data[:16]),
)
def test_what_is_no_http(gateway: Gateway, agent: Agent, data: bytes) -> None:
    answer = raw(gateway, data)
    assert not answer.startswith(b"HTTP/1.1 2"), answer[:200]
    assert still_serves(agent)


def test_signature_token_and_time(gateway: Gateway, agent: Agent) -> None:
    """The refusals every agent may meet, over HTTP, with number and status."""
    other = gateway.agent("other")
    text = agent.tool_call("echo", {"n": 1})
    good = agent.seal(text)
    now = time.time()
    header, claims, signature = agent.token.split(".")
    stolen = Agent(gateway.url, token=agent.token)
    cases = {
        "tampered": (good.replace(b'"n": 1', b'"n": 2'), 401, "INVALID_SIGNATURE"),
        "another key": (stolen.seal(text), 401, "INVALID_SIGNATURE"),
        "another token": (good.replace(agent.token.encode(), other.token.encode()), 401, "INVALID_SIGNATURE"),
        "too old": (agent.seal(text, at=now - 32), 401, "STALE_TIMESTAMP"),
        "too new": (agent.seal(text, at=now + 32), 401, "STALE_TIMESTAMP"),
        "broken token": (Agent(gateway.url, token="x").seal(text), 401, "TOKEN_VERIFICATION_FAILED"),
        "no algorithm": (
            Agent(gateway.url, token=f"eyJhbGciOiJub25lIn0.{claims}.").seal(text),
            401,
            "TOKEN_VERIFICATION_FAILED",
        ),
        "cut token": (Agent(gateway.url, token=f"{header}.{claims}").seal(text), 401, "TOKEN_VERIFICATION_FAILED"),
        "resigned token": (
            Agent(gateway.url, token=f"{header}.{claims}.{signature[:-6]}AAAAAA").seal(text),
            401,
            "TOKEN_VERIFICATION_FAILED",
        ),
    }
    for name, (body, status, code) in cases.items():
        answer = agent.invoke(body)
        assert (answer.status, answer.code) == (status, code), (name, answer)
        assert agent.token not in answer.body.decode()
        if code == "STALE_TIMESTAMP":
            assert answer.error["details"]["server_time"]
    # None of them used up the good one; the second showing of that is a replay.
    assert agent.invoke(good).status == 200
    replay = agent.invoke(good)
    assert (replay.status, replay.code, replay.error["number"]) == (401, "REPLAY_DETECTED", 1008)


def test_attestation_refusals(gateway: Gateway) -> None:
    agent = Agent(gateway.url)
    good = json.loads(agent.attestation())
    late = {**good, "proof": {**good["proof"], "timestamp": good["proof"]["timestamp"] - 60}}
    weak = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    for name, body in {
        "proof of another": {**good, "workload_id": "somebody"},
        "late proof": late,
        "broken proof": {**good, "proof": {}},
        "small-order key": {**good, "public_key": weak},
        "short key": {**good, "public_key": "AAAA"},
        "no workload": {name: value for name, value in good.items() if name != "workload_id"},
        "blank workload": {**good, "workload_id": " "},
        "number": {**good, "workload_id": 7},
    }.items():
        answer = post(f"{gateway.url}/v1/smcp/attest", json.dumps(body).encode())
        content = answer.json()
        assert answer.status == 401, (name, answer)
        assert content["error_code"] == content["error"]["code"] == "ATTESTATION_FAILED", (name, answer)
        assert content["status"] == "error" and content["message"] == content["error"]["message"], name
