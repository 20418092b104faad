"""What a service remembers: sessions, messages and rates; interfaces and stores in memory or in a file.

A verifier asks its stores. Those of this module live in one process, or in one file for all processes of a host; any
object with the methods of ``SessionLookup``, ``ReplayStore`` or ``RateStore`` takes their place, such as one over
Redis. The methods may be coroutine functions; then the verifier's ``receive_async`` is used. Whatever a store raises
refuses the call.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Literal, Protocol

from . import _native
from ._native import RateKey, RateLimit, ReplayEntry, Session
from .replay_file import FileReplayStore, ReplayAnswer

__all__ = [
    "Block",
    "FileReplayStore",
    "MemoryRateStore",
    "MemoryReplayStore",
    "MemorySessionStore",
    "RateAnswer",
    "RateKey",
    "RateLimit",
    "RateStore",
    "RateVerdict",
    "ReplayAnswer",
    "ReplayEntry",
    "ReplayStore",
    "Session",
    "SessionLookup",
    "SessionStore",
]


class SessionLookup(Protocol):
    """Finds sessions; all that a verifier needs."""

    def find(self, session_id: str, now: float, /) -> Session | Awaitable[Session | None] | None:
        """The session with this id, whatever its state, also when it has expired."""
        ...

    def find_by_agent(self, agent_id: str, now: float, /) -> Session | Awaitable[Session | None] | None:
        """For a token without session id: the session of this agent, but only if exactly one that has not expired, live
        or revoked, has it.
        """
        ...


class SessionStore(SessionLookup, Protocol):
    """Opens sessions too; what an attestation service needs."""

    def open(self, session: Session, now: float, /) -> Awaitable[None] | None:
        """Remembers a new session, in one step with two checks: SMCPError with code WORKLOAD_VERIFICATION_FAILED when
        its workload or key is blocked, KEYPAIR_MISMATCH when a live session of another workload has its key.
        """
        ...

    def blocked(self, workload_id: str, key: bytes, now: float, /) -> bool | Awaitable[bool]:
        """Whether the workload or the key may not attest."""
        ...

    def live_key_owner(self, key: bytes, now: float, /) -> str | Awaitable[str | None] | None:
        """The workload of the live session that is bound to this key."""
        ...


class ReplayStore(Protocol):
    """Remembers messages for as long as they are fresh."""

    def check_and_insert(self, entry: ReplayEntry, /) -> ReplayAnswer | Awaitable[ReplayAnswer]:
        """Says whether the message is new and remembers it if so, in one atomic step."""
        ...


class RateVerdict(Enum):
    """What became of a check-and-charge."""

    CHARGED = "charged"
    """The call fits and is now counted."""
    EXCEEDED = "exceeded"
    """The limit is used up; nothing was counted."""
    FULL = "full"
    """No room for another counter; nothing was counted."""


@dataclass(frozen=True, slots=True)
class RateAnswer:
    """The answer of a rate store: ``RateAnswer.CHARGED``, ``RateAnswer.FULL`` or ``RateAnswer.exceeded(seconds)``."""

    verdict: RateVerdict
    retry_after: int = 0
    """Whole seconds until a call fits again."""

    CHARGED: ClassVar[RateAnswer]
    FULL: ClassVar[RateAnswer]

    @staticmethod
    def exceeded(retry_after: int) -> RateAnswer:
        """The limit is used up for so many seconds."""
        return RateAnswer(RateVerdict.EXCEEDED, retry_after)


RateAnswer.CHARGED = RateAnswer(RateVerdict.CHARGED)
RateAnswer.FULL = RateAnswer(RateVerdict.FULL)


class RateStore(Protocol):
    """Counts calls."""

    def check_and_charge(self, key: RateKey, limit: RateLimit, now: float, /) -> RateAnswer | Awaitable[RateAnswer]:
        """Counts a call at `now` if fewer than `limit.calls` were counted within the window before, in one atomic step.
        A call counts while ``now - t < limit.per_seconds``.
        """
        ...


class MemoryReplayStore:
    """A bounded replay store in the memory of one process.

    It is neither shared with other processes nor kept over a restart; a message of a session that was opened before
    `now`, the store's creation, is refused with SESSION_NOT_FOUND as long as an earlier life of the store may have seen
    it. When it is full, new messages are refused; none that is fresh is forgotten.
    """

    def __init__(
        self, capacity: int = 500_000, per_session: int = 50_000, *, window_seconds: int = 30, now: float | None = None
    ) -> None:
        """A store of at most `capacity` messages, `per_session` of one session."""
        self._native = _native.NativeReplayStore(capacity, per_session, window_seconds, now)

    def check_and_insert(self, entry: ReplayEntry, /) -> ReplayAnswer:
        """Says whether the message is new and remembers it if so."""
        return ReplayAnswer(self._native.check_and_insert(entry))

    def __len__(self) -> int:
        return len(self._native)


class MemoryRateStore:
    """A bounded rate store in the memory of one process."""

    def __init__(self, capacity: int = 100_000, per_workload: int = 10_000) -> None:
        """A store of at most `capacity` counted calls, `per_workload` of one workload."""
        self._native = _native.NativeRateStore(capacity, per_workload)

    def check_and_charge(self, key: RateKey, limit: RateLimit, now: float | None = None, /) -> RateAnswer:
        """Counts a call if it fits."""
        verdict, retry_after = self._native.check_and_charge(key, limit, now)
        return RateAnswer(RateVerdict(verdict), retry_after)

    def __len__(self) -> int:
        return len(self._native)


@dataclass(frozen=True, slots=True)
class Block:
    """A workload that may not attest."""

    workload_id: str
    until: float | None
    """Unix seconds; None until it is lifted."""


class MemorySessionStore:
    """A bounded session store in the memory of one process; an attestation service and a verifier share it."""

    def __init__(self, capacity: int = 100_000) -> None:
        """A store of at most `capacity` sessions that have not expired, and as many blocks."""
        self._native = _native.NativeSessionStore(capacity)

    def open(self, session: Session, now: float | None = None, /) -> None:
        """Remembers a new session.

        SMCPError: WORKLOAD_VERIFICATION_FAILED (blocked), KEYPAIR_MISMATCH, OVERLOADED, or INTERNAL_ERROR for an id
        that is taken.
        """
        self._native.open(session, now)

    def find(self, session_id: str, now: float | None = None, /) -> Session | None:
        """The session with this id."""
        return self._native.find(session_id, now)

    def find_by_agent(self, agent_id: str, now: float | None = None, /) -> Session | None:
        """The only session of this agent that has not expired."""
        return self._native.find_by_agent(agent_id, now)

    def live_key_owner(self, key: bytes, now: float | None = None, /) -> str | None:
        """The workload of the live session that is bound to this key."""
        return self._native.live_key_owner(key, now)

    def blocked(self, workload_id: str, key: bytes, now: float | None = None, /) -> bool:
        """Whether the workload or the key may not attest."""
        return self._native.blocked(workload_id, key, now)

    def revoke(
        self, session_id: str, *, block: Literal[True, False] | int = True, now: float | None = None
    ) -> Session | None:
        """Revokes a session; None when there is no such session.

        With `block` its workload and key cannot attest again until `allow` is called, or for so many seconds; with
        False only the session ends.
        """
        if isinstance(block, bool):
            return self._native.revoke(session_id, block, None, now)
        return self._native.revoke(session_id, True, block, now)

    def end(self, session_id: str, *, now: float | None = None) -> Session | None:
        """Ends a session in the ordinary way; one that was revoked stays revoked."""
        return self._native.end(session_id, now)

    def allow(self, workload_id: str) -> bool:
        """Lifts the block of a workload and of its keys; whether there was one."""
        return self._native.allow(workload_id)

    def blocks(self, *, now: float | None = None) -> list[Block]:
        """The blocks that hold."""
        return [Block(workload_id, until) for workload_id, until in self._native.blocks(now)]

    def sessions(self, *, now: float | None = None) -> list[Session]:
        """The sessions that have not expired, in the order in which they expire."""
        return self._native.list(now)

    def expire(self, *, now: float | None = None) -> list[Session]:
        """Forgets the sessions that have expired and returns them."""
        return self._native.expire(now)
