"""`jwt`: security tokens against key tables, through `smcp.token`."""

from __future__ import annotations

import base64
import json
from functools import partial

from vectors import Document, Mismatch, Vector, run

from smcp.errors import SMCPError
from smcp.token import Claims, TokenVerifier


def check_token(document: Document, vector: Vector) -> None:
    """The token by a JWKS and by raw keys, twice each, so that the cache is seen to answer as the first time."""
    table = {key["id"]: key["jwk"] for key in document["keys"]}
    jwks = [
        {**table[known["key"]], **({} if known["kid"] is None else {"kid": known["kid"]})} for known in vector["keys"]
    ]
    raw = {known["kid"]: raw_key(table[known["key"]]["x"]) for known in vector["keys"]}
    options = vector.get("options") or {}
    verifiers = [by_jwks(jwks, options)]
    if None not in raw:
        verifiers.append(TokenVerifier(raw, audience=options.get("audience"), issuer=options.get("issuer")))
    elif len(raw) == 1:
        verifiers.append(TokenVerifier(raw[None], audience=options.get("audience"), issuer=options.get("issuer")))
    for verifier in verifiers:
        for _ in range(2):
            judge(vector, run(partial(verifier.verify, vector["token"], now=vector["now"])))


def by_jwks(keys: list[dict[str, str]], options: dict[str, str]) -> TokenVerifier:
    public = [{name: value for name, value in key.items() if name != "d"} for key in keys]
    text = json.dumps({"keys": public})
    return TokenVerifier(jwks=text, audience=options.get("audience"), issuer=options.get("issuer"))


def raw_key(x: str) -> bytes:
    return base64.urlsafe_b64decode(x + "=")


def judge(vector: Vector, result: Claims | SMCPError) -> None:
    expect = vector["expect"]
    if expect == "either":
        return
    if expect == "accept":
        if isinstance(result, SMCPError):
            raise Mismatch(f"refused: {result}")
    elif expect == "reject":
        if not isinstance(result, SMCPError):
            raise Mismatch("accepted")
        if result.code not in vector["error"]:
            raise Mismatch(f"refused with {result.code}, not one of {vector['error']}: {result}")
    else:
        raise Mismatch(f"unknown expectation {expect!r}")
