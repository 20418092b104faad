"""The `seal/v1` dialect: the same protocol under its successor's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .client import BlockingBase
from .crypto import Ed25519Key
from .envelope import Base64Signer, _create
from .errors import SEALError
from .server import _verify

__all__ = [
    "AttestationResult",
    "Ed25519Key",
    "SEALClient",
    "SEALError",
    "create_seal_envelope",
    "verify_seal_envelope",
]


@dataclass(frozen=True)
class AttestationResult:
    """What an attestation won."""

    security_token: str = field(repr=False)
    expires_at: str | None
    session_id: str | None


class SEALClient(BlockingBase):
    """Attests a workload at a gateway that speaks `seal/v1` and calls tools with signed envelopes."""

    _protocol: ClassVar[str] = "seal/v1"

    def attest(self) -> AttestationResult:
        """Attests with a fresh key."""
        return AttestationResult(*self._attest())

    @property
    def expires_at(self) -> str | None:
        """When the token expires, RFC 3339, as far as the gateway said."""
        return self._expires_at_text()


def create_seal_envelope(
    security_token: str, mcp_payload: Mapping[str, Any], private_key: Base64Signer
) -> dict[str, Any]:
    """As smcp.envelope.create_smcp_envelope; raises SEALError."""
    return _create("seal/v1", security_token, mcp_payload, private_key)


def verify_seal_envelope(
    envelope: Mapping[str, Any] | bytes | bytearray | memoryview | str,
    public_key_bytes: bytes | bytearray | memoryview,
    max_age_seconds: int = 30,
    *,
    now: float | None = None,
) -> dict[str, Any]:
    """As smcp.server.verify_smcp_envelope, with the numbers of this dialect.

    Raises SEALError: status_code 1003 outside the window, 1000 for another protocol.
    """
    return _verify("seal/v1", envelope, public_key_bytes, max_age_seconds, now)
