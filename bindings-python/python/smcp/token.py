"""Security tokens: issuing them, verifying them, publishing the keys."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from . import _native
from ._native import Claims
from .errors import SMCPError

__all__ = ["Claims", "IssuedToken", "PublicKey", "TokenIssuer", "TokenVerifier"]

PublicKey = bytes | str
"""An Ed25519 public key: its 32 bytes, or their standard base64."""

Jwks = str | bytes
"""The text of a JWKS (RFC 7517)."""


class _HoldsPublicKey(Protocol):
    def get_public_key_bytes(self) -> bytes: ...


def public_key_bytes(key: PublicKey | bytearray | memoryview | _HoldsPublicKey) -> bytes:
    """The 32 bytes of a public key, whose form the native module checks further."""
    if isinstance(key, str):
        try:
            return base64.b64decode(key.encode("ascii"), validate=True)
        except (ValueError, binascii.Error):
            raise config_invalid("a public key is not standard base64 with padding") from None
    if isinstance(key, bytes | bytearray | memoryview):
        return bytes(key)
    return key.get_public_key_bytes()


def config_invalid(message: str) -> SMCPError:
    """The error of settings that cannot be used."""
    return SMCPError(message, code="CONFIG_INVALID", number=6006)


def token_keys(
    keys: PublicKey | Iterable[PublicKey | Jwks] | Mapping[str, PublicKey] | None, jwks: Jwks | Iterable[Jwks] | None
) -> _native.NativeKeys:
    """The keys that verify tokens, in any of the forms of `EnvelopeVerifier`."""
    raw: list[tuple[str | None, bytes]] = []
    texts: list[bytes] = []
    if isinstance(keys, Mapping):
        raw.extend((key_id, public_key_bytes(key)) for key_id, key in keys.items())
    elif keys is not None:
        for key in [keys] if isinstance(keys, str | bytes | bytearray | memoryview) else keys:
            text = key.encode("utf-8") if isinstance(key, str) else bytes(key)
            # 32 bytes may begin with a brace too.
            if text.lstrip()[:1] == b"{" and not (isinstance(key, bytes) and len(key) == 32):
                texts.append(text)
            else:
                raw.append((None, public_key_bytes(key)))
    if jwks is not None:
        for text_or_bytes in [jwks] if isinstance(jwks, str | bytes) else jwks:
            texts.append(text_or_bytes.encode("utf-8") if isinstance(text_or_bytes, str) else bytes(text_or_bytes))
    native = _native.NativeKeys(raw, texts)
    if len(native) == 0:
        raise config_invalid("give the keys that verify tokens: keys= or jwks=")
    return native


class TokenVerifier:
    """Verifies security tokens, without looking at sessions."""

    def __init__(
        self,
        keys: PublicKey | Iterable[PublicKey | Jwks] | Mapping[str, PublicKey] | None = None,
        *,
        jwks: Jwks | Iterable[Jwks] | None = None,
        issuer: str | None = None,
        audience: str | None = None,
        leeway_seconds: int = 0,
        lenient_claims: bool = False,
    ) -> None:
        """A verifier with these keys.

        keys: public keys (32 bytes or base64), or a mapping from ``kid`` to key; without a ``kid`` a key is known by
            its RFC 7638 thumbprint.
        jwks: one JWKS text or several.
        issuer, audience: required in each token when given.
        leeway_seconds: granted on ``exp``, at most 60.
        lenient_claims: take ``sub`` for a missing ``wid``, as some foreign tokens need.
        """
        native = token_keys(keys, jwks)
        self._native = _native.NativeTokenVerifier(native, issuer, audience, leeway_seconds, lenient_claims)

    def verify(self, token: str, *, now: float | None = None) -> Claims:
        """The claims of a valid token; SMCPError TOKEN_EXPIRED or TOKEN_VERIFICATION_FAILED for any other."""
        return self._native.verify(token, now)

    def replace_keys(
        self,
        keys: PublicKey | Iterable[PublicKey | Jwks] | Mapping[str, PublicKey] | None = None,
        *,
        jwks: Jwks | Iterable[Jwks] | None = None,
    ) -> None:
        """Uses other keys from now on; tokens of a key that is gone end at once."""
        self._native.replace_keys(token_keys(keys, jwks))

    def jwks(self) -> str:
        """The keys as the text of a JWKS."""
        return self._native.to_jwks()


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token with what it says; its text is a secret and not part of ``repr``."""

    token: str
    claims: Claims

    def __repr__(self) -> str:
        return f"<IssuedToken {self.claims!r}>"


