"""`EnvelopeVerifier` as a service uses it."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from smcp import Ed25519Key, SMCPError
from smcp.audit import AuditRecord
from smcp.errors import SEALError
from smcp.policy import SecurityContext
from smcp.stores import (
    MemoryRateStore,
    MemoryReplayStore,
    RateAnswer,
    RateKey,
    RateLimit,
    ReplayAnswer,
    ReplayEntry,
    Session,
)
from smcp.token import TokenIssuer
from smcp.verifier import AdmittedCall, AuthorizedCall, EnvelopeVerifier

from .conftest import NOW, Agent, Service

Refusal = Callable[[Callable[[], object]], str | None]


def verifier_of(service: Service, **options: Any) -> EnvelopeVerifier:
    settings: dict[str, Any] = {
        "jwks": service.issuer.jwks(),
        "contexts": [service.context],
        "sessions": service.sessions,
        "issuer": "gateway",
        "audience": "docs-service",
        "now": NOW - 120,
        **options,
    }
    if settings["sessions"] is None:
        settings.setdefault("revoked", lambda _session, _workload: False)
    return EnvelopeVerifier(**settings)


def test_an_allowed_call_is_handed_out_as_it_was_signed(service: Service, agent: Agent) -> None:
    payload = {
        "jsonrpc": "2.0",
        "id": "a\u2028b",
        "method": "tools/call",
        "params": {"name": "fs.read", "arguments": {"path": "/srv/docs/ä.txt", "limit": 1.0, "big": 2**70}},
    }
    body = agent.envelope(payload)
    call = verifier_of(service).receive(body, now=NOW)
    assert isinstance(call, AuthorizedCall)
    assert call.tool == "fs.read"
    assert call.method == "tools/call"
    assert call.id == "a\u2028b"
    assert call.payload == payload
    assert call.arguments == payload["params"]["arguments"]  # type: ignore[index]
    assert call.payload_bytes == json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert b'"limit":1.0' in call.payload_bytes
    assert call.claims.workload_id == "workload-1"
    assert call.claims.session_id == agent.session_id
    assert call.claims.key == agent.key.get_public_key_bytes()
    assert call.protocol == "smcp/v1"
    assert len(call.message_sha256) == 64
    assert call.decision is not None
    assert call.decision.verdict == "allow"
    assert call.decision.check() == 0
    assert call.decision.digest == service.context.digest
    assert agent.token not in repr(call)


def test_the_wire_text_never_comes_back(service: Service, agent: Agent) -> None:
    body = agent.read().replace(b'"payload": {', b'"payload": {   ', 1)
    call = verifier_of(service).receive(body, now=NOW)
    assert b" " not in call.payload_bytes


def test_steps_refuse_in_order(service: Service, agent: Agent, refusal: Refusal) -> None:
    verifier = verifier_of(service)
    other = TokenIssuer.generate(issuer="gateway", audience="docs-service")
    stranger = other.issue(scope="docs", workload_id="w", key=agent.key, now=NOW)
    stale_and_foreign = Agent(stranger.token, agent.key, "x").read(at=NOW - 31)
    foreign = Agent(stranger.token, agent.key, "x").read()
    thief = Agent(agent.token, Ed25519Key(), agent.session_id)
    denied = agent.call("fs.delete", path="/srv/docs/a")
    for expected, body in [
        ("MALFORMED_ENVELOPE", b"\xff"),
        ("UNSUPPORTED_PROTOCOL", b"{}"),
        ("STALE_TIMESTAMP", stale_and_foreign),
        ("STALE_TIMESTAMP", agent.read(at=NOW + 31)),
        ("TOKEN_VERIFICATION_FAILED", foreign),
        ("INVALID_SIGNATURE", thief.call("fs.delete", path="/srv/docs/a")),
        ("POLICY_VIOLATION_TOOL_DENIED", denied),
        ("REPLAY_DETECTED", denied),
        ("POLICY_VIOLATION_PATH_TRAVERSAL", agent.read("/srv/docs/../secret")),
        ("METHOD_NOT_ALLOWED", agent.envelope({"jsonrpc": "2.0", "id": 1, "method": "logging/setLevel"})),
    ]:
        assert refusal(lambda body=body: verifier.receive(body, now=NOW)) == expected  # type: ignore[misc]
    verifier.receive(agent.read(at=NOW - 30), now=NOW)


def test_errors_say_what_to_answer(service: Service, agent: Agent) -> None:
    verifier = verifier_of(service)
    with pytest.raises(SMCPError) as stale:
        verifier.receive(agent.read(at=NOW - 31), now=NOW)
    error = stale.value
    assert (error.code, error.number, error.status_code, error.http_status) == ("STALE_TIMESTAMP", 1004, 1004, 401)
    assert error.details == {"server_time": "2026-02-17T14:32:01.250Z"}
    with pytest.raises(SMCPError) as large:
        verifier_of(service, max_body_bytes=100).receive(agent.read(), now=NOW)
    assert (large.value.code, large.value.http_status) == ("MALFORMED_ENVELOPE", 413)
    for page in range(2):
        verifier.receive(agent.call("web.get", url=f"https://example.org/{page}"), now=NOW)
    with pytest.raises(SMCPError) as limited:
        verifier.receive(agent.call("web.get", url="https://example.org/2"), now=NOW)
    assert limited.value.http_status == 429
    assert limited.value.details == {"retry_after": 60}


def test_now_may_have_a_fraction_and_seconds_are_whole(service: Service, agent: Agent, refusal: Refusal) -> None:
    verifier = verifier_of(service)
    verifier.receive(agent.read(at=1_771_338_700.0), now=1_771_338_730.999)
    assert refusal(lambda: verifier.receive(agent.read(at=1_771_338_700.999), now=1_771_338_731.0)) == "STALE_TIMESTAMP"
    for impossible in (float("nan"), float("inf"), -1.0):
        assert refusal(lambda now=impossible: verifier.receive(agent.read(), now=now)) == "INVALID_ARGUMENT"  # type: ignore[misc]


def test_the_clock_is_used_without_now(service: Service) -> None:
    import time

    now = time.time()
    verifier = verifier_of(service, now=now - 60)
    call = verifier.receive(service.agent(opened_at=now).read(at=now))
    assert call.tool == "fs.read"


def test_a_new_memory_store_makes_old_sessions_attest_anew(service: Service, refusal: Refusal) -> None:
    verifier = verifier_of(service, now=NOW)
    before, since = service.agent(opened_at=NOW - 10), service.agent("workload-2", opened_at=NOW)
    assert refusal(lambda: verifier.receive(before.read(), now=NOW)) == "SESSION_NOT_FOUND"
    verifier.receive(since.read(), now=NOW)
    verifier.receive(before.read(at=NOW + 31), now=NOW + 31)


def test_revoked_ended_expired_and_unknown_sessions(service: Service, refusal: Refusal) -> None:
    verifier = verifier_of(service)
    revoked, ended = service.agent("a"), service.agent("b")
    short = service.agent("c", opened_at=NOW - 60, lifetime=60)
    service.sessions.revoke(revoked.session_id)
    service.sessions.end(ended.session_id)
    assert refusal(lambda: verifier.receive(revoked.read(), now=NOW)) == "SESSION_INACTIVE"
    assert refusal(lambda: verifier.receive(ended.read(), now=NOW)) == "SESSION_INACTIVE"
    assert refusal(lambda: verifier.receive(short.read(), now=NOW)) == "TOKEN_EXPIRED"
    unknown = service.issuer.issue(scope="docs", workload_id="d", key=revoked.key, now=NOW)
    assert (
        refusal(lambda: verifier.receive(Agent(unknown.token, revoked.key, "").read(), now=NOW)) == "SESSION_NOT_FOUND"
    )


def test_issuer_and_audience_are_required_when_given(service: Service, agent: Agent, refusal: Refusal) -> None:
    for options in ({"audience": "other-service"}, {"issuer": "other-gateway"}):
        verifier = verifier_of(service, **options)
        assert refusal(lambda: verifier.receive(agent.read(), now=NOW)) == "TOKEN_VERIFICATION_FAILED"  # noqa: B023


def test_both_dialects_and_no_mixing(service: Service, refusal: Refusal) -> None:
    verifier = verifier_of(service)
    smcp, seal = service.agent("a"), service.agent("b", protocol="seal/v1")
    assert verifier.receive(seal.read(), now=NOW).protocol == "seal/v1"
    for agent, protocol in ((smcp, "seal/v1"), (seal, "smcp/v1")):
        body = agent.call("fs.read", path="/srv/docs/a", protocol=protocol)
        assert refusal(lambda: verifier.receive(body, now=NOW)) == "UNSUPPORTED_PROTOCOL"  # noqa: B023
    only = verifier_of(service, protocol="smcp/v1")
    assert refusal(lambda: only.receive(seal.read(), now=NOW)) == "UNSUPPORTED_PROTOCOL"
    with pytest.raises(SEALError) as caught:
        verifier.receive(seal.read(at=NOW - 31), now=NOW)
    assert caught.value.status_code == 1003


def test_a_context_that_is_gone_is_no_default(service: Service, agent: Agent, refusal: Refusal) -> None:
    other = SecurityContext.from_yaml("name: other\ncapabilities: [{tool_pattern: '*'}]\n")
    verifier = verifier_of(service, contexts=[other])
    assert refusal(lambda: verifier.receive(agent.read(), now=NOW)) == "SCOPE_NOT_FOUND"
    verifier.replace_contexts([other, service.context])
    verifier.receive(agent.read(), now=NOW)
    assert refusal(lambda: verifier.replace_contexts([other, other])) == "CONFIG_INVALID"


def test_a_key_that_is_gone_ends_its_tokens(service: Service, agent: Agent, refusal: Refusal) -> None:
    verifier = verifier_of(service)
    verifier.receive(agent.read(), now=NOW)
    verifier.replace_keys(TokenIssuer.generate().public_key)
    assert refusal(lambda: verifier.receive(agent.read(), now=NOW)) == "TOKEN_VERIFICATION_FAILED"


def test_keys_in_every_form(service: Service, agent: Agent) -> None:
    import base64

    key = service.issuer.public_key
    forms: list[dict[str, Any]] = [
        {"keys": key, "jwks": None},
        {"keys": bytearray(key), "jwks": None},
        {"keys": base64.b64encode(key).decode(), "jwks": None},
        {"keys": [TokenIssuer.generate().public_key, key], "jwks": None},
        {"keys": {service.issuer.key_id: key}, "jwks": None},
        {"keys": service.issuer.jwks(), "jwks": None},
        {"jwks": service.issuer.jwks().encode()},
        {"jwks": [TokenIssuer.generate().jwks(), service.issuer.jwks()]},
    ]
    for form in forms:
        verifier_of(service, **form).receive(agent.read(), now=NOW)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"jwks": None}, "CONFIG_INVALID"),
        ({"jwks": '{"keys":[]}'}, "CONFIG_INVALID"),
        ({"jwks": "{"}, "CONFIG_INVALID"),
        ({"keys": b"short"}, "CONFIG_INVALID"),
        ({"keys": bytes(32)}, "CONFIG_INVALID"),
        ({"keys": "no base64!"}, "CONFIG_INVALID"),
        ({"window_seconds": 61}, "INVALID_ARGUMENT"),
        ({"window_seconds": 0}, "INVALID_ARGUMENT"),
        ({"leeway_seconds": 61}, "CONFIG_INVALID"),
        ({"replay": MemoryReplayStore(window_seconds=10)}, "INVALID_ARGUMENT"),
        ({"sessions": None, "revoked": None}, "INVALID_ARGUMENT"),
        ({"revoked": lambda _s, _w: False}, "INVALID_ARGUMENT"),
    ],
)
def test_settings_that_cannot_be_used(service: Service, refusal: Refusal, options: dict[str, Any], code: str) -> None:
    assert refusal(lambda: verifier_of(service, **options)) == code


def test_without_a_session_store_the_token_and_a_revocation_list_decide(service: Service, refusal: Refusal) -> None:
    asked: list[tuple[str | None, str]] = []
    revoked = {"bad"}

    def is_revoked(session_id: str | None, workload_id: str) -> bool:
        asked.append((session_id, workload_id))
        return workload_id in revoked

    verifier = verifier_of(service, sessions=None, revoked=is_revoked)
    good, bad = service.agent("good"), service.agent("bad")
    verifier.receive(good.read(), now=NOW)
    assert refusal(lambda: verifier.receive(bad.read(), now=NOW)) == "SESSION_INACTIVE"
    assert asked == [(good.session_id, "good"), (bad.session_id, "bad")]
    unbound = service.agent("unbound", bound=False)
    assert refusal(lambda: verifier.receive(unbound.read(), now=NOW)) == "TOKEN_VERIFICATION_FAILED"
    verifier_of(service).receive(unbound.read(), now=NOW)


def test_without_policy_every_tool_passes_and_nothing_else_changes(
    service: Service, agent: Agent, refusal: Refusal
) -> None:
    verifier = EnvelopeVerifier.without_policy(jwks=service.issuer.jwks(), sessions=service.sessions, now=NOW - 120)
    body = agent.call("anything", path="/etc/shadow")
    call = verifier.receive(body, now=NOW)
    assert type(call) is AdmittedCall
    assert not hasattr(call, "decision")
    assert call.arguments == {"path": "/etc/shadow"}
    assert refusal(lambda: verifier.receive(body, now=NOW)) == "REPLAY_DETECTED"
    assert (
        refusal(lambda: verifier.receive(Agent(agent.token, Ed25519Key(), "").read(), now=NOW)) == "INVALID_SIGNATURE"
    )


def test_methods_without_a_tool(service: Service) -> None:
    agent = service.agent(allowed_tools=["fs.*"])
    call = verifier_of(service).receive(agent.envelope({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}), now=NOW)
    assert call.decision is None
    assert call.arguments == {}
    assert call.list_tools(["web.get", "fs.read", "fs.delete", "sh"]) == ["fs.read"]
    call.check_response_size(10**9)


def test_a_narrowed_session(service: Service, refusal: Refusal) -> None:
    agent = service.agent(allowed_tools=["fs.*"])
    verifier = verifier_of(service)
    verifier.receive(agent.read(), now=NOW)
    body = agent.call("web.get", url="https://example.org")
    assert refusal(lambda: verifier.receive(body, now=NOW)) == "POLICY_VIOLATION_TOOL_NOT_ALLOWED"


def test_response_size(service: Service, agent: Agent) -> None:
    call = verifier_of(service).receive(agent.read(), now=NOW)
    call.check_response_size(b"x" * 64)
    with pytest.raises(SMCPError) as caught:
        call.check_response_size(65)
    assert caught.value.code == "POLICY_VIOLATION_RESPONSE_TOO_LARGE"
    assert caught.value.executed is True


def test_numbers_python_cannot_hold_are_refused_before_a_tool_sees_them(service: Service, agent: Agent) -> None:
    verifier = verifier_of(service)
    for number in ("1e999", "1" * 5000):
        payload = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "fs.read", "arguments": {}}}
        text = json.dumps(payload).replace('"arguments": {}', f'"arguments": {{"path": "/srv/docs/a", "n": {number}}}')
        arguments = f'{{"n":{number},"path":"/srv/docs/a"}}'
        canonical = (
            f'{{"id":1,"jsonrpc":"2.0","method":"tools/call","params":{{"arguments":{arguments},"name":"fs.read"}}}}'
        )
        message = f'{{"payload":{canonical},"security_token":"{agent.token}","timestamp":{int(NOW)}}}'.encode()
        body = (
            f'{{"protocol":"smcp/v1","security_token":"{agent.token}","signature":"{agent.key.sign_base64(message)}",'
            f'"payload":{text},"timestamp":"2026-02-17T14:32:01Z"}}'
        ).encode()
        with pytest.raises(SMCPError) as forwardable:
            verifier_of(service, forwardable=True).receive(body, now=NOW)
        assert forwardable.value.code == "MALFORMED_ENVELOPE"
        call = verifier.receive(body, now=NOW)
        assert number.encode() in call.payload_bytes
        with pytest.raises(SMCPError) as caught:
            call.arguments  # noqa: B018
        assert caught.value.code == "MALFORMED_ENVELOPE"


HOSTILE: list[bytes] = [
    b"",
    b"\x00" * 64,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"\xef\xbb\xbf{}",
    b'{"protocol":"smcp/v1","protocol":"smcp/v1"}',
    b'{"protocol":"smcp/v1","security_token":"\\ud800","signature":"","payload":{},"timestamp":""}',
    b"1" * 100_000,
    b'"' + b"\\u0000" * 50_000 + b'"',
    b'{"protocol":"smcp/v1"}' + b" " * 1_000_000 + b"x",
    b"nul",
    b"\xf0\x9f\x98",
]


def test_hostile_bodies_are_refusals(service: Service, agent: Agent) -> None:
    good = agent.read()
    bodies = [*HOSTILE, *(good[:end] for end in range(0, len(good), 7))]
    bodies += [good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :] for at in range(0, len(good), 5)]
    verifier = verifier_of(service)
    for body in bodies:
        with pytest.raises(SMCPError) as caught:
            verifier.receive(body, now=NOW)
        assert caught.value.http_status in {401, 403, 413}
        assert caught.value.code != "INTERNAL_ERROR"
        assert agent.token not in str(caught.value)
    verifier.receive(good, now=NOW)


def test_bodies_that_are_no_bytes_are_a_mistake_of_the_caller(service: Service, agent: Agent) -> None:
    verifier = verifier_of(service)
    for body in (agent.read().decode(), json.loads(agent.read()), None, 1):
        with pytest.raises(TypeError):
            verifier.receive(body, now=NOW)  # type: ignore[arg-type]
    verifier.receive(bytearray(agent.read()), now=NOW)
    verifier.receive(memoryview(agent.read()), now=NOW)


def test_threads_share_one_verifier_and_one_envelope_passes_once(service: Service, agent: Agent) -> None:
    verifier = verifier_of(service)
    body = agent.read()
    outcomes: list[str] = []

    def work() -> None:
        for _ in range(50):
            try:
                verifier.receive(body, now=NOW)
                outcomes.append("ok")
            except SMCPError as error:
                outcomes.append(str(error.code))
        for _ in range(20):
            verifier.receive(agent.read(), now=NOW)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("ok") == 1
    assert outcomes.count("REPLAY_DETECTED") == len(outcomes) - 1 == 399


class Sessions:
    """A session store of the host, over a dictionary."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.asked: list[tuple[str, str, float]] = []

    def find(self, session_id: str, now: float, /) -> Session | None:
        self.asked.append(("find", session_id, now))
        return self.service.sessions.find(session_id)

    def find_by_agent(self, agent_id: str, now: float, /) -> Session | None:
        self.asked.append(("find_by_agent", agent_id, now))
        return self.service.sessions.find_by_agent(agent_id, now)


