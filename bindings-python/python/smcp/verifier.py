"""Verifying, authorising and auditing calls inside a service: the gateway's pipeline without the gateway."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from inspect import isawaitable, iscoroutine
from typing import Any, ClassVar, Final, Generic, TypeVar

from . import _native
from ._host import malformed
from ._native import Claims, Decision, Session
from .audit import Audit, AuditRecord, call_record
from .errors import SMCPError
from .policy import SecurityContext
from .stores import (
    FileReplayStore,
    MemoryRateStore,
    MemoryReplayStore,
    MemorySessionStore,
    RateAnswer,
    RateStore,
    ReplayAnswer,
    ReplayStore,
    SessionLookup,
)
from .token import Jwks, PublicKey, token_keys

__all__ = ["AdmittedCall", "AdmittingVerifier", "AuditRecord", "AuthorizedCall", "EnvelopeVerifier"]

Keys = PublicKey | Iterable[PublicKey | Jwks] | Mapping[str, PublicKey]
Revoked = Callable[[str | None, str], bool | Awaitable[bool]]

_log: Final = logging.getLogger("smcp")


class AdmittedCall:
    """A call that its agent signed, fresh and for the first time; what it may do is for the service to decide.

    Everything comes from the canonical text that was verified, never from the body again.
    """

    def __init__(self, native: _native.NativeReceived) -> None:
        self._native = native

    @property
    def method(self) -> str:
        """The JSON-RPC method."""
        return self._native.method

    @property
    def tool(self) -> str:
        """The tool of a ``tools/call``; otherwise the method."""
        return self._native.tool

    @cached_property
    def id(self) -> str | int | float | None:
        """The JSON-RPC id; None for a notification."""
        text = self._native.id_text
        return None if text is None else _loads(text.encode("utf-8"))

    @cached_property
    def payload_bytes(self) -> bytes:
        """The canonical payload that was verified."""
        return self._native.payload

    @cached_property
    def payload(self) -> dict[str, Any]:
        """The payload, parsed; SMCPError 1000 for a number that this interpreter cannot hold."""
        payload: dict[str, Any] = _loads(self.payload_bytes)
        return payload

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of a ``tools/call``; otherwise the ``params``."""
        params: dict[str, Any] = self.payload.get("params") or {}
        if self.method != "tools/call":
            return params
        arguments: dict[str, Any] = params.get("arguments") or {}
        return arguments

    @cached_property
    def claims(self) -> Claims:
        """The claims of the agent's token."""
        return self._native.claims

    @property
    def protocol(self) -> str:
        """``smcp/v1`` or ``seal/v1``."""
        return self._native.facts.protocol or "smcp/v1"

    @property
    def message_sha256(self) -> str:
        """SHA-256 of the canonical message, hexadecimal."""
        return self._native.facts.message_sha256 or ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.tool!r} of {self.claims.workload_id!r}>"


class AuthorizedCall(AdmittedCall):
    """A call that its agent signed and its context allows."""

    @cached_property
    def decision(self) -> Decision | None:
        """What allowed the call; None for methods without a tool, such as ``ping`` and ``tools/list``."""
        return self._native.decision

    def list_tools(self, tools: Iterable[str]) -> list[str]:
        """The tools of `tools` that an answer to ``tools/list`` may show to this agent."""
        return self._native.list_tools(list(tools))

    def check_response_size(self, result: bytes | int) -> None:
        """Raises POLICY_VIOLATION_RESPONSE_TOO_LARGE if the tool's answer is larger than the context allows; `result`
        is the compact JSON of the response's ``result``, or its size.
        """
        if self.decision is not None:
            self.decision.check_response_size(result if isinstance(result, int) else len(result))


CallT = TypeVar("CallT", bound=AdmittedCall)


