"""Canonical messages and signed envelopes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from . import _native
from ._host import encode, malformed

__all__ = ["create_canonical_message", "create_smcp_envelope", "parse_iso8601_to_unix"]


class Base64Signer(Protocol):
    """Whatever can sign an envelope."""

    def sign_base64(self, message: bytes, /) -> str:
        """The standard base64 of the Ed25519 signature over `message`."""
        ...


def parse_iso8601_to_unix(timestamp_iso: str) -> int:
    """Unix seconds of an RFC 3339 text with a zone, rounded down; ValueError for anything else."""
    return _native.parse_timestamp(timestamp_iso)


def create_canonical_message(security_token: str, payload: Mapping[str, Any], timestamp_unix: int) -> bytes:
    """The bytes a signature covers: sorted names, no white space, UTF-8, numbers as ``json.dumps`` writes them.

    Raises SMCPError 1000 for a payload that is not JSON.
    """
    return encode({"payload": payload, "security_token": security_token, "timestamp": timestamp_unix}, sort_keys=True)


def create_smcp_envelope(
    security_token: str, mcp_payload: Mapping[str, Any], private_key: Base64Signer
) -> dict[str, Any]:
    """Signs a payload and wraps it in an envelope, stamped now.

    The envelope's payload is the given object itself; write it to the wire with ``json.dumps``, whose spelling of
    numbers was signed. Any object with ``sign_base64(bytes) -> str`` signs. Raises SMCPError 1000 before anything is
    signed when the payload is not JSON or the token is empty.
    """
    return _create("smcp/v1", security_token, mcp_payload, private_key)


def _create(
    protocol: str, security_token: str, mcp_payload: Mapping[str, Any], private_key: Base64Signer
) -> dict[str, Any]:
    seal = protocol == "seal/v1"
    if not isinstance(security_token, str) or not security_token:
        raise malformed("the security token is no string or empty", seal=seal)
    if not isinstance(mcp_payload, dict) or not mcp_payload:
        raise malformed("the payload is no dict with members", seal=seal)
    timestamp, seconds = _native.write_timestamp(time.time_ns() // 1_000_000)
    message = {"payload": mcp_payload, "security_token": security_token, "timestamp": seconds}
    signature = private_key.sign_base64(encode(message, sort_keys=True, seal=seal))
    return {
        "protocol": protocol,
        "security_token": security_token,
        "signature": signature,
        "payload": mcp_payload,
        "timestamp": timestamp,
    }