class Replay:
    def __init__(self) -> None:
        self.entries: list[ReplayEntry] = []

    def check_and_insert(self, entry: ReplayEntry, /) -> ReplayAnswer:
        if any(entry.key == known.key for known in self.entries):
            return ReplayAnswer.SEEN
        self.entries.append(entry)
        return ReplayAnswer.NEW


class Rates:
    def __init__(self) -> None:
        self.asked: list[tuple[RateKey, RateLimit, float]] = []
        self.store = MemoryRateStore()

    def check_and_charge(self, key: RateKey, limit: RateLimit, now: float, /) -> RateAnswer:
        self.asked.append((key, limit, now))
        return self.store.check_and_charge(key, limit, now)


def test_stores_of_the_host_are_asked_what_they_need_to_know(service: Service, agent: Agent) -> None:
    sessions, replay, rates = Sessions(service), Replay(), Rates()
    verifier = verifier_of(service, sessions=sessions, replay=replay, rates=rates)
    call = verifier.receive(agent.call("web.get", url="https://example.org"), now=NOW)
    assert sessions.asked == [("find", agent.session_id, NOW)]
    (entry,) = replay.entries
    assert entry.key.hex() == call.message_sha256
    assert entry.timestamp == int(NOW)
    assert entry.expires_at == int(NOW) + 30
    assert entry.session == agent.session_id
    assert entry.opened_at == pytest.approx(NOW - 1)
    assert entry.received_at == pytest.approx(NOW)
    ((key, limit, now),) = rates.asked
    assert (key.workload_id, key.context, key.capability) == ("workload-1", "docs", 1)
    assert (limit.calls, limit.per_seconds, now) == (2, 60, NOW)


