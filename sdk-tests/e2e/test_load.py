"""Ten thousand calls of two agents over 64 connections: none lost, doubled or crossed, and the memory stays."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from agent import Agent
from gateway import Gateway, make_config
from upstreams import Recorder, RmcpServer

CONNECTIONS = 64
WARM_UP = 1_000
CALLS = 10_000
GROWTH = 8 * 1024 * 1024


class Connection:
    """One connection that is kept, with just enough HTTP for one call after the other."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"

    async def open(self) -> None:
        """Connects."""
        self._reader, self._writer = await asyncio.open_connection(*self._address)

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._writer.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        return int(head.split()[1]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Closes the connection."""
        self._writer.close()


async def worker(agent: Agent, numbers: Iterator[int], seen: set[str]) -> None:
    """Calls until the numbers run out; each call's nonce must come back to it."""
    connection = Connection(agent.path("invoke"))
    await connection.open()
    for number in numbers:
        nonce = f"{agent.workload}-{number}"
        request = {"jsonrpc": "2.0", "id": number, "method": "tools/call"}
        request["params"] = {"name": "echo", "arguments": {"nonce": nonce}}
        status, body = await connection.post(agent.seal(json.dumps(request)))
        assert status == 200, body
        payload = json.loads(body)["payload"]
        # The id is the same for both agents' calls, as in the field; the nonce is not.
        assert payload["id"] == number
        assert payload["result"]["structuredContent"] == {"nonce": nonce}, (nonce, payload)
        assert nonce not in seen
        seen.add(nonce)
    connection.close()


async def run(agents: list[Agent], first: int, calls: int) -> set[str]:
    """Makes so many calls, shared evenly by agents and connections."""
    seen: set[str] = set()
    workers = []
    for agent in agents:
        # The workers of one agent take from the same numbers; both agents use the same ones.
        numbers = iter(range(first, first + calls // len(agents)))
        workers += [worker(agent, numbers, seen) for _ in range(CONNECTIONS // len(agents))]
    assert len(workers) == CONNECTIONS
    await asyncio.gather(*workers)
    assert len(seen) == calls
    return seen


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_ten_thousand_calls(tmp_path: Path, transport: str) -> None:
    with ExitStack() as stack:
        upstream: dict[str, Any]
        if transport == "stdio":
            upstream = Recorder(tmp_path / "recorder", quiet=True).config()
        else:
            upstream = stack.enter_context(RmcpServer()).config()
        config = make_config([upstream], log={"level": "warn"})
        gateway = stack.enter_context(Gateway(tmp_path / "gateway", config))
        agents = [gateway.agent("agent-a"), gateway.agent("agent-b")]
        asyncio.run(run(agents, 0, WARM_UP))
        before = gateway.resident_bytes()
        started = time.monotonic()
        asyncio.run(run(agents, WARM_UP, CALLS - WARM_UP))
        seconds = time.monotonic() - started
        after = gateway.resident_bytes()
        rate = (CALLS - WARM_UP) / seconds
        print(
            f"{transport}: {rate:.0f} calls/s, resident {before / 2**20:.1f} MiB after {WARM_UP} calls, "
            f"{after / 2**20:.1f} MiB after {CALLS}"
        )
        assert after - before <= GROWTH
    events = gateway.events()
    assert events.count("ToolCallAuthorized") == events.count("ToolCallCompleted") == CALLS
    calls = [record["call_id"] for record in gateway.audit() if record.get("event") == "ToolCallCompleted"]
    assert len(calls) == CALLS


async def post_at_once(url: str, bodies: list[bytes]) -> list[tuple[int, dict[str, Any]]]:
    """Sends each body on a connection of its own, all at the same time."""
    connections = [Connection(url) for _ in bodies]
    await asyncio.gather(*(connection.open() for connection in connections))
    answers = await asyncio.gather(*(one.post(body) for one, body in zip(connections, bodies, strict=True)))
    for connection in connections:
        connection.close()
    return [(status, json.loads(body)) for status, body in answers]


def test_one_envelope_on_every_connection_is_accepted_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "recorder")
    with Gateway(tmp_path / "gateway", make_config([recorder.config()])) as gateway:
        agent = gateway.agent()
        for _ in range(10):
            body = agent.seal(agent.tool_call("echo"))
            answers = asyncio.run(post_at_once(agent.path("invoke"), [body] * CONNECTIONS))
            refused = [answer["error"]["code"] for status, answer in answers if status != 200]
            assert refused == ["REPLAY_DETECTED"] * (CONNECTIONS - 1)
    assert len(recorder.calls()) == 10


def test_a_rate_limit_holds_under_calls_at_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "recorder")
    capability = {"tool_pattern": "echo", "rate_limit": {"calls": 10, "per_seconds": 600}}
    config = make_config([recorder.config()], contexts=[{"name": "limited", "capabilities": [capability]}])
    with Gateway(tmp_path / "gateway", config) as gateway:
        # Two sessions of one workload share the limit.
        agents = [gateway.agent("one", "limited"), gateway.agent("one", "limited")]
        bodies = [agent.seal(agent.tool_call("echo", {"n": n})) for n in range(CONNECTIONS // 2) for agent in agents]
        answers = asyncio.run(post_at_once(agents[0].path("invoke"), bodies))
        assert [status for status, _ in answers].count(200) == 10
        refused = {answer["error"]["code"] for status, answer in answers if status != 200}
        assert refused == {"POLICY_VIOLATION_RATE_LIMIT_EXCEEDED"}
    assert len(recorder.calls()) == 10
