"""`smcp-keys`, `smcp-envelopes-*`, `smcp-divergence`, `smcp-native-values`, `smcp-rfc-examples`, `smcp-envelope-checks`
and `smcp-ed25519-edge`, through the Python API.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from vectors import Document, Mismatch, Vector, compare, field, read, run, same

from smcp.crypto import Ed25519Key
from smcp.envelope import create_canonical_message, create_smcp_envelope, parse_iso8601_to_unix
from smcp.errors import SMCPError
from smcp.server import verify_smcp_envelope


def agent_key(name: str) -> Ed25519Key:
    seeds = {key["id"]: key["seed_hex"] for key in read("smcp-keys.json")["vectors"]}
    return Ed25519Key(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seeds[name])))


def clock(vector: Vector) -> float:
    milliseconds: int = vector["verify_at_ms"]
    return milliseconds / 1000


def check_key(_: Document, vector: Vector) -> None:
    key = Ed25519Key(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["seed_hex"])))
    same("public key", key.get_public_key_bytes(), bytes.fromhex(vector["public_hex"]))
    same("base64", key.get_public_key_base64().encode(), vector["public_b64"].encode())


def check_genuine(_: Document, vector: Vector) -> None:
    """A genuine envelope verifies in both forms; what Python signed, our functions sign byte for byte."""
    key = agent_key(vector["key"])
    public = key.get_public_key_bytes()
    wire = field(vector, "wire")
    result = run(lambda: verify_smcp_envelope(wire, public, now=clock(vector)))
    if not compare(vector, result):
        return
    canonical = field(vector, "canonical")
    same("digest", hashlib.sha256(canonical).hexdigest().encode(), vector["canonical_sha256"].encode())
    same("signature", key.sign(canonical), base64.b64decode(vector["signature"]))
    unix = parse_iso8601_to_unix(vector["timestamp"])
    if unix != vector["timestamp_unix"]:
        raise Mismatch(f"{vector['timestamp']} is {vector['timestamp_unix']}, not {unix}")
    envelope = json.loads(wire)
    if result != envelope["payload"]:
        raise Mismatch("the payload is another one than was sent")
    if verify_smcp_envelope(envelope, public, now=clock(vector)) is not envelope["payload"]:
        raise Mismatch("the dict form returns another object")
    if vector["signer"] == "py":
        ours = create_canonical_message(vector["security_token"], envelope["payload"], vector["timestamp_unix"])
        same("canonical message", ours, canonical)
        check_created(vector["security_token"], envelope["payload"], key)
    refused_under_other_protocol(wire, public, vector)


def check_created(token: str, payload: dict[str, Any], key: Ed25519Key) -> None:
    """What we sign of the same payload verifies from the object and from the wire."""
    envelope = create_smcp_envelope(token, payload, key)
    public = key.get_public_key_bytes()
    if verify_smcp_envelope(envelope, public) is not payload:
        raise Mismatch("our own envelope returns another payload")
    for ascii_only in (True, False):
        if verify_smcp_envelope(json.dumps(envelope, ensure_ascii=ascii_only), public) != payload:
            raise Mismatch("our own envelope came out differently over the wire")


def refused_under_other_protocol(wire: bytes, public: bytes, vector: Vector) -> None:
    other = wire.replace(b'"smcp/v1"', b'"seal/v1"', 1)
    if other == wire:
        raise Mismatch("the wire text has no protocol to exchange")
    result = run(lambda: verify_smcp_envelope(other, public, now=clock(vector)))
    if not isinstance(result, SMCPError) or result.status_code != 1005:
        raise Mismatch(f"with the other protocol: {result}")


def check_divergence(_: Document, vector: Vector) -> None:
    """Of the payload in Python's hands, our canonical message is the one the Python client signed."""
    payload = json.loads(vector["payload_source"])
    if vector.get("cannot_sign_or_send"):
        result = run(lambda: create_canonical_message("token", payload, 1))
        if "py" in vector["cannot_sign_or_send"] and not isinstance(result, SMCPError):
            raise Mismatch("signed what cannot be sent")
        return
    canonical = field(vector, "canonical_py")
    signed = json.loads(canonical)
    ours = create_canonical_message(signed["security_token"], payload, signed["timestamp"])
    same("canonical message", ours, canonical)
    key = Ed25519Key.generate()
    for name in ("canonical_py", "canonical_ts"):
        check_dict_of_signed(field(vector, name), key)


