"""The blocking client against the mock gateway and against raw sockets."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from smcp import SMCPClient, SMCPConnectionError, SMCPError, SMCPHTTPError, SMCPTimeoutError, SMCPToolError
from smcp.crypto import Ed25519Key
from smcp.testing import MockGateway, ToolError


@contextmanager
def raw_server(answer: bytes, *, linger: float = 0.0) -> Iterator[str]:
    """Answers every connection with the same bytes, whatever it says."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                time.sleep(linger)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def http(status: str, body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n".encode() + body


def provisioned(url: str, **options: Any) -> SMCPClient:
    client = SMCPClient(url, "w", "s", **options)
    client.key = Ed25519Key.generate()
    client.security_token = "token"
    return client


@pytest.fixture
def echo() -> Iterator[MockGateway]:
    with MockGateway({"echo": lambda arguments: arguments}) as gateway:
        yield gateway


def test_session_attributes(echo: MockGateway) -> None:
    with SMCPClient(echo.url, "w", "s") as client:
        assert (client.expires_at, client.session_id) == (None, None)
        client.attest()
        assert client.expires_at is not None
        assert client.expires_at.tzinfo is not None
        assert 3500 < client.expires_at.timestamp() - time.time() < 3700
        assert client.session_id is not None
        assert client.session_id.startswith("session-")
        key = client.key
    assert (client.security_token, client.key) == (None, None)
    with pytest.raises(SMCPError, match="erased"):
        key.sign(b"m")
    with pytest.raises(SMCPError, match="closed"):
        client.attest()
    assert "token" not in repr(client)


def test_proof_and_scope_are_sent(echo: MockGateway) -> None:
    echo.require_proof = True
    SMCPClient(echo.url, "workload", "scope").attest()
    request = echo.attestations[0]
    assert (request["workload_id"], request["requested_scope"]) == ("workload", "scope")
    assert set(request["proof"]) == {"gateway", "signature", "timestamp"}
    assert request["proof"]["gateway"] == echo.url


def test_numbers_and_names_survive(echo: MockGateway) -> None:
    client = SMCPClient(echo.url, "w", "s")
    client.attest()
    arguments = {"n": [1.0, -0.0, 1e16, 1e-7, 2**53 + 1, -(2**70), 0.1], "\ufb33": 1, "\U0001f600": "\u2028", "": None}
    assert client.call_tool("echo", arguments) == arguments
    sent = echo.calls[0].arguments
    assert sent["n"][4] == 2**53 + 1
    assert client.call_tool("echo") == {}


@pytest.mark.parametrize("arguments", [{"a": float("nan")}, {1: 2}, {"a": "\ud800"}, {"a": b""}])
def test_broken_arguments_are_never_sent(echo: MockGateway, arguments: Any) -> None:
    client = SMCPClient(echo.url, "w", "s")
    client.attest()
    with pytest.raises(SMCPError) as caught:
        client.call_tool("echo", arguments)
    assert caught.value.status_code == 1000
    with pytest.raises(SMCPError) as caught:
        client.send({"jsonrpc": "2.0", "id": 1, "method": "x", "params": arguments})
    assert caught.value.status_code == 1000
    with pytest.raises(SMCPError) as caught:
        client.call_tool("\udc00", {})
    assert caught.value.status_code == 1000
    assert echo.calls == []


def test_list_tools_and_send(echo: MockGateway) -> None:
    client = SMCPClient(echo.url, "w", "s")
    client.attest()
    assert [tool["name"] for tool in client.list_tools()] == ["echo"]
    assert client.send({"jsonrpc": "2.0", "id": 7, "method": "ping"}) == {"jsonrpc": "2.0", "id": 7, "result": {}}
    assert client.send({"jsonrpc": "2.0", "method": "notifications/initialized"}) is None
    with pytest.raises(SMCPHTTPError) as caught:
        client.send({"jsonrpc": "2.0", "id": 8, "method": "resources/subscribe"})
    assert caught.value.code == "METHOD_NOT_ALLOWED"


def test_reattests_once_and_only_when_that_helps(echo: MockGateway) -> None:
    client = SMCPClient(echo.url, "w", "s")
    first = client.attest()
    echo.forget_sessions()
    assert client.call_tool("echo", {"a": 1}) == {"a": 1}
    assert client.security_token != first
    assert len(echo.attestations) == 2
    echo.revoke_sessions()
    with pytest.raises(SMCPError) as caught:
        client.call_tool("echo", {})
    assert caught.value.status_code == 1006
    assert len(echo.attestations) == 2
    without = SMCPClient(echo.url, "w", "s", reattest=False)
    without.attest()
    echo.forget_sessions()
    with pytest.raises(SMCPError) as caught:
        without.call_tool("echo", {})
    assert (caught.value.status_code, caught.value.executed) == (1007, False)