class _Receiver(Generic[CallT]):
    """What both kinds of verifiers have in common."""

    _call: ClassVar[type[AdmittedCall]]

    def __init__(
        self,
        *,
        contexts: Iterable[SecurityContext] | None,
        keys: Keys | None,
        jwks: Jwks | Iterable[Jwks] | None,
        sessions: SessionLookup | None,
        revoked: Revoked | None,
        replay: ReplayStore | None,
        rates: RateStore | None,
        audit: Audit | None,
        audience: str | None,
        issuer: str | None,
        now: float | None,
        window_seconds: int,
        leeway_seconds: int,
        lenient_claims: bool,
        max_body_bytes: int,
        protocol: str | None,
        foreign_protocol: str,
        forwardable: bool,
    ) -> None:
        if sessions is None and revoked is None:
            raise _invalid("give sessions=, or revoked= to say which sessions and workloads were revoked")
        if sessions is not None and revoked is not None:
            raise _invalid("give either sessions= or revoked=, since a session store knows what was revoked")
        self._sessions = sessions
        self._revoked = revoked
        self._replay = MemoryReplayStore(window_seconds=window_seconds, now=now) if replay is None else replay
        self._rates = MemoryRateStore() if rates is None else rates
        self._audit = audit
        self._process = os.getpid()
        self._native = _native.NativeVerifier(
            keys=token_keys(keys, jwks),
            contexts=None if contexts is None else [context._native for context in contexts],
            sessions=sessions._native if isinstance(sessions, MemorySessionStore) else None,
            replay=self._replay._native if isinstance(self._replay, MemoryReplayStore) else None,
            replay_file=self._replay._native if isinstance(self._replay, FileReplayStore) else None,
            rates=self._rates._native if isinstance(self._rates, MemoryRateStore) else None,
            issuer=issuer,
            audience=audience,
            window_seconds=window_seconds,
            leeway_seconds=leeway_seconds,
            lenient_claims=lenient_claims,
            max_body_bytes=max_body_bytes,
            protocol=protocol,
            foreign_protocol=foreign_protocol if sessions is None else None,
            forwardable=forwardable,
            audited=audit is not None,
        )

    def receive(self, body: bytes | bytearray | memoryview, *, now: float | None = None) -> CallT:
        """Takes the body of an invocation as it came, and returns the call if every step lets it through.

        body: the HTTP body, unparsed.
        now: Unix seconds in place of the clock.

        Raises SMCPError with ``code``, ``number`` and ``http_status`` at the first step that refuses.
        """
        body = _bytes(body)
        self._warn_in_fork()
        if not self._native.asks_host and self._audit is None:
            return self._wrap(self._native.receive(body, now))
        reception = self._native.begin(body, now)
        failure: BaseException | None = None
        while (question := reception.question()) is not None:
            try:
                self._answer(reception, question, self._ask(question, now))
            except Exception as error:
                failure = error
                _fail(reception, question, error)
        received, record, refusal = self._conclude(reception, now)
        if refusal is not None:
            self._tell_refusal(record)
            raise refusal from failure
        if record is not None and self._audit is not None:
            try:
                _not_awaitable(self._audit(record), "an asynchronous audit needs receive_async")
            except Exception as error:
                raise _audit_unavailable() from error
        return self._wrap(received)

    async def receive_async(self, body: bytes | bytearray | memoryview, *, now: float | None = None) -> CallT:
        """As `receive`, for stores, revocation list and audit that may be coroutine functions.

        The steps take microseconds and run on the event loop, as do stores without coroutine functions; only with a
        `FileReplayStore`, which may have to wait for another process, a thread is used.
        """
        body = _bytes(body)
        self._warn_in_fork()
        # A file may be held by another process.
        in_file = isinstance(self._replay, FileReplayStore)
        if not self._native.asks_host and self._audit is None:
            if in_file:
                return self._wrap(await asyncio.to_thread(self._native.receive, body, now))
            return self._wrap(self._native.receive(body, now))
        begin = self._native.begin
        reception = await asyncio.to_thread(begin, body, now) if in_file else begin(body, now)
        failure: BaseException | None = None
        while (question := reception.question()) is not None:
            try:
                answer = self._ask(question, now)
                answer = await answer if isawaitable(answer) else answer
                if in_file:
                    await asyncio.to_thread(self._answer, reception, question, answer)
                else:
                    self._answer(reception, question, answer)
            except Exception as error:
                failure = error
                _fail(reception, question, error)
        received, record, refusal = self._conclude(reception, now)
        if refusal is not None:
            told = self._tell_refusal(record)
            if told is not None:
                try:
                    await told
                except Exception:
                    _log.exception("the audit of a refused call failed")
            raise refusal from failure
        if record is not None and self._audit is not None:
            try:
                told = self._audit(record)
                if isawaitable(told):
                    await told
            except Exception as error:
                raise _audit_unavailable() from error
        return self._wrap(received)

    def replace_keys(self, keys: Keys | None = None, *, jwks: Jwks | Iterable[Jwks] | None = None) -> None:
        """Uses other keys from now on; tokens of a key that is gone end at once."""
        self._native.replace_keys(token_keys(keys, jwks))

    def _wrap(self, received: _native.NativeReceived) -> CallT:
        return self._call(received)  # type: ignore[return-value]

    def _warn_in_fork(self) -> None:
        if self._process == os.getpid() or not isinstance(self._replay, MemoryReplayStore):
            return
        self._process = os.getpid()
        message = (
            "this EnvelopeVerifier was made before a fork and remembers messages in memory: each worker process "
            "accepts a replayed envelope once more; give it replay=FileReplayStore(path)"
        )
        _log.warning(message)
        warnings.warn(message, RuntimeWarning, stacklevel=3)

    def _ask(self, question: _native.NativeQuestion, now: float | None) -> Any:
        if question.replay is not None:
            return self._replay.check_and_insert(question.replay)
        moment = time.time() if now is None else now
        if question.rate is not None:
            return self._rates.check_and_charge(*question.rate, moment)
        if question.kind == "revoked" and self._revoked is not None:
            return self._revoked(question.id, question.workload_id or "")
        if self._sessions is not None and question.id is not None:
            find = self._sessions.find if question.kind == "session" else self._sessions.find_by_agent
            return find(question.id, moment)
        raise _internal("nobody can be asked about sessions")

    def _answer(self, reception: _native.NativeReception, question: _native.NativeQuestion, answer: Any) -> None:
        """Passes an answer on if it is of the right type; nothing else counts as one."""
        _not_awaitable(answer, "asynchronous stores need receive_async")
        if question.kind == "replay" and isinstance(answer, ReplayAnswer):
            reception.answer_replay(answer.value)
        elif question.kind == "rate" and isinstance(answer, RateAnswer):
            reception.answer_rate(answer.verdict.value, answer.retry_after)
        elif question.kind == "revoked" and isinstance(answer, bool):
            reception.answer_revoked(answer)
        elif question.kind in {"session", "agent"} and (answer is None or isinstance(answer, Session)):
            reception.answer_session(answer)
        else:
            raise _internal(f"{_STORES[question.kind]} answered with a {type(answer).__name__}")

    def _conclude(
        self, reception: _native.NativeReception, now: float | None
    ) -> tuple[Any, AuditRecord | None, SMCPError | None]:
        facts = reception.facts() if self._audit is not None else None
        try:
            received = reception.result()
        except SMCPError as refusal:
            record = None if self._audit is None else call_record(facts, refusal, None, now)
            return None, record, refusal
        record = None if self._audit is None else call_record(facts, None, received.sanitised_arguments, now)
        return received, record, None

    def _tell_refusal(self, record: AuditRecord | None) -> Awaitable[None] | None:
        """Tells the audit of a refusal, which stays one whatever the audit does."""
        if record is None or self._audit is None:
            return None
        try:
            told = self._audit(record)
        except Exception:
            _log.exception("the audit of a refused call failed")
            return None
        return told if isawaitable(told) else None


