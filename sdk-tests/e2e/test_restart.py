"""What a restart keeps and what it opens: sessions, revocations, blocks, replays."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from agent import Agent
from gateway import BINARY, Gateway, free_port, make_config
from upstreams import Recorder

WINDOW = 3


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """A gateway that comes back under its old URL; a short window, so that the test need not wait for half a minute."""
    upstream = Recorder(tmp_path / "recorder").config()
    return make_config([upstream], listen=f"127.0.0.1:{free_port()}", freshness_window=f"{WINDOW}s")


@pytest.mark.parametrize("crash", [False, True], ids=["stopped", "killed"])
def test_a_restart_opens_no_replay(tmp_path: Path, config: dict[str, Any], crash: bool) -> None:
    folder = tmp_path / "gateway"
    first = Gateway(folder, config)
    agent = first.agent()
    used = agent.seal(agent.tool_call("echo", {"n": 1}))
    assert agent.invoke(used).status == 200
    if crash:
        first.kill()
    else:
        first.stop()
    stamped = agent.seal(agent.tool_call("echo", {"n": 2}), at=time.time() + WINDOW - 0.5)

    with Gateway(folder, config) as second:
        started = time.time()
        # What the session sent in the last seconds is not known any more: everything stamped in the window of the start
        # is refused, and nothing of it ran.
        for body in (used, agent.seal(agent.tool_call("echo", {"n": 3})), stamped):
            answer = agent.invoke(body)
            if answer.code != "STALE_TIMESTAMP":
                assert (answer.status, answer.code, answer.error["number"]) == (401, "SESSION_NOT_FOUND", 1007), answer
                assert answer.error["details"].get("executed") in (None, False)
        # A session opened since has no such past.
        assert second.agent("agent-b").call("echo").status == 200
        # And the window passes.
        while time.time() < started + WINDOW + 1.1:
            time.sleep(0.05)
        if crash:
            # New sessions are written with the next revocation or in time; one that a crash lost is attested anew.
            assert agent.call("echo").code == "SESSION_NOT_FOUND"
            agent.attest()
        assert agent.call("echo").status == 200
        assert agent.invoke(used).code in ("STALE_TIMESTAMP", "SESSION_NOT_FOUND")
    assert first.audit_file == second.audit_file


@pytest.mark.parametrize("crash", [False, True], ids=["stopped", "killed"])
def test_revocations_and_blocks_survive(tmp_path: Path, config: dict[str, Any], crash: bool) -> None:
    folder = tmp_path / "gateway"
    with Gateway(folder, config) as first:
        revoked, kept, ended, brief = (first.agent(name) for name in ("revoked", "kept", "ended", "brief"))
        assert first.operate("/v1/sessions/revoke", {"session_id": revoked.session_id}).json()["blocked"] is True
        only = {"session_id": ended.session_id, "session_only": True}
        assert first.operate("/v1/sessions/revoke", only).json()["blocked"] is False
        for_seconds = {"session_id": brief.session_id, "for_seconds": 6}
        blocked_at = time.time()
        assert first.operate("/v1/sessions/revoke", for_seconds).status == 200
        for agent in (revoked, ended, brief):
            answer = agent.call("echo")
            assert (answer.status, answer.code, answer.error["number"]) == (401, "SESSION_INACTIVE", 1006)
        assert revoked.try_attest().json()["error_code"] == "WORKLOAD_VERIFICATION_FAILED"
        assert kept.call("echo").status == 200
        if crash:
            first.kill()

    with Gateway(folder, config) as second:
        started = time.time()
        for agent in (revoked, ended, brief):
            assert agent.call("echo").code == "SESSION_INACTIVE"
        # The workload is blocked under any key, and its key under any name.
        assert brief.try_attest().status == 401
        assert Agent(second.url, "revoked").try_attest().json()["error_code"] == "WORKLOAD_VERIFICATION_FAILED"
        assert Agent(second.url, "other", key=revoked.key).try_attest().status == 401
        assert Agent(second.url, "ended").try_attest().status == 200
        while time.time() < max(started + WINDOW + 1.1, blocked_at + 6.1):
            time.sleep(0.05)
        assert kept.call("echo").status == 200
        assert brief.try_attest().status == 200

        # Lifted by the command.
        arguments = ["session", "allow", "revoked", "--operator-url", second.operator_url]
        arguments += ["--operator-token-file", folder / "state/operator.token"]
        done = subprocess.run([BINARY, *arguments], check=False, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done
        assert Agent(second.url, "revoked").try_attest().status == 200
        assert revoked.call("echo").code == "SESSION_INACTIVE"
        sessions = second.operate("/v1/sessions").json()["sessions"]
        states = {session["session_id"]: session["state"] for session in sessions}
        assert states[revoked.session_id] == "revoked" and states[kept.session_id] == "active"
    with Gateway(folder, config) as third:
        assert Agent(third.url, "revoked").try_attest().status == 200
    assert third.events().count("SessionRevoked") == 3


def test_rate_limits_and_memory_sessions_start_anew(tmp_path: Path, config: dict[str, Any]) -> None:
    """With `session.store: memory` a restart forgets sessions; agents attest anew."""
    config = {**config, "session": {"store": "memory"}}
    with Gateway(tmp_path / "gateway", config) as first:
        agent = first.agent()
        assert agent.call("echo").status == 200
    with Gateway(tmp_path / "gateway", config):
        time.sleep(WINDOW + 1.1)
        assert agent.call("echo").code == "SESSION_NOT_FOUND"
        assert agent.attest().call("echo").status == 200


def test_the_client_attests_anew_by_itself(tmp_path: Path, config: dict[str, Any]) -> None:
    """One call through a restart: refused with SESSION_NOT_FOUND, attested, sent again, answered, run once."""
    import asyncio

    import smcp

    folder = tmp_path / "gateway"
    recorder = tmp_path / "recorder/calls.jsonl"
    with Gateway(folder, config) as first:
        client = smcp.SMCPClient(first.url, "client-a", "everything")
        token = client.attest()
        assert client.call_tool("echo", {"n": 1})["structuredContent"] == {"n": 1}

        async def start() -> smcp.AsyncSMCPClient:
            other = smcp.AsyncSMCPClient(first.url, "client-b", "everything")
            await other.attest()
            return other

        other = asyncio.run(start())
        old = other.session_id
    with Gateway(folder, config) as second:
        assert client.call_tool("echo", {"n": 2})["structuredContent"] == {"n": 2}
        assert client.security_token != token

        async def call() -> list[dict[str, Any]]:
            return await asyncio.gather(*(other.call_tool("echo", {"n": number}) for number in range(10, 20)))

        results = asyncio.run(call())
        assert [result["structuredContent"]["n"] for result in results] == list(range(10, 20))
        assert other.session_id != old
        # All ten shared one attestation.
        workloads = [r.get("workload_id") for r in second.audit() if r.get("event") == "AttestationSucceeded"]
        assert workloads.count("client-b") == 2

        # Revoked is not forgotten: no new attestation by itself.
        assert second.operate("/v1/sessions/revoke", {"session_id": client.session_id}).status == 200
        with pytest.raises(smcp.SMCPError) as caught:
            client.call_tool("echo", {"n": 3})
        assert caught.value.status_code == 1006
        with pytest.raises(smcp.SMCPError) as caught:
            client.attest()
        assert caught.value.status_code == 3000
        client.close()
        other.close()
    assert len(recorder.read_text(encoding="utf-8").splitlines()) == 12
