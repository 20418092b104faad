"""`TokenIssuer` and `TokenVerifier` as a service uses them."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smcp import Ed25519Key, SMCPError
from smcp.token import TokenIssuer, TokenVerifier

Refusal = Callable[[Callable[[], object]], str | None]


def part(token: str, index: int) -> dict[str, Any]:
    text = token.split(".")[index]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return decoded


def encode(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_tokens_carry_the_claims_of_section_3() -> None:
    issuer = TokenIssuer(bytes(range(32)), issuer="gateway", audience="https://gateway.example", compat_ctx_claim=True)
    key = Ed25519Key()
    issued = issuer.issue(
        scope="docs", workload_id="w", key=key, execution_id="e", tenant_id="t", not_before=1000, now=1000.9
    )
    assert part(issued.token, 0) == {"alg": "EdDSA", "typ": "JWT", "kid": issuer.key_id}
    claims = part(issued.token, 1)
    x = base64.urlsafe_b64encode(key.get_public_key_bytes()).decode().rstrip("=")
    assert claims == {
        "sub": issued.claims.agent_id,
        "scp": "docs",
        "ctx": "docs",
        "wid": "w",
        "iat": 1000,
        "exp": 4600,
        "nbf": 1000,
        "jti": issued.claims.session_id,
        "iss": "gateway",
        "aud": "https://gateway.example",
        "cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}},
        "protocol": "smcp/v1",
        "exec_id": "e",
        "tenant_id": "t",
    }
    assert issued.claims.agent_id.startswith("agent-")
    assert len(base64.urlsafe_b64decode(issued.claims.agent_id.removeprefix("agent-") + "==")) == 16
    verified = issuer.verify(issued.token, now=1000)
    assert verified == issued.claims
    assert (verified.key, verified.audience, verified.protocol) == (
        key.get_public_key_bytes(),
        ["https://gateway.example"],
        "smcp/v1",
    )
    assert issued.token not in repr(issued)


def test_ids_are_fresh() -> None:
    issuer = TokenIssuer.generate()
    claims = [issuer.issue(scope="s", workload_id="w", key=None).claims for _ in range(50)]
    assert len({claim.agent_id for claim in claims}) == len({claim.session_id for claim in claims}) == 50
    assert all(claim.key is None for claim in claims)


def test_times(refusal: Refusal) -> None:
    issuer = TokenIssuer.generate(lifetime_seconds=60)
    token = issuer.issue(scope="s", workload_id="w", key=None, now=1000).token
    issuer.verify(token, now=1059.999)
    assert refusal(lambda: issuer.verify(token, now=1060)) == "TOKEN_EXPIRED"
    assert refusal(lambda: issuer.verify(token, now=939)) == "TOKEN_VERIFICATION_FAILED"
    lenient = TokenVerifier(issuer.public_key, leeway_seconds=10)
    lenient.verify(token, now=1069)
    assert refusal(lambda: lenient.verify(token, now=1070)) == "TOKEN_EXPIRED"
    assert refusal(lambda: TokenVerifier(issuer.public_key, leeway_seconds=61)) == "CONFIG_INVALID"
    recent = issuer.issue(scope="s", workload_id="w", key=None)
    assert abs(recent.claims.issued_at - time.time()) < 5
    issuer.verify(recent.token)


def test_private_keys() -> None:
    seed = bytes(range(1, 33))
    private = Ed25519PrivateKey.from_private_bytes(seed)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key().public_bytes_raw()
    for key in (seed, pem, pem.decode(), pem.replace(b"\n", b"\r\n")):
        assert TokenIssuer(key).public_key == public


@pytest.mark.parametrize(
    "key",
    [
        b"",
        bytes(31),
        "no pem",
        "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        b"\xff" * 100,
    ],
)
def test_what_is_no_private_key(key: bytes | str, refusal: Refusal) -> None:
    assert refusal(lambda: TokenIssuer(key)) == "CONFIG_INVALID"


def test_what_no_verifier_would_take_is_not_issued(refusal: Refusal) -> None:
    issuer = TokenIssuer.generate()
    for change in (
        {"lifetime_seconds": 0},
        {"lifetime_seconds": 86_401},
        {"scope": ""},
        {"workload_id": " "},
        {"agent_id": ""},
        {"key": bytes(32)},
    ):
        settings: dict[str, Any] = {"scope": "s", "workload_id": "w", "key": None, **change}
        assert refusal(lambda: issuer.issue(**settings)) == "INVALID_ARGUMENT"  # noqa: B023


def test_forged_tokens(refusal: Refusal) -> None:
    issuer, other = TokenIssuer.generate(), TokenIssuer.generate()
    token = issuer.issue(scope="s", workload_id="w", key=None, now=1000).token
    header, claims, signature = token.split(".")
    admin = encode({**part(token, 1), "scp": "admin"})
    hostile = [
        "",
        ".",
        "..",
        "a.b.c",
        token + ".",
        f"{header}.{admin}.{signature}",
        f"{encode({'alg': 'none'})}.{claims}.",
        f"{encode({'alg': 'HS256', 'kid': issuer.key_id})}.{claims}.{signature}",
        f"{header}.{claims}.{signature[:-4]}",
        f"{header}.{claims}.{signature}=",
        other.issue(scope="s", workload_id="w", key=None, now=1000).token,
        "a" * 100_000,
        "\ud800".encode("utf-8", "replace").decode(),
    ]
    for forged in hostile:
        assert refusal(lambda: issuer.verify(forged, now=1000)) == "TOKEN_VERIFICATION_FAILED"  # noqa: B023
    issuer.verify(token, now=1000)


def test_removing_a_key_ends_its_tokens_at_once(refusal: Refusal) -> None:
    old, new = TokenIssuer.generate(), TokenIssuer.generate()
    verifier = TokenVerifier(jwks=[old.jwks(), new.jwks()])
    tokens = [issuer.issue(scope="s", workload_id="w", key=None, now=1000).token for issuer in (old, new)]
    for token in tokens:
        verifier.verify(token, now=1000)
    assert len(json.loads(verifier.jwks())["keys"]) == 2
    verifier.replace_keys(jwks=new.jwks())
    assert refusal(lambda: verifier.verify(tokens[0], now=1000)) == "TOKEN_VERIFICATION_FAILED"
    verifier.verify(tokens[1], now=1000)
    assert refusal(verifier.replace_keys) == "CONFIG_INVALID"


def test_jwks_holds_the_public_key_only() -> None:
    issuer = TokenIssuer(bytes(range(32)))
    (key,) = json.loads(issuer.jwks())["keys"]
    assert (key["kid"], key["kty"], key["crv"], key["alg"], key["use"]) == (
        issuer.key_id,
        "OKP",
        "Ed25519",
        "EdDSA",
        "sig",
    )
    assert base64.urlsafe_b64decode(key["x"] + "=") == issuer.public_key
    assert "d" not in key
    assert bytes(range(32)).hex() not in repr(issuer)


def test_errors_have_the_numbers_of_their_kind() -> None:
    issuer = TokenIssuer.generate()
    token = issuer.issue(scope="s", workload_id="w", key=None, now=1000).token
    with pytest.raises(SMCPError) as expired:
        issuer.verify(token, now=10_000)
    assert (expired.value.number, expired.value.status_code, expired.value.http_status) == (1002, 1002, 401)
    with pytest.raises(SMCPError) as wrong:
        TokenVerifier(issuer.public_key, audience="other").verify(token, now=1000)
    assert (wrong.value.number, wrong.value.http_status) == (1003, 401)
