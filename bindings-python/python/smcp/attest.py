"""Attestation in process: a service decides which workloads are real, and issues tokens for them."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import isawaitable, iscoroutine
from typing import Any, Final, Literal

from . import _native
from ._native import Session
from .audit import Audit, AuditRecord
from .errors import ERROR_KINDS, SMCPError
from .policy import SecurityContext
from .stores import MemorySessionStore, SessionStore
from .token import PublicKey, TokenIssuer, public_key_bytes

__all__ = ["AttestationReply", "AttestationRequest", "AttestationService", "Workload"]

_log: Final = logging.getLogger("smcp")


@dataclass(frozen=True, slots=True)
class AttestationRequest:
    """What a client asks for. Of all this only the form was checked, and the proof if there is one."""

    workload_id: str
    scope: str
    """The context it asks for."""
    public_key: bytes
    """The 32 bytes of the key that the session will be bound to."""
    has_proof: bool
    """Whether it proved that it holds the private key."""
    protocol: str
    source: str


@dataclass(frozen=True, slots=True)
class Workload:
    """What a verifier found out about a workload that is real."""

    registered_key: PublicKey | None = None
    """The only key it may attest with; another one is refused with KEYPAIR_MISMATCH."""
    execution_id: str | None = None
    """Carried into the token as ``exec_id``."""
    tenant_id: str | None = None
    """Carried into the token."""


Verdict = Workload | bool
WorkloadVerifier = Callable[[AttestationRequest, str | None], Verdict | Awaitable[Verdict]]
"""Decides whether a workload is real: `verify(request, bearer)`. A Workload or True accepts it; False refuses it, and
so does whatever it raises. An SMCPError says how."""


@dataclass(frozen=True, slots=True)
class AttestationReply:
    """The answer to send. Its body holds the token."""

    status: int
    body: bytes = field(repr=False)
    headers: dict[str, str]
    session: Session | None
    """The session that was opened."""
    code: str | None
    """Name of the refusal."""
    message: str | None

    @property
    def ok(self) -> bool:
        """Whether the client got a token."""
        return self.session is not None


class AttestationService:
    """Attests workloads: ``POST /v1/smcp/attest`` without the web server.

    It may be used from several threads. Share its sessions with the `EnvelopeVerifier`.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        *,
        verifier: WorkloadVerifier | Literal["allow_all"],
        contexts: Iterable[SecurityContext],
        grants: Mapping[str, Iterable[str]] | None = None,
        sessions: SessionStore | None = None,
        public_url: str | None = None,
        require_proof: bool = False,
        failures_per_minute: int = 30,
        successes_per_minute: int = 30,
        audit: Audit | None = None,
    ) -> None:
        """A service.

        issuer: signs the tokens; its lifetime, issuer and audience are those of the tokens.
        verifier: says whether a workload is real; ``"allow_all"`` believes everybody and is for development only.
        contexts: the contexts that exist.
        grants: which workloads may ask for which contexts, by workload id, in which ``*`` stands for any characters and
            ``?`` for one. Without it every workload may ask for every context.
        sessions: where sessions are opened; in memory when not given. Its methods may be coroutine functions when
            `attest_async` is used.
        public_url: the URL a proof of possession must be made for.
        require_proof: refuse requests without a proof, which the published clients do not send.
        failures_per_minute, successes_per_minute: limits per source and per workload.
        audit: takes an `AuditRecord` of every attestation; a session whose record it refuses is not handed out.
        """
        names = [context.name for context in contexts]
        if len(set(names)) != len(names):
            raise SMCPError("there are two contexts of one name", code="CONFIG_INVALID", number=6006)
        self._contexts = names
        self._verifier = verifier
        self.sessions: SessionStore = MemorySessionStore() if sessions is None else sessions
        self.issuer = issuer
        self._audit = audit
        rules = {"*": names} if grants is None else {workload: list(granted) for workload, granted in grants.items()}
        self._native = _native.NativeAttestor(
            signer=issuer._native,
            issuer=issuer.issuer,
            audience=issuer.audience[0] if issuer.audience else "",
            lifetime_seconds=issuer.lifetime_seconds,
            compat_ctx_claim=issuer.compat_ctx_claim,
            require_proof=require_proof,
            public_url=public_url,
            failures_per_minute=failures_per_minute,
            successes_per_minute=successes_per_minute,
            contexts=names,
            grants=list(rules.items()),
            sessions=self.sessions._native if isinstance(self.sessions, MemorySessionStore) else None,
        )

    def attest(
        self,
        body: bytes | bytearray | memoryview,
        *,
        bearer: str | None = None,
        source: str = "",
        protocol: str = "smcp/v1",
        now: float | None = None,
    ) -> AttestationReply:
        """Answers a request; a refusal is an answer too, and nothing is raised.

        body: the HTTP body, unparsed.
        bearer: what the client sent as ``Authorization: Bearer …``.
        source: the client's address; failures are counted per address.
        protocol: of the route, ``smcp/v1`` or ``seal/v1``.
        now: Unix seconds in place of the clock.
        """
        attestation = self._native.begin(bytes(body), protocol, source, now)
        if not attestation.done:
            try:
                verdict = self._verify(attestation, bearer, protocol, source)
                if isawaitable(verdict):
                    _close(verdict)
                    raise TypeError("an asynchronous verifier needs attest_async")
                _conclude(attestation, verdict)
            except Exception as error:
                _refuse(attestation, error, "WORKLOAD_VERIFICATION_FAILED", "the workload could not be verified")
            while (question := attestation.question()) is not None:
                try:
                    answer = self._ask(attestation, question, now)
                    if isawaitable(answer):
                        _close(answer)
                        raise TypeError("an asynchronous session store needs attest_async")
                    _answer(attestation, question[0], answer)
                except Exception as error:
                    _refuse(attestation, error, "INTERNAL_ERROR", "the session store failed")
        reply, record = self._reply(attestation, protocol, source, now)
        if self._audit is not None:
            try:
                told = self._audit(record)
                if isawaitable(told):
                    _close(told)
                    raise TypeError("an asynchronous audit needs attest_async")
            except Exception as error:
                return self._unaudited(reply, error, protocol, now)
        return reply

    async def attest_async(
        self,
        body: bytes | bytearray | memoryview,
        *,
        bearer: str | None = None,
        source: str = "",
        protocol: str = "smcp/v1",
        now: float | None = None,
    ) -> AttestationReply:
        """As `attest`, for a verifier, a session store and an audit that may be coroutine functions."""
        attestation = self._native.begin(bytes(body), protocol, source, now)
        if not attestation.done:
            try:
                verdict = self._verify(attestation, bearer, protocol, source)
                _conclude(attestation, await verdict if isawaitable(verdict) else verdict)
            except Exception as error:
                _refuse(attestation, error, "WORKLOAD_VERIFICATION_FAILED", "the workload could not be verified")
            while (question := attestation.question()) is not None:
                try:
                    answer = self._ask(attestation, question, now)
                    _answer(attestation, question[0], await answer if isawaitable(answer) else answer)
                except Exception as error:
                    _refuse(attestation, error, "INTERNAL_ERROR", "the session store failed")
        reply, record = self._reply(attestation, protocol, source, now)
        if self._audit is not None:
            try:
                told = self._audit(record)
                if isawaitable(told):
                    await told
            except Exception as error:
                return self._unaudited(reply, error, protocol, now)
        return reply

    def replace_contexts(self, contexts: Iterable[SecurityContext]) -> None:
        """Knows other contexts from now on."""
        self._contexts = [context.name for context in contexts]
        self._native.replace_contexts(self._contexts)

    def _verify(
        self, attestation: _native.NativeAttestation, bearer: str | None, protocol: str, source: str
    ) -> Verdict | Awaitable[Verdict]:
        if self._verifier == "allow_all":
            return True
        request = AttestationRequest(
            workload_id=attestation.workload_id or "",
            scope=attestation.scope or "",
            public_key=attestation.public_key or b"",
            has_proof=attestation.has_proof,
            protocol=protocol,
            source=source,
        )
        return self._verifier(request, bearer)

    def _ask(
        self, attestation: _native.NativeAttestation, question: tuple[str, Session | None], now: float | None
    ) -> Any:
        moment = time.time() if now is None else now
        kind, session = question
        key = attestation.public_key or b""
        if kind == "blocked":
            return self.sessions.blocked(attestation.workload_id or "", key, moment)
        if kind == "live_key_owner":
            return self.sessions.live_key_owner(key, moment)
        if session is None:
            raise TypeError("there is no session to open")
        return self.sessions.open(session, moment)

    def _reply(
        self, attestation: _native.NativeAttestation, protocol: str, source: str, now: float | None
    ) -> tuple[AttestationReply, AuditRecord]:
        status, body, retry_after, session, code, message = attestation.conclusion()
        reply = AttestationReply(status, body, _headers(retry_after), session, code, message)
        key = attestation.public_key if session is None else session.key
        record = AuditRecord(
            event="AttestationFailed" if session is None else "AttestationSucceeded",
            time=time.time() if now is None else now,
            authenticated=session is not None,
            protocol=protocol,
            session_id=None if session is None else session.id,
            agent_id=None if session is None else session.agent_id,
            workload_id=attestation.workload_id,
            context=attestation.scope,
            execution_id=None if session is None else session.execution_id,
            tenant_id=None if session is None else session.tenant_id,
            code=code,
            message=message,
            source=source or None,
            agent_key=None if key is None else base64.b64encode(key).decode("ascii"),
        )
        return reply, record

    def _unaudited(
        self, reply: AttestationReply, error: Exception, protocol: str, now: float | None
    ) -> AttestationReply:
        """A session nobody may know of is closed, and the client gets no token."""
        _log.error("the audit of an attestation failed", exc_info=error)
        if reply.session is None:
            return reply
        if isinstance(self.sessions, MemorySessionStore):
            self.sessions.revoke(reply.session.id, block=False, now=now)
        code, message = "AUDIT_UNAVAILABLE", "the audit refused the record"
        status, body = _native.attestation_refusal(code, message, protocol, now)
        return AttestationReply(status, body, _headers(None), None, code, message)