class AdmittingVerifier(_Receiver[AdmittedCall]):
    """Steps 1 to 6: who sent the call, and that it is new. Made by `EnvelopeVerifier.without_policy`."""

    _call = AdmittedCall


class EnvelopeVerifier(_Receiver[AuthorizedCall]):
    """Receives envelopes as a gateway does: shape, freshness, token, session, signature, replay, policy, in this order,
    and audit if one is given.

    Make one for a service and keep it: keys, contexts and stores live in it. It may be used from several threads.
    Without stores of its own everything is remembered in memory; give `replay=FileReplayStore(path)` when several
    processes serve the same agents.
    """

    _call = AuthorizedCall

    def __init__(
        self,
        *,
        contexts: Iterable[SecurityContext],
        keys: Keys | None = None,
        jwks: Jwks | Iterable[Jwks] | None = None,
        sessions: SessionLookup | None = None,
        revoked: Revoked | None = None,
        replay: ReplayStore | None = None,
        rates: RateStore | None = None,
        audit: Audit | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        now: float | None = None,
        window_seconds: int = 30,
        leeway_seconds: int = 0,
        lenient_claims: bool = False,
        max_body_bytes: int = 4 * 1024 * 1024,
        protocol: str | None = None,
        foreign_protocol: str = "smcp/v1",
        forwardable: bool = False,
    ) -> None:
        """A verifier.

        contexts: the contexts that exist; a token that names another is refused.
        keys, jwks: public keys of the gateway that issues the tokens: 32 bytes, their base64, JWKS texts, or a mapping
            from ``kid`` to key.
        sessions: where sessions are looked up. Without it the token itself is believed, and `revoked(session id or
            None, workload id)` says whether it was revoked.
        replay, rates: stores; in memory when not given.
        audit: takes an `AuditRecord` of every call and refusal; a call whose record it refuses is not let through.
        audience, issuer: required in each token when given.
        now: creation time of the stores in memory, in place of the clock.
        window_seconds: how old or new an envelope may be, at most 60.
        leeway_seconds: granted on the token's expiry, at most 60.
        lenient_claims: take ``sub`` for a missing ``wid``.
        max_body_bytes: larger bodies are refused with status 413.
        protocol: the only dialect accepted, ``smcp/v1`` or ``seal/v1``; both when not given.
        foreign_protocol: the dialect of tokens that name none, when there is no session store.
        forwardable: refuse also what a gateway cannot forward as values, such as numbers beyond every machine number.
        """
        super().__init__(
            contexts=contexts,
            keys=keys,
            jwks=jwks,
            sessions=sessions,
            revoked=revoked,
            replay=replay,
            rates=rates,
            audit=audit,
            audience=audience,
            issuer=issuer,
            now=now,
            window_seconds=window_seconds,
            leeway_seconds=leeway_seconds,
            lenient_claims=lenient_claims,
            max_body_bytes=max_body_bytes,
            protocol=protocol,
            foreign_protocol=foreign_protocol,
            forwardable=forwardable,
        )

    @staticmethod
    def without_policy(
        *,
        keys: Keys | None = None,
        jwks: Jwks | Iterable[Jwks] | None = None,
        sessions: SessionLookup | None = None,
        revoked: Revoked | None = None,
        replay: ReplayStore | None = None,
        audit: Audit | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        now: float | None = None,
        window_seconds: int = 30,
        leeway_seconds: int = 0,
        lenient_claims: bool = False,
        max_body_bytes: int = 4 * 1024 * 1024,
        protocol: str | None = None,
        foreign_protocol: str = "smcp/v1",
        forwardable: bool = False,
    ) -> AdmittingVerifier:
        """A verifier for a service that decides by itself what a call may do. Every method passes."""
        return AdmittingVerifier(
            contexts=None,
            keys=keys,
            jwks=jwks,
            sessions=sessions,
            revoked=revoked,
            replay=replay,
            rates=None,
            audit=audit,
            audience=audience,
            issuer=issuer,
            now=now,
            window_seconds=window_seconds,
            leeway_seconds=leeway_seconds,
            lenient_claims=lenient_claims,
            max_body_bytes=max_body_bytes,
            protocol=protocol,
            foreign_protocol=foreign_protocol,
            forwardable=forwardable,
        )

    def replace_contexts(self, contexts: Iterable[SecurityContext]) -> None:
        """Uses other contexts from now on; calls of sessions whose context is gone are refused."""
        self._native.replace_contexts([context._native for context in contexts])


