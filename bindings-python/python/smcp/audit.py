"""What a service may keep of a call or an attestation."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from . import _native
from .errors import SMCPError

__all__ = ["Audit", "AuditRecord"]


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One record. Members that are not known are None.

    Of a call that was refused before its signature was verified everything is only what the sender claims, and
    `authenticated` is False. There is neither a token nor a secret in it.
    """

    event: str
    """``ToolCallAuthorized``, ``PolicyViolationBlocked``, ``SignatureVerificationFailed``, ``SecurityTokenExpired``,
    ``ReplayBlocked``, ``EnvelopeRefused``, ``AttestationSucceeded`` or ``AttestationFailed``."""
    time: float
    """Unix seconds."""
    authenticated: bool
    protocol: str | None = None
    request_id: str | None = None
    """JSON text of the payload's ``id``."""
    method: str | None = None
    tool: str | None = None
    arguments: Any = None
    """Values that look secret are replaced by an HMAC; long ones are cut."""
    session_id: str | None = None
    agent_id: str | None = None
    workload_id: str | None = None
    context: str | None = None
    context_digest: str | None = None
    execution_id: str | None = None
    tenant_id: str | None = None
    decision: str | None = None
    """``allow`` or ``deny``, when the policy was asked."""
    capability: int | None = None
    deny_entry: int | None = None
    code: str | None = None
    """Name of the refusal."""
    message: str | None = None
    source: str | None = None
    """Where an attestation came from."""
    signature: str | None = None
    """The envelope's signature, standard base64."""
    agent_key: str | None = None
    """The agent's public key, standard base64."""
    message_sha256: str | None = None
    """SHA-256 of the canonical message, hexadecimal."""

    def to_json(self) -> str:
        """The members that are known as one line of JSON."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(known, ensure_ascii=False, separators=(",", ":"))


Audit = Callable[[AuditRecord], Awaitable[None] | None]
"""Takes a record; raising refuses the call."""


def call_record(
    facts: _native.NativeFacts | None,
    error: SMCPError | None,
    arguments: bytes | None,
    now: float | None,
) -> AuditRecord:
    """The record of a call that was authorised, or of one that was refused with `error`."""
    code = None if error is None else error.code
    event = "ToolCallAuthorized" if error is None else _native.audit_event(code or "")
    moment = time.time() if now is None else now
    message = None if error is None else str(error)
    if facts is None:
        return AuditRecord(event=event, time=moment, authenticated=False, code=code, message=message)
    decision = facts.decision
    return AuditRecord(
        event=event,
        time=moment,
        authenticated=facts.authenticated,
        protocol=facts.protocol,
        request_id=facts.request_id,
        method=facts.method,
        tool=facts.tool,
        arguments=None if arguments is None else _loads(arguments),
        session_id=facts.session_id,
        agent_id=facts.agent_id,
        workload_id=facts.workload_id,
        context=facts.context,
        context_digest=None if decision is None else decision.digest,
        execution_id=facts.execution_id,
        tenant_id=facts.tenant_id,
        decision=None if decision is None else decision.verdict,
        capability=None if decision is None else decision.capability,
        deny_entry=None if decision is None else decision.deny_entry,
        code=code,
        message=message,
        signature=facts.signature,
        agent_key=facts.agent_key,
        message_sha256=facts.message_sha256,
    )


def _loads(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # A number this interpreter refuses to read; the text itself says as much.
        return text.decode("utf-8")