def test_short_lived_tokens_are_renewed_in_time() -> None:
    with MockGateway({"echo": lambda arguments: arguments}, token_lifetime=2.5) as gateway:
        client = SMCPClient(gateway.url, "w", "s")
        client.attest()
        ends = time.monotonic() + 4
        while time.monotonic() < ends:
            client.call_tool("echo", {})
            time.sleep(0.1)
        assert 2 <= len(gateway.attestations) <= 5


def test_a_provisioned_session(echo: MockGateway) -> None:
    donor = SMCPClient(echo.url, "w", "s")
    donor.attest()
    private = Ed25519PrivateKey.generate()
    client = SMCPClient(echo.url, "w", "s")
    client.security_token = donor.security_token
    with pytest.raises(SMCPError, match="Must attest"):
        client.call_tool("echo", {})
    client.key = donor.key
    assert client.key is not None
    assert client.call_tool("echo", {"a": 1}) == {"a": 1}
    client.key = Ed25519Key(private)
    with pytest.raises(SMCPError) as caught:
        client.call_tool("echo", {})
    assert caught.value.status_code == 1001
    echo.forget_sessions()
    with pytest.raises(SMCPError) as caught:
        client.call_tool("echo", {})
    assert caught.value.status_code == 1007
    assert len(echo.attestations) == 1
    client.attest()
    assert isinstance(client.key, Ed25519Key)
    assert client.key.get_public_key_bytes() != private.public_key().public_bytes_raw()
    client.call_tool("echo", {})


class Kms:
    """A foreign signer."""

    def __init__(self, answer: Callable[[bytes], Any] | None = None) -> None:
        self.private = Ed25519PrivateKey.generate()
        self.answer = answer or self.private.sign
        self.signed = 0

    def get_public_key_bytes(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> Any:
        self.signed += 1
        return self.answer(message)


def test_a_foreign_signer(echo: MockGateway) -> None:
    kms = Kms()
    client = SMCPClient(echo.url, "w", "s", key=kms)
    client.attest()
    assert client.call_tool("echo", {"a": 1}) == {"a": 1}
    assert kms.signed == 2
    assert client.key is kms
    own = Ed25519Key.generate()
    with SMCPClient(echo.url, "w", "s", key=own) as client:
        client.attest()
        client.attest()
        client.call_tool("echo", {})
        assert client.key.get_public_key_bytes() == own.get_public_key_bytes()
    own.sign(b"a key of the caller is not erased")


def broken_signer(_: bytes) -> bytes:
    raise RuntimeError("KMS is down")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (broken_signer, "KMS is down"),
        (lambda message: b"short", "no 64 bytes"),
        (lambda message: "text", "no 64 bytes"),
        (lambda message: bytes(64), "another key"),
    ],
)
def test_a_broken_foreign_signer(echo: MockGateway, answer: Callable[[bytes], Any], text: str) -> None:
    with pytest.raises(SMCPError, match=text):
        SMCPClient(echo.url, "w", "s", key=Kms(answer)).attest()
    assert echo.attestations == []


@pytest.mark.parametrize("wrong", [object(), 5, "key"])
def test_what_is_no_signer(wrong: Any) -> None:
    with pytest.raises(TypeError):
        SMCPClient("http://127.0.0.1:9", "w", "s", key=wrong)


def test_workload_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("right\n")
    with MockGateway(workload_credential="right") as gateway:

        def attest(**options: Any) -> str:
            return SMCPClient(gateway.url, "w", "s", **options).attest()

        for credential in ("right", lambda: "right", file):
            attest(workload_credential=credential)
        for wrong in (None, "wrong", lambda: "wrong"):
            with pytest.raises(SMCPHTTPError) as caught:
                attest(workload_credential=wrong)
            assert caught.value.code == "WORKLOAD_VERIFICATION_FAILED"
        monkeypatch.setenv("SMCP_WORKLOAD_TOKEN_FILE", str(file))
        client = SMCPClient(gateway.url, "w", "s")
        client.attest()
        file.write_text("rotated")
        with pytest.raises(SMCPHTTPError):
            client.attest()
        file.unlink()
        with pytest.raises(SMCPError, match="cannot be read") as other:
            client.attest()
        assert other.value.code == "CONFIG_INVALID"

        def fails() -> str:
            raise RuntimeError("vault is sealed")

        with pytest.raises(SMCPError, match="vault is sealed"):
            attest(workload_credential=fails)
        for bad in ("a b", "", "a\r\nX: y", lambda: 5):
            with pytest.raises(SMCPError) as refused:
                attest(workload_credential=bad)
            assert refused.value.code == "CONFIG_INVALID"
    with pytest.raises(TypeError):
        SMCPClient("http://127.0.0.1:9", "w", "s", workload_credential=5)  # type: ignore[arg-type]