_STORES: Final = {
    "replay": "the replay store",
    "rate": "the rate store",
    "session": "the session store",
    "agent": "the session store",
    "revoked": "the list of revocations",
}


def _fail(reception: _native.NativeReception, question: _native.NativeQuestion, error: Exception) -> None:
    """Refuses the call because of what a store raised; only an SMCPError of the store says how."""
    if isinstance(error, SMCPError) and error.code is not None and error.http_status is not None:
        retry_after = error.details.get("retry_after")
        reception.fail(error.code, str(error), retry_after if isinstance(retry_after, int) else None)
    else:
        _log.error("%s failed", _STORES[question.kind], exc_info=error)
        reception.fail("INTERNAL_ERROR", f"{_STORES[question.kind]} failed", None)


def _not_awaitable(answer: object, message: str) -> None:
    if isawaitable(answer):
        if iscoroutine(answer):
            answer.close()
        raise _internal(message)


def _bytes(body: bytes | bytearray | memoryview) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, bytearray | memoryview):
        return bytes(body)
    raise TypeError(f"the body must be bytes as they came, not {type(body).__name__}")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is beyond every float")
    return value


def _loads(text: bytes) -> Any:
    try:
        return json.loads(text, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise malformed(f"the payload cannot be read: {error}") from error


def _invalid(message: str) -> SMCPError:
    return SMCPError(message, code="INVALID_ARGUMENT", number=6005)


def _internal(message: str) -> SMCPError:
    return SMCPError(message, 4005, code="INTERNAL_ERROR", http_status=500)


def _audit_unavailable() -> SMCPError:
    return SMCPError("the audit refused the record", 4002, code="AUDIT_UNAVAILABLE", http_status=503)