def test_stores_are_not_asked_about_what_was_refused_before(service: Service, agent: Agent, refusal: Refusal) -> None:
    sessions, replay, rates = Sessions(service), Replay(), Rates()
    verifier = verifier_of(service, sessions=sessions, replay=replay, rates=rates)
    assert refusal(lambda: verifier.receive(agent.read(at=NOW - 31), now=NOW)) == "STALE_TIMESTAMP"
    assert not sessions.asked
    thief = Agent(agent.token, Ed25519Key(), agent.session_id)
    assert refusal(lambda: verifier.receive(thief.read(), now=NOW)) == "INVALID_SIGNATURE"
    assert not replay.entries
    assert refusal(lambda: verifier.receive(agent.read("/etc"), now=NOW)) == "POLICY_VIOLATION_PATH_NOT_ALLOWED"
    assert not rates.asked


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (ReplayAnswer.NEW, None),
        (ReplayAnswer.SEEN, "REPLAY_DETECTED"),
        (ReplayAnswer.STALE, "STALE_TIMESTAMP"),
        (ReplayAnswer.BEFORE_RESTART, "SESSION_NOT_FOUND"),
        (ReplayAnswer.FULL, "OVERLOADED"),
        (True, "INTERNAL_ERROR"),
        (None, "INTERNAL_ERROR"),
        ("new", "INTERNAL_ERROR"),
        (RuntimeError("secret of the database"), "INTERNAL_ERROR"),
        (SMCPError("come again", 4001, code="OVERLOADED", http_status=503, details={"retry_after": 3}), "OVERLOADED"),
        (SMCPError("local", code="INVALID_ARGUMENT", number=6005), "INTERNAL_ERROR"),
    ],
)
def test_answers_of_a_replay_store(service: Service, agent: Agent, answer: object, code: str | None) -> None:
    class Scripted:
        def check_and_insert(self, _: ReplayEntry, /) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    verifier = verifier_of(service, replay=Scripted())
    if code is None:
        verifier.receive(agent.read(), now=NOW)
        return
    with pytest.raises(SMCPError) as caught:
        verifier.receive(agent.read(), now=NOW)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)
    if isinstance(answer, Exception):
        assert caught.value.__cause__ is answer
    if isinstance(answer, SMCPError) and code == "OVERLOADED":
        assert caught.value.details == {"retry_after": 3}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (RateAnswer.CHARGED, None),
        (RateAnswer.exceeded(7), "POLICY_VIOLATION_RATE_LIMIT_EXCEEDED"),
        (RateAnswer.FULL, "OVERLOADED"),
        (True, "INTERNAL_ERROR"),
        (RuntimeError(), "INTERNAL_ERROR"),
    ],
)
def test_answers_of_a_rate_store(service: Service, agent: Agent, answer: object, code: str | None) -> None:
    class Scripted:
        def check_and_charge(self, *_: object) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    verifier = verifier_of(service, rates=Scripted())
    body = agent.call("web.get", url="https://example.org")
    if code is None:
        verifier.receive(body, now=NOW)
        return
    with pytest.raises(SMCPError) as caught:
        verifier.receive(body, now=NOW)
    assert caught.value.code == code
    if code == "POLICY_VIOLATION_RATE_LIMIT_EXCEEDED":
        assert caught.value.details == {"retry_after": 7}