def test_from_env(echo: MockGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SMCPError, match="SMCP_GATEWAY_URL"):
        SMCPClient.from_env()
    monkeypatch.setenv("SMCP_GATEWAY_URL", echo.url + "/")
    monkeypatch.setenv("SMCP_WORKLOAD_ID", "from-env")
    monkeypatch.setenv("SMCP_SECURITY_SCOPE", "scope")
    monkeypatch.setenv("SMCP_TIMEOUT", "2.5")
    client = SMCPClient.from_env(security_scope="other")
    assert (client.gateway_url, client.workload_id, client.security_scope) == (echo.url, "from-env", "other")
    client.attest()
    assert echo.attestations[0]["requested_scope"] == "other"


def test_plain_http_beyond_this_machine() -> None:
    with pytest.raises(SMCPError, match="plain http") as caught:
        SMCPClient("http://gateway.example", "w", "s").attest()
    assert (caught.value.code, caught.value.number, caught.value.status_code) == ("CONFIG_INVALID", 6006, None)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_impossible_options(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        SMCPClient("http://127.0.0.1:9", "w", "s", timeout=timeout)


def test_a_dead_gateway() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client = provisioned(url, max_retries=0)
    with pytest.raises(SMCPConnectionError, match="refused") as caught:
        client.call_tool("t", {})
    assert (caught.value.code, caught.value.executed) == ("CONNECTION_FAILED", False)
    assert (caught.value.status_code, caught.value.http_status) == (None, None)


def test_a_slow_gateway() -> None:
    with raw_server(b"", linger=5) as url:
        client = provisioned(url, timeout=0.3)
        begun = time.monotonic()
        with pytest.raises(SMCPTimeoutError) as caught:
            client.call_tool("t", {})
        assert time.monotonic() - begun < 3
    assert (caught.value.code, caught.value.executed) == ("TIMEOUT", "unknown")


def test_strange_answers() -> None:
    for answer, error_class, text, executed in [
        (http("502 Bad Gateway", b"<html>"), SMCPHTTPError, "SMCP Gateway Error: HTTP 502", "unknown"),
        (http("302 Found", b"", "Location: http://127.0.0.1:9/\r\n"), SMCPHTTPError, "redirect", "unknown"),
        (http("200 OK", b"oops"), SMCPError, "not one of the protocol", "unknown"),
        (http("200 OK", b'{"status":"success"}'), SMCPError, "no `payload`", "unknown"),
        (http("200 OK", b'{"payload":{"result":' + b"9" * 5000 + b"}}"), SMCPError, "cannot be read", "unknown"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", SMCPConnectionError, "broke", "unknown"),
        (b"garbage\r\n\r\n", SMCPConnectionError, "HTTP", "unknown"),
        (http("200 OK", b" " * 4096), SMCPError, "larger than", "unknown"),
    ]:
        with raw_server(answer) as url:
            with pytest.raises(error_class, match=text) as caught:
                provisioned(url, max_response_bytes=1024 if text == "larger than" else 10**6).call_tool("t", {})
            assert caught.value.executed == executed, text
            assert caught.value.status_code is None
            if isinstance(caught.value, SMCPHTTPError):
                assert caught.value.response is not None
                assert caught.value.response.status_code == caught.value.http_status


def test_null_and_empty_results() -> None:
    cases: list[tuple[bytes, Any]] = [(b'{"payload":{"result":null}}', None), (b'{"payload":{}}', {})]
    for body, expected in cases:
        with raw_server(http("200 OK", body)) as url:
            assert provisioned(url).call_tool("t", {}) == expected


def test_tool_errors(echo: MockGateway) -> None:
    def fails(_: dict[str, Any]) -> Any:
        raise ToolError("bad argument", -32602, {"field": "a"})

    echo.tools["fails"] = fails
    client = SMCPClient(echo.url, "w", "s")
    client.attest()
    with pytest.raises(SMCPToolError, match="^MCP Tool Error: bad argument$") as caught:
        client.call_tool("fails", {})
    assert (caught.value.tool_code, caught.value.data, caught.value.status_code) == (-32602, {"field": "a"}, None)
    assert caught.value.code is None


def test_overload_is_tried_again_with_another_id(echo: MockGateway) -> None:
    client = SMCPClient(echo.url, "w", "s")
    client.attest()
    echo.refuse_next("OVERLOADED")
    assert client.call_tool("echo", {"a": 1}) == {"a": 1}
    assert len({call.payload["id"] for call in echo.calls}) == 2
    echo.refuse_next("UPSTREAM_TIMEOUT")
    with pytest.raises(SMCPHTTPError) as caught:
        client.call_tool("echo", {})
    assert (caught.value.status_code, caught.value.executed) == (4003, "unknown")
    echo.refuse_next("POLICY_VIOLATION_RATE_LIMIT_EXCEEDED", "slow down", details={"retry_after": 7})
    with pytest.raises(SMCPHTTPError, match="slow down") as caught:
        client.call_tool("echo", {})
    assert (caught.value.details, caught.value.http_status) == ({"executed": False, "retry_after": 7}, 429)


def test_threads_share_one_attestation(echo: MockGateway) -> None:
    client = SMCPClient(echo.url, "w", "s")
    barrier = threading.Barrier(8)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            barrier.wait()
            client.attest()
            for number in range(5):
                assert client.call_tool("echo", {"n": number}) == {"n": number}
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(echo.attestations) < 8
    assert len(echo.calls) == 40


def test_headers_go_with_every_request(echo: MockGateway) -> None:
    client = SMCPClient(echo.url, "w", "s", headers={"X-Team": "blue"})
    client.attest()
    client.call_tool("echo", {})
    headers = echo.calls[0].headers
    assert headers["x-team"] == "blue"
    assert "authorization" not in headers
    with pytest.raises(SMCPError, match="set by the client"):
        SMCPClient(echo.url, "w", "s", headers={"Content-Type": "text/plain"}).attest()


def test_logs_have_no_secrets(echo: MockGateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="smcp")
    client = SMCPClient(echo.url, "w", "s", workload_credential="secret-credential")
    token = client.attest()
    echo.forget_sessions()
    client.call_tool("echo", {"password": "hunter22"})
    text = caplog.text
    assert "attested, session `session-" in text
    assert "attesting anew after SESSION_NOT_FOUND" in text
    assert {record.name for record in caplog.records} == {"smcp.client"}
    for secret in (token, "secret-credential", "hunter22", str(client.security_token)):
        assert secret not in text


def test_a_wrong_clock_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"status": "success", "security_token": "t"}).encode()
    with raw_server(http("200 OK", body, "Date: Tue, 17 Feb 2015 14:32:01 GMT\r\n")) as url:
        client = SMCPClient(url, "w", "s")
        client.attest()
        client.attest()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "seconds behind this machine's" in warnings[0].getMessage()
    assert client.clock_offset < -86400


