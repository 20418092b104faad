"""`AttestationService` behind a web server of the service's own, and with `EnvelopeVerifier` behind it."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from smcp import Ed25519Key, SMCPClient, SMCPError
from smcp.attest import AttestationReply, AttestationRequest, AttestationService, Workload
from smcp.audit import AuditRecord
from smcp.policy import SecurityContext
from smcp.stores import MemorySessionStore, Session
from smcp.token import TokenIssuer
from smcp.verifier import EnvelopeVerifier

NOW = 1_800_000_000.0
DOCS = SecurityContext.from_yaml("name: docs\ncapabilities: [{tool_pattern: fs.read, path_allowlist: [/srv]}]\n")
ADMIN = SecurityContext.from_yaml("name: admin\ncapabilities: [{tool_pattern: '*'}]\n")


def service_of(**options: Any) -> AttestationService:
    settings: dict[str, Any] = {"verifier": lambda _request, bearer: bearer == "secret", "contexts": [DOCS, ADMIN]}
    return AttestationService(TokenIssuer.generate(), **{**settings, **options})


def body(key: Ed25519Key | None = None, workload_id: str = "w", scope: str = "docs", **extra: Any) -> bytes:
    key = Ed25519Key() if key is None else key
    request = {"public_key": key.get_public_key_base64(), "workload_id": workload_id, "requested_scope": scope}
    return json.dumps({**request, **extra}).encode()


def attest(service: AttestationService, request: bytes | None = None, **options: Any) -> AttestationReply:
    return service.attest(body() if request is None else request, **{"bearer": "secret", "now": NOW, **options})


def test_a_workload_gets_a_token_and_a_session() -> None:
    service, key = service_of(), Ed25519Key()
    reply = attest(service, body(key), source="192.0.2.1")
    assert (reply.status, reply.ok, reply.code, reply.headers) == (
        200,
        True,
        None,
        {"Content-Type": "application/json"},
    )
    answer = json.loads(reply.body)
    assert answer["status"] == "success"
    assert answer["expires_at"] == "2027-01-15T09:00:00.000Z"
    claims = service.issuer.verify(answer["security_token"], now=NOW)
    assert (claims.workload_id, claims.scope, claims.key) == ("w", "docs", key.get_public_key_bytes())
    assert reply.session is not None
    assert claims.session_id == answer["session_id"] == reply.session.id
    assert isinstance(service.sessions, MemorySessionStore)
    assert service.sessions.find(reply.session.id) == reply.session
    assert answer["security_token"] not in repr(reply)


def test_refusals_have_both_published_forms() -> None:
    reply = attest(service_of(), bearer="wrong")
    answer = json.loads(reply.body)
    assert (reply.status, reply.ok, reply.session) == (401, False, None)
    assert answer["status"] == "error"
    assert answer["error_code"] == answer["error"]["code"] == reply.code == "WORKLOAD_VERIFICATION_FAILED"
    assert answer["message"] == answer["error"]["message"] == reply.message
    assert answer["error"]["number"] == 3000


def test_what_the_verifier_is_told() -> None:
    seen: list[tuple[AttestationRequest, str | None]] = []

    def verify(request: AttestationRequest, bearer: str | None) -> Workload:
        seen.append((request, bearer))
        return Workload(execution_id="e-1", tenant_id="t-1")

    key = Ed25519Key()
    service = service_of(verifier=verify)
    reply = attest(service, body(key, "w-1"), source="192.0.2.1", bearer=None)
    ((request, bearer),) = seen
    assert (request.workload_id, request.scope, request.source, bearer) == ("w-1", "docs", "192.0.2.1", None)
    assert (request.public_key, request.has_proof, request.protocol) == (key.get_public_key_bytes(), False, "smcp/v1")
    claims = service.issuer.verify(json.loads(reply.body)["security_token"], now=NOW)
    assert (claims.execution_id, claims.tenant_id) == ("e-1", "t-1")


@pytest.mark.parametrize(
    ("verdict", "status", "code"),
    [
        (True, 200, None),
        (False, 401, "WORKLOAD_VERIFICATION_FAILED"),
        (None, 401, "WORKLOAD_VERIFICATION_FAILED"),
        (1, 401, "WORKLOAD_VERIFICATION_FAILED"),
        ("yes", 401, "WORKLOAD_VERIFICATION_FAILED"),
        (RuntimeError("password of the database"), 401, "WORKLOAD_VERIFICATION_FAILED"),
        (Workload(registered_key=Ed25519Key().get_public_key_bytes()), 401, "KEYPAIR_MISMATCH"),
        (Workload(registered_key=b"broken"), 401, "WORKLOAD_VERIFICATION_FAILED"),
        (SMCPError("ask your operator", 3001, code="SCOPE_NOT_FOUND", http_status=403), 403, "SCOPE_NOT_FOUND"),
        (SMCPError("local", code="TIMEOUT", number=6003), 401, "WORKLOAD_VERIFICATION_FAILED"),
    ],
)
def test_verdicts(verdict: object, status: int, code: str | None, caplog: pytest.LogCaptureFixture) -> None:
    def verify(_: AttestationRequest, __: str | None) -> Any:
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    with caplog.at_level(logging.CRITICAL):
        reply = attest(service_of(verifier=verify))
    assert (reply.status, reply.code) == (status, code)
    assert b"password" not in reply.body


def test_requests_that_are_none() -> None:
    asked: list[object] = []

    def verify(request: AttestationRequest, _: str | None) -> bool:
        asked.append(request)
        return True

    service = service_of(verifier=verify)
    for wrong in (b"", b"[]", b"{}", b"\xff", b"{" * 10_000, body(scope=""), body(proof={}), body(workload_id="a\nb")):
        reply = attest(service, wrong)
        assert (reply.status, reply.code) == (401, "ATTESTATION_FAILED")
    large = attest(service, b'{"a":"' + b"x" * 100_000 + b'"}')
    assert (large.status, large.code) == (413, "ATTESTATION_FAILED")
    weak = json.dumps({"public_key": "A" * 43 + "=", "workload_id": "w", "requested_scope": "docs"}).encode()
    assert attest(service, weak).code == "ATTESTATION_FAILED"
    assert not asked


def test_grants() -> None:
    service = service_of(grants={"ci-*": ["docs"], "root": ["docs", "admin", "gone"]})
    for workload_id, scope, status in [
        ("ci-1", "docs", 200),
        ("ci-1", "admin", 403),
        ("root", "admin", 200),
        ("root", "gone", 403),
        ("dev", "docs", 403),
    ]:
        reply = attest(service, body(workload_id=workload_id, scope=scope))
        assert (reply.status, reply.code) == (status, None if status == 200 else "SCOPE_NOT_FOUND")
    service.replace_contexts([DOCS])
    assert attest(service, body(workload_id="root", scope="admin")).code == "SCOPE_NOT_FOUND"


def test_proofs() -> None:
    service = service_of(require_proof=True, public_url="https://service.example")
    assert attest(service).code == "ATTESTATION_FAILED"
    key = Ed25519Key()

    def proven(gateway: str, timestamp: int, signer: Ed25519Key) -> bytes:
        signed = {
            "gateway": gateway,
            "public_key": key.get_public_key_base64(),
            "requested_scope": "docs",
            "timestamp": timestamp,
            "workload_id": "w",
        }
        signature = signer.sign_base64(json.dumps(signed, separators=(",", ":")).encode())
        return body(key, proof={"timestamp": timestamp, "gateway": gateway, "signature": signature})

    assert attest(service, proven("https://service.example/", int(NOW), key)).ok
    assert not attest(service, proven("https://evil.example", int(NOW), key)).ok
    assert not attest(service, proven("https://service.example", int(NOW) - 31, key)).ok
    assert not attest(service, proven("https://service.example", int(NOW), Ed25519Key())).ok


def test_limits_per_source_and_per_workload() -> None:
    service = service_of(failures_per_minute=3, successes_per_minute=2)
    for _ in range(3):
        assert attest(service, bearer="wrong", source="2001:db8::1").status == 401
    limited = attest(service, source="2001:db8::2")
    assert (limited.status, limited.code) == (429, "POLICY_VIOLATION_RATE_LIMIT_EXCEEDED")
    assert limited.headers["Retry-After"] == "60"
    assert attest(service, b"{}", source="2001:db8::1").status == 429
    assert attest(service, source="192.0.2.1").ok
    assert attest(service, source="192.0.2.1").ok
    assert attest(service, source="192.0.2.1").status == 429
    assert attest(service, source="192.0.2.1", now=NOW + 60).ok


def test_keys_and_blocks() -> None:
    service, key = service_of(), Ed25519Key()
    first = attest(service, body(key, "one"))
    assert attest(service, body(key, "two")).code == "KEYPAIR_MISMATCH"
    assert attest(service, body(key, "one")).ok
    assert first.session is not None
    assert isinstance(service.sessions, MemorySessionStore)
    service.sessions.revoke(first.session.id)
    assert attest(service, body(None, "one")).code == "WORKLOAD_VERIFICATION_FAILED"
    service.sessions.allow("one")
    assert attest(service, body(None, "one")).ok


class AsyncSessions:
    """A session store with coroutine functions."""

    def __init__(self) -> None:
        self.store = MemorySessionStore()
        self.asked: list[str] = []

    async def find(self, session_id: str, now: float, /) -> Session | None:
        return self.store.find(session_id, now)

    async def find_by_agent(self, agent_id: str, now: float, /) -> Session | None:
        return self.store.find_by_agent(agent_id, now)

    async def open(self, session: Session, now: float, /) -> None:
        self.asked.append("open")
        await asyncio.sleep(0)
        self.store.open(session, now)

    async def blocked(self, workload_id: str, key: bytes, now: float, /) -> bool:
        self.asked.append("blocked")
        await asyncio.sleep(0)
        return self.store.blocked(workload_id, key, now)

    async def live_key_owner(self, key: bytes, now: float, /) -> str | None:
        self.asked.append("live_key_owner")
        return self.store.live_key_owner(key, now)


def test_async_verifier_sessions_and_audit() -> None:
    records: list[AuditRecord] = []

    async def verify(_: AttestationRequest, bearer: str | None) -> bool:
        await asyncio.sleep(0)
        return bearer == "secret"

    async def audit(record: AuditRecord) -> None:
        await asyncio.sleep(0)
        records.append(record)

    sessions = AsyncSessions()
    service = service_of(verifier=verify, sessions=sessions, audit=audit)
    reply = asyncio.run(service.attest_async(body(), bearer="secret", now=NOW))
    assert reply.ok
    assert sessions.asked == ["blocked", "live_key_owner", "open"]
    assert reply.session is not None
    assert sessions.store.find(reply.session.id) == reply.session
    assert json.loads(reply.body)["session_id"] == reply.session.id
    assert not asyncio.run(service.attest_async(body(), bearer="wrong", now=NOW)).ok
    assert [record.event for record in records] == ["AttestationSucceeded", "AttestationFailed"]
    assert attest(service).code == "WORKLOAD_VERIFICATION_FAILED"
    assert attest(service_of(sessions=sessions)).code == "INTERNAL_ERROR"


@pytest.mark.parametrize("method", ["blocked", "live_key_owner", "open"])
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("nonsense", "INTERNAL_ERROR"),
        (OSError("password of the database"), "INTERNAL_ERROR"),
        (SMCPError("full", 4001, code="OVERLOADED", http_status=503), "OVERLOADED"),
    ],
)
def test_session_stores_that_fail(method: str, answer: object, code: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return 17 if method == "live_key_owner" else answer

    # Not a MemorySessionStore for the service, which would ask its native part.
    store = MemorySessionStore()
    host = type(
        "Host",
        (),
        {
            "blocked": lambda _, *a: store.blocked(*a),
            "live_key_owner": lambda _, *a: store.live_key_owner(*a),
            "open": lambda _, *a: store.open(*a),
            method: fail,
        },
    )()
    with caplog.at_level(logging.CRITICAL):
        reply = attest(service_of(sessions=host))
    assert reply.code == code
    assert b"password" not in reply.body
    assert store.sessions(now=NOW) == []


def test_an_attestation_nobody_may_know_of_is_none(caplog: pytest.LogCaptureFixture) -> None:
    def full(_: AuditRecord) -> None:
        raise OSError("no space left on device")

    sessions = MemorySessionStore()
    with caplog.at_level(logging.CRITICAL):
        reply = attest(service_of(audit=full, sessions=sessions))
    assert (reply.status, reply.code, reply.session) == (503, "AUDIT_UNAVAILABLE", None)
    assert b"security_token" not in reply.body
    assert [session.state for session in sessions.sessions(now=NOW)] == ["revoked"]


def test_two_contexts_of_one_name(refusal: Callable[[Callable[[], object]], str | None]) -> None:
    assert refusal(lambda: service_of(contexts=[DOCS, DOCS])) == "CONFIG_INVALID"
    assert refusal(
        lambda: AttestationService(TokenIssuer.generate(lifetime_seconds=0), verifier="allow_all", contexts=[])
    ) == ("INVALID_ARGUMENT")


@contextmanager
def web_service(service: AttestationService, verifier: EnvelopeVerifier) -> Iterator[str]:
    """What a service author writes: two routes of a web server of the standard library."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/smcp/attest":
                bearer = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                reply = service.attest(request, bearer=bearer, source=self.client_address[0])
                self.answer(reply.status, reply.body, reply.headers)
                return
            try:
                call = verifier.receive(request)
                text = json.dumps({"jsonrpc": "2.0", "id": call.id, "result": {"read": call.arguments["path"]}})
                self.answer(200, f'{{"protocol":"smcp/v1","status":"success","payload":{text}}}'.encode(), {})
            except SMCPError as error:
                answer = {
                    "protocol": "smcp/v1",
                    "status": "error",
                    "error": {"code": error.code, "message": str(error)},
                }
                self.answer(error.http_status or 500, json.dumps(answer).encode(), {})

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_whole_service_with_our_client() -> None:
    issuer = TokenIssuer.generate(audience="docs-service")
    service = AttestationService(
        issuer, verifier=lambda request, bearer: request.has_proof and bearer == "secret", contexts=[DOCS]
    )
    verifier = EnvelopeVerifier(
        keys=issuer.public_key,
        contexts=[DOCS],
        sessions=service.sessions,
        audience="docs-service",
        issuer=issuer.issuer,
    )
    with (
        web_service(service, verifier) as url,
        SMCPClient(url, "w", "docs", workload_credential="secret", max_retries=0) as client,
    ):
        client.attest()
        assert client.call_tool("fs.read", {"path": "/srv/a"}) == {"read": "/srv/a"}
        with pytest.raises(SMCPError) as caught:
            client.call_tool("fs.read", {"path": "/etc/shadow"})
        assert caught.value.code == "POLICY_VIOLATION_PATH_NOT_ALLOWED"
        with pytest.raises(SMCPError) as stranger:
            SMCPClient(url, "w", "docs", workload_credential="guess", max_retries=0).attest()
        assert stranger.value.code == "WORKLOAD_VERIFICATION_FAILED"