class TokenIssuer:
    """Signs security tokens with an Ed25519 key, named by its RFC 7638 thumbprint."""

    def __init__(
        self,
        key: bytes | str,
        *,
        issuer: str = "smcp-gateway",
        audience: str | Iterable[str] = "smcp-gateway",
        lifetime_seconds: int = 3600,
        compat_ctx_claim: bool = False,
    ) -> None:
        """An issuer with a private key.

        key: a PKCS#8 PEM text, as ``smcp keygen`` writes it, or the 32 bytes of the seed.
        issuer, audience: the claims ``iss`` and ``aud``.
        lifetime_seconds: lifetime of tokens, at most 24 hours.
        compat_ctx_claim: write ``ctx`` beside ``scp``.
        """
        self._native = _signer(key)
        self.issuer = issuer
        self.audience: tuple[str, ...] = (audience,) if isinstance(audience, str) else tuple(audience)
        self.lifetime_seconds = lifetime_seconds
        self.compat_ctx_claim = compat_ctx_claim
        self._keys = _native.NativeKeys([(None, self.public_key)], [])
        self._verifiers: dict[str | None, _native.NativeTokenVerifier] = {}

    @classmethod
    def generate(
        cls,
        *,
        issuer: str = "smcp-gateway",
        audience: str | Iterable[str] = "smcp-gateway",
        lifetime_seconds: int = 3600,
        compat_ctx_claim: bool = False,
    ) -> Self:
        """An issuer with a new key, which lives as long as this object."""
        self = cls.__new__(cls)
        signer = _native.NativeTokenSigner.generate()
        self._native = signer
        self.issuer = issuer
        self.audience = (audience,) if isinstance(audience, str) else tuple(audience)
        self.lifetime_seconds = lifetime_seconds
        self.compat_ctx_claim = compat_ctx_claim
        self._keys = _native.NativeKeys([(None, self.public_key)], [])
        self._verifiers = {}
        return self

    @property
    def key_id(self) -> str:
        """The ``kid`` of tokens."""
        return self._native.key_id

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key."""
        return self._native.public_key

    def issue(
        self,
        *,
        scope: str,
        workload_id: str,
        key: PublicKey | _HoldsPublicKey | None,
        agent_id: str | None = None,
        session_id: str | None = None,
        protocol: str = "smcp/v1",
        lifetime_seconds: int | None = None,
        not_before: int | None = None,
        execution_id: str | None = None,
        tenant_id: str | None = None,
        now: float | None = None,
    ) -> IssuedToken:
        """A token for an agent with this public key.

        A token without a key (None) is only good together with a session store that knows the agent's key. Agent and
        session id are drawn at random when they are not given.
        """
        token, claims = self._native.issue(
            self.issuer,
            self.audience,
            agent_id,
            scope,
            workload_id,
            None if key is None else public_key_bytes(key),
            session_id,
            protocol,
            self.lifetime_seconds if lifetime_seconds is None else lifetime_seconds,
            not_before,
            execution_id,
            tenant_id,
            self.compat_ctx_claim,
            now,
        )
        return IssuedToken(token, claims)

    def verify(self, token: str, *, now: float | None = None) -> Claims:
        """The claims of a valid token of this issuer."""
        audience = self.audience[0] if self.audience else None
        verifier = self._verifiers.get(audience)
        if verifier is None:
            verifier = _native.NativeTokenVerifier(self._keys, self.issuer, audience, 0, False)
            self._verifiers[audience] = verifier
        return verifier.verify(token, now)

    def jwks(self) -> str:
        """The public key as the text of a JWKS."""
        return self._keys.to_jwks()

    def __repr__(self) -> str:
        return f"<TokenIssuer {self.issuer!r} {self.key_id}>"


_PEM_LABEL = "PRIVATE KEY"


def _signer(key: bytes | str) -> _native.NativeTokenSigner:
    if isinstance(key, bytes | bytearray | memoryview) and len(key) == 32:
        return _native.NativeTokenSigner.from_seed(bytes(key))
    try:
        text = key if isinstance(key, str) else bytes(key).decode("ascii")
    except UnicodeDecodeError:
        raise config_invalid("the key is neither PEM text nor 32 bytes") from None
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) < 3 or lines[0] != f"-----BEGIN {_PEM_LABEL}-----" or lines[-1] != f"-----END {_PEM_LABEL}-----":
        raise config_invalid("the key is neither PEM text with one `PRIVATE KEY` nor 32 bytes")
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except (ValueError, binascii.Error):
        raise config_invalid("the key is no PEM text: its body is not base64") from None
    return _native.NativeTokenSigner.from_pkcs8(der)