def certificates(folder: Path) -> None:
    """An authority, a server for localhost and a client, as PEM files."""
    now = datetime.now(UTC)

    def make(name: str, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer[0] if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        certificate = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.pem").write_bytes(pem)
        (folder / f"{name}.key").write_bytes(private)
        (folder / f"{name}-both.pem").write_bytes(pem + private)
        return key

    authority = make("ca", None)
    issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]), authority)
    make("server", issuer)
    make("client", issuer)


def test_tls_with_own_authority_and_client_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates(tmp_path)
    with MockGateway({"echo": lambda arguments: arguments}) as gateway:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
        context.load_verify_locations(tmp_path / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        server = gateway._server
        server.socket = context.wrap_socket(server.socket, server_side=True)
        gateway.url = f"https://localhost:{server.server_address[1]}"
        pair = (tmp_path / "client.pem", tmp_path / "client.key")
        for certificate in (pair, str(tmp_path / "client-both.pem"), (tmp_path / "client-both.pem", None)):
            client = SMCPClient(gateway.url, "w", "s", ca_file=tmp_path / "ca.pem", client_cert=certificate)
            client.attest()
            assert client.call_tool("echo", {"a": 1}) == {"a": 1}
        with pytest.raises(SMCPConnectionError, match="certificate"):
            SMCPClient(gateway.url, "w", "s", client_cert=pair, max_retries=0).attest()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        SMCPClient(gateway.url, "w", "s", client_cert=pair).attest()
        with pytest.raises(SMCPConnectionError):
            SMCPClient(gateway.url, "w", "s", max_retries=0).attest()
        with pytest.raises(SMCPError, match=r"missing\.pem"):
            SMCPClient(gateway.url, "w", "s", ca_file="missing.pem").attest()


def test_control_c_ends_a_call() -> None:
    program = (
        "import signal, smcp, socket, sys, time\n"
        # A shell without job control starts its background jobs with the signal ignored, and children inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "client = smcp.SMCPClient(f'http://127.0.0.1:{server.getsockname()[1]}', 'w', 's', attest_timeout=60)\n"
        "print('ready', flush=True)\n"
        "try: client.attest()\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.5)
        os.kill(child.pid, signal.SIGINT)
        assert child.stdout.read() == "interrupted\n"
    assert child.wait(10) == 0
