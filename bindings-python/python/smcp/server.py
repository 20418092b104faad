"""Verifying envelopes inside a service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from . import _native
from ._host import encode, malformed
from .errors import SMCPError

__all__ = ["SMCPError", "verify_smcp_envelope"]

_MEMBERS = ("protocol", "security_token", "signature", "payload", "timestamp")


def verify_smcp_envelope(
    envelope: Mapping[str, Any] | bytes | bytearray | memoryview | str,
    public_key_bytes: bytes | bytearray | memoryview,
    max_age_seconds: int = 30,
    *,
    now: float | None = None,
) -> dict[str, Any]:
    """Verifies one envelope against one agent key and returns its payload.

    Give the body as it came (bytes or str): this form is exact, and returns the canonical payload parsed. The dict form
    has lost the spelling of numbers, so Python's and then ECMAScript's are tried; it returns the envelope's own payload
    object. `now` (Unix seconds) takes the place of the clock.

    There is no replay protection, token check or policy here. Raises SMCPError with status_code 1000 (missing or
    invalid member), 1001 (signature), 1004 (outside the window), 1005 (protocol) or 3000 (unusable public key).
    """
    return _verify("smcp/v1", envelope, public_key_bytes, max_age_seconds, now)


def _verify(
    protocol: str,
    envelope: Mapping[str, Any] | bytes | bytearray | memoryview | str,
    public_key_bytes: bytes | bytearray | memoryview,
    max_age_seconds: int,
    now: float | None,
) -> dict[str, Any]:
    seal = protocol == "seal/v1"
    millis = None if now is None else int(now * 1000 // 1)
    key = bytes(memoryview(public_key_bytes))
    if isinstance(envelope, Mapping):
        members = {name: envelope[name] for name in _MEMBERS if name in envelope}
        wire = encode(members, seal=seal)
        _native.verify_envelope(wire, key, max_age_seconds, millis, protocol, True)
        payload: dict[str, Any] = envelope["payload"]
        return payload
    wire = _wire(envelope, seal=seal)
    canonical = _native.verify_envelope(wire, key, max_age_seconds, millis, protocol, False)
    return _payload(canonical, seal=seal)


def _wire(envelope: bytes | bytearray | memoryview | str, *, seal: bool) -> bytes:
    if isinstance(envelope, str):
        try:
            return envelope.encode("utf-8")
        except UnicodeEncodeError:
            raise malformed("the envelope has a lone surrogate, which is no text", seal=seal) from None
    if isinstance(envelope, bytes | bytearray | memoryview):
        return bytes(envelope)
    raise malformed("the envelope is neither a mapping nor text", seal=seal)


def _payload(canonical: bytes, *, seal: bool) -> dict[str, Any]:
    try:
        payload: dict[str, Any] = json.loads(canonical)
    except (ValueError, RecursionError) as error:
        # Signed and well formed, but more than this interpreter reads, such as integers of thousands of digits.
        raise malformed(f"the payload cannot be read: {error}", seal=seal) from error
    return payload
