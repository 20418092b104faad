"""`smcp-gateway`: envelope, token, session, replay and policy together, through `EnvelopeVerifier`."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from functools import partial
from typing import Any

from vectors import Document, Mismatch, Vector, field, run

from smcp.errors import SMCPError
from smcp.policy import SecurityContext
from smcp.stores import (
    MemoryRateStore,
    MemoryReplayStore,
    MemorySessionStore,
    RateAnswer,
    RateKey,
    RateLimit,
    ReplayAnswer,
    ReplayEntry,
    Session,
)
from smcp.verifier import AuthorizedCall, EnvelopeVerifier

NAMES = {"STALE_TIMESTAMP": "rejected-stale", "REPLAY_DETECTED": "rejected-replay"}
CONTEXT = SecurityContext.from_yaml('name: read-only-research\ncapabilities:\n  - tool_pattern: "*"\n')

Receive = Callable[[bytes, float], AuthorizedCall]


def check_gateway(document: Document, vector: Vector) -> None:
    """The envelope as often as the vector says, once with every kind of store: each gives the same answers."""
    now: float = vector["now_ms"] / 1000
    for name, receive in {
        "memory": in_memory(document, now),
        "host": of_host(document, now),
        "async": asynchronous(document, now),
    }.items():
        for showing in range(vector.get("repeat", 1)):
            result = run(partial(receive, field(vector, "wire"), now))
            outcome = NAMES.get(result.code or "", result.code) if isinstance(result, SMCPError) else "ok"
            if showing > 0 and outcome != "rejected-replay":
                raise Mismatch(f"{name}: showing {showing} gave {outcome}")
            if outcome not in vector["outcome"]:
                raise Mismatch(f"{name}: {outcome} and not one of {vector['outcome']}: {result}")
            if isinstance(result, SMCPError) and result.http_status not in {401, 403, 413}:
                raise Mismatch(f"{name}: HTTP {result.http_status}")


def key(document: Document, name: str) -> bytes:
    return base64.b64decode(document["public_keys"][name], validate=True)


def sessions(document: Document, now: float) -> MemorySessionStore:
    store = MemorySessionStore()
    for entry in document["sessions"]:
        store.open(
            Session(
                f"session-of-{entry['sub']}",
                entry["sub"],
                "docker://8a9f7b3c",
                CONTEXT.name,
                key(document, entry["key"]),
                now - 60,
                now + 3600,
                state="live" if entry["state"] == "active" else "revoked",
            ),
            now,
        )
    return store


def in_memory(document: Document, now: float) -> Receive:
    verifier = EnvelopeVerifier(
        keys=key(document, document["gateway_key"]),
        contexts=[CONTEXT],
        sessions=sessions(document, now),
        now=now - 120,
        forwardable=True,
    )
    return lambda body, moment: verifier.receive(body, now=moment)


class HostSessions:
    """Sessions of the host program."""

    def __init__(self, store: MemorySessionStore) -> None:
        self.store = store

    def find(self, session_id: str, now: float, /) -> Session | None:
        return self.store.find(session_id, now)

    def find_by_agent(self, agent_id: str, now: float, /) -> Session | None:
        return self.store.find_by_agent(agent_id, now)


class HostReplay:
    """Messages of the host program."""

    def __init__(self, now: float) -> None:
        self.store = MemoryReplayStore(now=now - 120)

    def check_and_insert(self, entry: ReplayEntry, /) -> ReplayAnswer:
        return self.store.check_and_insert(entry)


class HostRates:
    """Rates of the host program."""

    def __init__(self) -> None:
        self.store = MemoryRateStore()

    def check_and_charge(self, key: RateKey, limit: RateLimit, now: float, /) -> RateAnswer:
        return self.store.check_and_charge(key, limit, now)


def of_host(document: Document, now: float) -> Receive:
    verifier = EnvelopeVerifier(
        keys=document["public_keys"][document["gateway_key"]],
        contexts=[CONTEXT],
        sessions=HostSessions(sessions(document, now)),
        replay=HostReplay(now),
        rates=HostRates(),
        forwardable=True,
    )
    return lambda body, moment: verifier.receive(body, now=moment)


class AsyncStores:
    """Stores with coroutine functions."""

    def __init__(self, store: MemorySessionStore, now: float) -> None:
        self.store = store
        self.replay = MemoryReplayStore(now=now - 120)

    async def find(self, session_id: str, now: float, /) -> Session | None:
        await asyncio.sleep(0)
        return self.store.find(session_id, now)

    async def find_by_agent(self, agent_id: str, now: float, /) -> Session | None:
        await asyncio.sleep(0)
        return self.store.find_by_agent(agent_id, now)

    async def check_and_insert(self, entry: ReplayEntry, /) -> ReplayAnswer:
        await asyncio.sleep(0)
        return self.replay.check_and_insert(entry)


def asynchronous(document: Document, now: float) -> Receive:
    stores: Any = AsyncStores(sessions(document, now), now)
    verifier = EnvelopeVerifier(
        keys=key(document, document["gateway_key"]),
        contexts=[CONTEXT],
        sessions=stores,
        replay=stores,
        forwardable=True,
    )
    return lambda body, moment: asyncio.run(verifier.receive_async(body, now=moment))