def check_dict_of_signed(canonical: bytes, key: Ed25519Key) -> None:
    """The dict form verifies what either client signed, after Python's parser took the spelling away."""
    signed = json.loads(canonical)
    envelope = {
        "protocol": "smcp/v1",
        "security_token": signed["security_token"],
        "signature": key.sign_base64(canonical),
        "payload": signed["payload"],
        "timestamp": "2026-02-17T14:32:01.583Z",
    }
    now = float(signed["timestamp"])
    envelope["timestamp"] = timestamp_text(signed["timestamp"])
    if verify_smcp_envelope(envelope, key.get_public_key_bytes(), now=now) is not signed["payload"]:
        raise Mismatch("the dict form returns another object")


def timestamp_text(seconds: int) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def request(arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "m", "params": arguments}


# The host values the Python vectors were made of, and whether our client signs them: names that are no strings are
# refused even where the published client's envelope happened to verify.
NATIVE: dict[str, tuple[Any, bool]] = {
    "py-tuple": (
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "n", "arguments": {"t": (1, 2, (3,))}}},
        True,
    ),
    "py-int-keys-same-order": (request({1: "a", 2: "b"}), False),
    "py-int-keys-order": (request({10: "a", 9: "b"}), False),
    "py-mixed-keys": (request({1: "a", "b": 2}), False),
    "py-none-key": (request({None: "a"}), False),
    "py-bool-keys": (request({True: "a", False: "b"}), False),
    "py-nan": (request({"a": math.nan}), False),
    "py-inf": (request({"a": math.inf}), False),
    "py-lone-surrogate": (request({"a": "\ud800"}), False),
    "py-bytes": (request({"a": b"bytes"}), False),
}


def check_native(_: Document, vector: Vector) -> None:
    """Host values outside JSON: as they arrived on the wire, and as our own functions take them."""
    if vector["expect"] == "not-sent":
        if vector["sent"]:
            raise Mismatch("a vector that was sent")
    else:
        key = agent_key(vector["key"])
        wire = field(vector, "wire")
        compare(vector, run(lambda: verify_smcp_envelope(wire, key.get_public_key_bytes(), now=clock(vector))))
    if vector["signer"] != "py":
        return
    payload, signs = NATIVE[vector["id"]]
    if not signs:
        result = run(lambda: create_smcp_envelope("token", payload, Ed25519Key.generate()))
        if not isinstance(result, SMCPError) or result.status_code != 1000:
            raise Mismatch(f"signed, or refused for another reason: {result}")
        return
    ours = create_canonical_message(vector["security_token"], payload, vector["timestamp_unix"])
    same("canonical message", ours, field(vector, "canonical"))


def check_example(_: Document, vector: Vector) -> None:
    key = agent_key(vector["key"])
    payload = json.loads(vector["payload_source"])
    message = create_canonical_message(vector["security_token"], payload, vector["timestamp_unix"])
    same("canonical message", message, field(vector, "canonical"))
    same("digest", hashlib.sha256(message).hexdigest().encode(), vector["canonical_sha256"].encode())
    same("signature", key.sign(message), base64.b64decode(vector["signature"]))


def check_envelope(_: Document, vector: Vector) -> None:
    """One envelope against one key."""
    wire = field(vector, "wire")
    public = base64.b64decode(vector["public_key_b64"])
    result = run(lambda: verify_smcp_envelope(wire, public, now=clock(vector)))
    if isinstance(result, SMCPError) and result.status_code == 3000:
        # A key no honest agent has: the verify function blames the key; attestation would not have taken it.
        result = SMCPError(str(result), 1001)
    if compare(vector, result) and vector["expect"] == "accept":
        refused_under_other_protocol(wire, public, vector)
        payload = json.loads(wire)["payload"]
        if result != payload:
            raise Mismatch("the payload is another one than was sent")