def test_the_search_goes_on_behind_a_limit_that_is_used_up(service: Service, agent: Agent) -> None:
    context = SecurityContext.from_yaml(
        """
name: docs
capabilities:
  - {tool_pattern: t, rate_limit: {calls: 1, per_seconds: 60}}
  - {tool_pattern: t, rate_limit: {calls: 2, per_seconds: 60}}
"""
    )
    for rates in (MemoryRateStore(), Rates()):
        verifier = verifier_of(service, contexts=[context], rates=rates)
        deciding = [verifier.receive(agent.call("t"), now=NOW).decision for _ in range(3)]
        assert [decision.capability for decision in deciding if decision is not None] == [0, 1, 1]
        with pytest.raises(SMCPError, match="rate limit"):
            verifier.receive(agent.call("t"), now=NOW)


def test_a_session_store_that_answers_with_another_session(service: Service, agent: Agent, refusal: Refusal) -> None:
    victim = service.agent("victim")

    class Mistaken:
        def find(self, _: str, __: float, /) -> Session | None:
            return service.sessions.find(victim.session_id)

        def find_by_agent(self, _: str, __: float, /) -> Session | None:
            return service.sessions.find(victim.session_id)

    verifier = verifier_of(service, sessions=Mistaken())
    assert refusal(lambda: verifier.receive(agent.read(), now=NOW)) == "SESSION_NOT_FOUND"


