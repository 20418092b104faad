"""The recorded exchanges of the published clients: the requests at our gateway, the answers at our clients."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import canonical
import pytest
from agent import Agent, post
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gateway import Gateway, make_config
from scripted import ScriptedGateway
from vectors import document, exact, genuine, seed, vectors

import smcp
from smcp.policy import SecurityContext
from smcp.seal import verify_seal_envelope
from smcp.server import verify_smcp_envelope
from smcp.stores import MemorySessionStore, Session
from smcp.verifier import EnvelopeVerifier

EXCHANGES = vectors("smcp-http")
INVOKED = [vector for vector in EXCHANGES if vector["exchanges"][-1]["path"].endswith("invoke")]
PUBLIC_KEYS = {name: base64.b64decode(key) for name, key in document("smcp-gateway")["public_keys"].items()}


def ids(vector: dict[str, Any]) -> str:
    return str(vector["id"])


def body_of(vector: dict[str, Any], number: int) -> bytes:
    return exact(vector["exchanges"][number], "request_body")


# ------------------------------------------------------------------------------------- their requests, our verifier


@pytest.mark.parametrize("vector", INVOKED, ids=ids)
def test_recorded_envelopes_verify(vector: dict[str, Any]) -> None:
    """The very bytes, with the recorded clock and key; half a minute later they are stale."""
    body, key, now = body_of(vector, 1), PUBLIC_KEYS[vector["key"]], vector["clock_ms"] / 1000
    expected = json.loads(body)["payload"]
    for form in (body, body.decode(), json.loads(body)):
        assert verify_smcp_envelope(form, key, now=now) == expected
    assert verify_smcp_envelope(body, key, now=now + 30) == expected
    for late, number in ((now + 31, 1004), (now - 31, 1004)):
        with pytest.raises(smcp.SMCPError) as caught:
            verify_smcp_envelope(body, key, now=late)
        assert caught.value.status_code == number
    with pytest.raises(smcp.SMCPError) as caught:
        verify_smcp_envelope(body, PUBLIC_KEYS["attacker"], now=now)
    assert caught.value.status_code == 1001


def recorded_session(vector: dict[str, Any]) -> Session:
    """The session of the recorded token, which names neither session nor key."""
    token = json.loads(body_of(vector, 1))["security_token"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return Session(
        id="recorded",
        agent_id=claims["sub"],
        workload_id=claims["wid"],
        context=claims["scp"],
        key=PUBLIC_KEYS[vector["key"]],
        opened_at=claims["iat"],
        expires_at=claims["exp"],
    )


@pytest.mark.parametrize("vector", INVOKED, ids=ids)
def test_recorded_envelopes_pass_the_whole_pipeline(vector: dict[str, Any]) -> None:
    """Steps 1 to 7 on the very bytes, with the recorded clock, gateway key and session: once, then a replay."""
    now = vector["clock_ms"] / 1000
    sessions = MemorySessionStore()
    sessions.open(recorded_session(vector), now)
    context = {
        "name": "read-only-research",
        "capabilities": [{"tool_pattern": "fs.*", "path_allowlist": ["/srv/data"]}],
    }
    options: dict[str, Any] = {"keys": [PUBLIC_KEYS["gateway-1"]], "sessions": sessions, "forwardable": True}
    # The store is older than the session: nothing that came before it can be meant.
    verifier = EnvelopeVerifier(contexts=[SecurityContext.from_dict(context)], now=now - 120, **options)
    body = body_of(vector, 1)
    call = verifier.receive(body, now=now)
    params = json.loads(body)["payload"]["params"]
    assert (call.tool, call.arguments) == (params["name"], params["arguments"])
    assert call.payload == json.loads(body)["payload"]
    for again in (now, now + 30):
        with pytest.raises(smcp.SMCPError) as caught:
            verifier.receive(body, now=again)
        assert caught.value.status_code == 1008
    # The same under other circumstances: the other protocol, a context that forbids it, another gateway's key.
    refusals = [
        (body.replace(b"smcp/v1", b"seal/v1", 1), context, "gateway-1", "UNSUPPORTED_PROTOCOL"),
        (body, {**context, "deny_list": ["fs.read"]}, "gateway-1", "POLICY_VIOLATION_TOOL_DENIED"),
        (body, {**context, "name": "other"}, "gateway-1", "SCOPE_NOT_FOUND"),
        (body, context, "attacker", "TOKEN_VERIFICATION_FAILED"),
    ]
    for wire, other, key, code in refusals:
        options["keys"] = [PUBLIC_KEYS[key]]
        strict = EnvelopeVerifier(contexts=[SecurityContext.from_dict(other)], now=now - 120, **options)
        with pytest.raises(smcp.SMCPError) as caught:
            strict.receive(wire, now=now)
        assert caught.value.code == code


ACCEPTED = [vector for vector in genuine() if vector["expect"] == "accept"]


def test_every_accepted_vector_is_refused_under_the_other_protocol() -> None:
    assert len(ACCEPTED) > 450
    for vector in ACCEPTED:
        wire, now = exact(vector, "wire"), vector["verify_at_ms"] / 1000
        key = Ed25519PrivateKey.from_private_bytes(seed(vector["key"])).public_key().public_bytes_raw()
        assert verify_smcp_envelope(wire, key, now=now), vector["id"]
        other = wire.replace(b"smcp/v1", b"seal/v1", 1)
        with pytest.raises(smcp.SMCPError) as caught:
            verify_smcp_envelope(other, key, now=now)
        assert caught.value.code == "UNSUPPORTED_PROTOCOL", vector["id"]
        # The signature does not cover the string: under its own name it would verify, so the session has to tell.
        assert verify_seal_envelope(other, key, now=now), vector["id"]
        with pytest.raises(smcp.SMCPError) as caught:
            verify_seal_envelope(wire, key, now=now)
        assert caught.value.code == "UNSUPPORTED_PROTOCOL", vector["id"]


# ------------------------------------------------------------------------------------- their requests, our gateway


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that sets a program's clock."""
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    compiler = next(name for name in ("cc", "gcc", "clang") if shutil.which(name))
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture(scope="module")
def gateway(clock: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway in the second of the recordings, with the workload and the context they ask for."""
    folder = tmp_path_factory.mktemp("recorded")
    [recorded] = {vector["clock_ms"] for vector in EXCHANGES}
    script = Path(__file__).parents[1] / "e2e/servers/recorder.py"
    tools = folder / "recorder"
    tools.mkdir()
    (tools / "tools.json").write_text('["fs.read"]', encoding="utf-8")
    upstream = {"name": "recorder", "stdio": {"command": sys.executable, "args": [str(script), str(tools)]}}
    contexts = [{"name": "read-only-research", "capabilities": [{"tool_pattern": "fs.read"}]}]
    # A little back, so that the recorded second is still ahead of the start and in the window.
    offset = recorded // 1000 - int(time.time()) - 3
    environment = {**os.environ, "LD_PRELOAD": str(clock), "SMCP_TEST_CLOCK_OFFSET": str(offset)}
    with Gateway(folder / "gateway", make_config([upstream], contexts=contexts), env=environment) as running:
        yield running


@pytest.mark.parametrize("vector", EXCHANGES, ids=ids)
def test_recorded_requests_at_our_gateway(gateway: Gateway, vector: dict[str, Any]) -> None:
    """The recorded attestation as it is, then the recorded call: same key, clock and characters, under our token."""
    attested = post(f"{gateway.url}/v1/smcp/attest", body_of(vector, 0))
    assert attested.status == 200, attested
    answer = attested.json()
    assert answer["status"] == "success" and answer["session_id"]
    claims = json.loads(base64.urlsafe_b64decode(answer["security_token"].split(".")[1] + "=="))
    asked = json.loads(body_of(vector, 0))
    assert (claims["wid"], claims["scp"]) == (asked["workload_id"], asked["requested_scope"])
    assert base64.urlsafe_b64decode(claims["cnf"]["jwk"]["x"] + "=") == base64.b64decode(asked["public_key"])
    # The clock is the recorded one: the second in the token shows it.
    assert abs(claims["iat"] - vector["clock_ms"] // 1000) <= 60
    if vector not in INVOKED:
        return

    key = Ed25519PrivateKey.from_private_bytes(seed(vector["key"]))
    agent = Agent(gateway.url, key=key, token=answer["security_token"])
    recorded = canonical.members(body_of(vector, 1).decode())
    body = recall(vector, agent, recorded)
    reply = agent.invoke(body)
    assert reply.status == 200, reply
    assert reply.json()["payload"]["id"] == json.loads(recorded["payload"])["id"]
    assert reply.result["content"][0]["text"] == "ok"
    # What the published clients look for in an answer.
    assert {"protocol": "smcp/v1", "status": "success"}.items() <= reply.json().items()
    assert agent.invoke(body).code == "REPLAY_DETECTED"
    # The recorded token is another gateway's.
    assert agent.invoke(body_of(vector, 1)).code == "TOKEN_VERIFICATION_FAILED"


def recall(vector: dict[str, Any], agent: Agent, recorded: dict[str, str]) -> bytes:
    """The recorded body with token and signature replaced; every other character stays."""
    token, stamp = json.loads(recorded["security_token"]), json.loads(recorded["timestamp"])
    payload = canonical.parse(recorded["payload"])
    signed = canonical.message(payload, agent.token, vector["clock_ms"] // 1000, utf16_order=vector["client"] == "ts")
    assert stamp.startswith("2026-02-17T14:32:01")
    body = body_of(vector, 1).decode()
    assert body.count(token) == 1 and body.count(json.loads(recorded["signature"])) == 1
    signature = base64.b64encode(agent.key.sign(signed)).decode()
    return body.replace(token, agent.token).replace(json.loads(recorded["signature"]), signature).encode()


# -------------------------------------------------------------------------------------- their answers, our clients

RETURNED = {"content": [{"type": "text", "text": "héllo"}]}
TEXT = "SERVERTEXT"
# The end of the vector's name: what ours returns, or number and words of the error (sections 11 and 12).
EXPECTED: dict[str, Any] = {
    "ok": RETURNED,
    "ok-no-status": RETURNED,
    "invoke-null-result": None,
    "attest-401-flat": (3000, ["Attestation failed: ", TEXT]),
    "attest-401-nested": (3000, ["Attestation failed: ", TEXT]),
    "attest-401-both": (3000, ["Attestation failed: ", TEXT]),
    "attest-200-error": (3000, ["Attestation failed: ", TEXT]),
    "attest-500-text": (6004, ["Attestation failed: "]),
    "attest-no-token": (6004, []),
    "invoke-403": (2000, ["SMCP Gateway Rejected: ", TEXT]),
    "invoke-401": (1001, ["SMCP Gateway Rejected: ", TEXT]),
    "invoke-429": (2005, ["SMCP Gateway Rejected: ", TEXT]),
    "invoke-200-error": (1002, ["SMCP Gateway ", TEXT]),
    "invoke-403-no-status": (6004, [TEXT]),
    "invoke-500-text": (6004, ["SMCP Gateway Error: "]),
    "invoke-200-text": (6004, []),
    "invoke-tool-error": (None, ["MCP Tool Error: ", TEXT]),
    "invoke-plain-jsonrpc": (6004, []),
    "invoke-no-payload": (6004, []),
}


def call_blocking(url: str, vector: dict[str, Any], *arguments: Any) -> Any:
    key = smcp.Ed25519Key(Ed25519PrivateKey.from_private_bytes(seed(vector["key"])))
    with smcp.SMCPClient(url, *arguments, key=key, max_retries=0, reattest=False) as client:
        client.attest()
        return client.call_tool("fs.read", {"path": "/srv/data/café.txt", "n": 3})


def call_with_coroutines(url: str, vector: dict[str, Any], *arguments: Any) -> Any:
    async def run() -> Any:
        key = smcp.Ed25519Key(Ed25519PrivateKey.from_private_bytes(seed(vector["key"])))
        async with smcp.AsyncSMCPClient(url, *arguments, key=key, max_retries=0, reattest=False) as client:
            await client.attest()
            return await client.call_tool("fs.read", {"path": "/srv/data/café.txt", "n": 3})

    return asyncio.run(run())


@pytest.mark.parametrize("call", [call_blocking, call_with_coroutines], ids=["SMCPClient", "AsyncSMCPClient"])
@pytest.mark.parametrize("vector", EXCHANGES, ids=ids)
def test_recorded_answers_at_our_client(vector: dict[str, Any], call: Any) -> None:
    answers = {
        exchange["path"]: (exchange["response_status"], exchange["response_body"].encode())
        for exchange in vector["exchanges"]
    }
    asked = json.loads(body_of(vector, 0))
    expected = EXPECTED[vector["id"].split("-", 2)[2]]
    with ScriptedGateway(answers) as gateway:
        if isinstance(expected, tuple):
            with pytest.raises(smcp.SMCPError) as caught:
                call(gateway.url, vector, asked["workload_id"], asked["requested_scope"])
            check_error(caught.value, vector, *expected)
        else:
            assert call(gateway.url, vector, asked["workload_id"], asked["requested_scope"]) == expected
    check_requests(vector, gateway.requests)


def check_error(error: smcp.SMCPError, vector: dict[str, Any], number: int | None, words: list[str]) -> None:
    assert all(word in str(error) for word in words), error
    assert error.number == number
    # The published attribute: a number of the protocol, never one that only clients have.
    assert error.status_code == (None if number == 6004 else number)
    last = vector["exchanges"][-1]
    assert error.http_status == last["response_status"]
    assert isinstance(error, smcp.SMCPHTTPError) == (last["response_status"] >= 400)
    if isinstance(error, smcp.SMCPHTTPError):
        assert error.response.status_code == last["response_status"]
        assert error.response.text == last["response_body"]


def check_requests(vector: dict[str, Any], requests: list[tuple[str, bytes]]) -> None:
    """Ours sent what the recorded client did, but for proof, id, time and what follows from them."""
    assert [path for path, _ in requests] == [exchange["path"] for exchange in vector["exchanges"]]
    for number, (path, body) in enumerate(requests):
        ours, theirs = json.loads(body), json.loads(body_of(vector, number))
        if path.endswith("attest"):
            assert {name: value for name, value in ours.items() if name != "proof"} == theirs
        else:
            for fresh in ("signature", "timestamp"):
                assert type(ours.pop(fresh)) is type(theirs.pop(fresh))
            ours["payload"].pop("id"), theirs["payload"].pop("id")
            assert ours == theirs


def test_every_answer_has_an_expectation() -> None:
    assert {vector["id"].split("-", 2)[2] for vector in EXCHANGES} == set(EXPECTED)