def _headers(retry_after: int | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return headers


def _conclude(attestation: _native.NativeAttestation, verdict: object) -> None:
    if isinstance(verdict, Workload):
        key = verdict.registered_key
        registered = None if key is None else public_key_bytes(key)
        attestation.conclude(registered, verdict.execution_id, verdict.tenant_id)
    elif verdict is True:
        attestation.conclude(None, None, None)
    elif verdict is False:
        attestation.refuse("WORKLOAD_VERIFICATION_FAILED", "the workload could not be verified", None)
    else:
        raise TypeError(f"the workload verifier answered with a {type(verdict).__name__}")


def _answer(attestation: _native.NativeAttestation, kind: str, answer: object) -> None:
    if kind == "blocked" and isinstance(answer, bool):
        attestation.answer_blocked(answer)
    elif kind == "live_key_owner" and (answer is None or isinstance(answer, str)):
        attestation.answer_live_key_owner(answer)
    elif kind == "open" and answer is None:
        attestation.answer_opened()
    else:
        raise TypeError(f"the session store answered with a {type(answer).__name__}")


_SPOKEN: Final = {kind.code: kind for kind in ERROR_KINDS if kind.http_status is not None}


def _refuse(attestation: _native.NativeAttestation, error: Exception, code: str, message: str) -> None:
    """Refuses because of what a verifier or a store raised; only an SMCPError of the protocol is repeated."""
    if isinstance(error, SMCPError) and error.code in _SPOKEN:
        retry_after = error.details.get("retry_after")
        attestation.refuse(error.code, str(error), retry_after if isinstance(retry_after, int) else None)
        return
    _log.error("an attestation failed: %s", message, exc_info=error)
    attestation.refuse(code, message, None)


def _close(awaitable: object) -> None:
    if iscoroutine(awaitable):
        awaitable.close()