def test_async_stores(service: Service, agent: Agent) -> None:
    class Stores:
        def __init__(self) -> None:
            self.sessions, self.replay, self.rates = Sessions(service), Replay(), Rates()

        async def find(self, session_id: str, now: float, /) -> Session | None:
            await asyncio.sleep(0.001)
            return self.sessions.find(session_id, now)

        async def find_by_agent(self, agent_id: str, now: float, /) -> Session | None:
            await asyncio.sleep(0.001)
            return self.sessions.find_by_agent(agent_id, now)

        async def check_and_insert(self, entry: ReplayEntry, /) -> ReplayAnswer:
            answer = self.replay.check_and_insert(entry)
            await asyncio.sleep(0.001)
            return answer

        async def check_and_charge(self, key: RateKey, limit: RateLimit, now: float, /) -> RateAnswer:
            await asyncio.sleep(0.001)
            return self.rates.check_and_charge(key, limit, now)

    stores = Stores()
    verifier = verifier_of(service, sessions=stores, replay=stores, rates=stores)
    bodies = [agent.read() for _ in range(20)]

    async def outcome(body: bytes) -> str | None:
        try:
            return (await verifier.receive_async(body, now=NOW)).tool
        except SMCPError as error:
            return error.code

    async def scenario() -> list[str | None]:
        return await asyncio.gather(*(outcome(body) for body in bodies * 3))

    outcomes = asyncio.run(scenario())
    assert outcomes.count("fs.read") == 20
    assert outcomes.count("REPLAY_DETECTED") == 40
    with pytest.raises(SMCPError, match="receive_async") as caught:
        verifier.receive(agent.read(), now=NOW)
    assert caught.value.code == "INTERNAL_ERROR"


def test_cancelling_while_a_store_is_asked(service: Service, agent: Agent) -> None:
    class Slow:
        async def check_and_insert(self, _: ReplayEntry, /) -> ReplayAnswer:
            await asyncio.sleep(60)
            return ReplayAnswer.NEW

    verifier = verifier_of(service, replay=Slow())

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await verifier.receive_async(agent.read(), now=NOW)

    asyncio.run(scenario())


def test_audit_sees_calls_and_refusals(service: Service, agent: Agent) -> None:
    records: list[AuditRecord] = []
    verifier = verifier_of(service, audit=records.append)
    verifier.receive(agent.call("fs.read", path="/srv/docs/a", api_key="hunter2 hunter2"), now=NOW)
    for body in (agent.read("/etc"), b"{", Agent(agent.token, Ed25519Key(), "").read()):
        with pytest.raises(SMCPError):
            verifier.receive(body, now=NOW)
    allowed, denied, broken, forged = records
    assert (allowed.event, allowed.authenticated, allowed.decision, allowed.capability) == (
        "ToolCallAuthorized",
        True,
        "allow",
        0,
    )
    assert allowed.arguments["path"] == "/srv/docs/a"
    assert allowed.arguments["api_key"].startswith("hmac-sha256:")
    assert allowed.session_id == agent.session_id
    assert (denied.event, denied.code) == ("PolicyViolationBlocked", "POLICY_VIOLATION_PATH_NOT_ALLOWED")
    assert (denied.decision, denied.context_digest) == ("deny", service.context.digest)
    assert (broken.event, broken.authenticated, broken.tool) == ("EnvelopeRefused", False, None)
    assert (forged.event, forged.authenticated) == ("SignatureVerificationFailed", False)
    for record in records:
        text = record.to_json()
        assert json.loads(text)["event"] == record.event
        assert agent.token not in text
        assert "hunter2" not in text


def test_a_call_whose_record_is_refused_does_not_pass(
    service: Service, agent: Agent, refusal: Refusal, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: AuditRecord) -> None:
        raise OSError("no space left on device")

    async def full_async(record: AuditRecord) -> None:
        full(record)

    with caplog.at_level(logging.ERROR, "smcp"):
        verifier = verifier_of(service, audit=full)
        assert refusal(lambda: verifier.receive(agent.read(), now=NOW)) == "AUDIT_UNAVAILABLE"
        assert refusal(lambda: verifier.receive(agent.read("/etc"), now=NOW)) == "POLICY_VIOLATION_PATH_NOT_ALLOWED"
        verifier = verifier_of(service, audit=full_async)
        assert refusal(lambda: asyncio.run(verifier.receive_async(agent.read(), now=NOW))) == "AUDIT_UNAVAILABLE"
        assert refusal(lambda: verifier.receive(agent.read(), now=NOW)) == "AUDIT_UNAVAILABLE"


def test_a_decision_has_no_truth_value(service: Service, agent: Agent) -> None:
    call = verifier_of(service).receive(agent.read(), now=NOW)
    with pytest.raises(TypeError, match="no truth value"):
        bool(call.decision)
