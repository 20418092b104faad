"""What our clients send verifies under the canonical rules of both published SDKs, but for three known cases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from published import python_verifies, typescript_verifies
from scripted import ScriptedGateway
from vectors import exact, genuine, seed

import smcp
from smcp.seal import SEALClient

TOKEN = "header.claims.signature-é"
ANSWERS = {
    path: (200, json.dumps({"status": "success", "payload": {"result": {}}, "security_token": TOKEN}).encode())
    for path in ("/v1/smcp/attest", "/v1/smcp/invoke", "/v1/seal/attest", "/v1/seal/invoke")
}

Sent = list[tuple[bytes, bytes]]


def blocking(client_class: type[Any]) -> Callable[[list[dict[str, Any]]], Sent]:
    """Bodies of a blocking client's calls, each with the key it was signed by."""

    def send(calls: list[dict[str, Any]]) -> Sent:
        with ScriptedGateway(ANSWERS) as gateway, client_class(gateway.url, "w", "s") as client:
            client.attest()
            key = client.key.get_public_key_bytes()
            for arguments in calls:
                client.call_tool("fs.read", arguments)
            return [(body, key) for path, body in gateway.requests if path.endswith("invoke")]

    return send


def with_coroutines(calls: list[dict[str, Any]]) -> Sent:
    """As `blocking`, with the async client."""

    async def run(url: str) -> bytes:
        async with smcp.AsyncSMCPClient(url, "w", "s") as client:
            await client.attest()
            for arguments in calls:
                await client.call_tool("fs.read", arguments)
            public_key: bytes = client.key.get_public_key_bytes()
            return public_key

    with ScriptedGateway(ANSWERS) as gateway:
        key = asyncio.run(run(gateway.url))
        return [(body, key) for path, body in gateway.requests if path.endswith("invoke")]


def leaves(value: Any) -> list[Any]:
    """Every value inside a value, and itself."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [value, *(leaf for child in children for leaf in leaves(child))]


def is_small_float(value: Any) -> bool:
    """1e-9 ≤ |x| < 1e-4: Python writes two digits of exponent or an exponent at all, JavaScript does not."""
    return isinstance(value, float) and 1e-9 <= abs(value) < 1e-4


def is_large_integer(value: Any) -> bool:
    """Beyond ±2^53: JavaScript reads another number."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53


def is_mixed(value: Any) -> bool:
    """Astral names beside U+E000 to U+FFFF: code points and UTF-16 units sort them differently."""
    names = list(value) if isinstance(value, dict) else []
    return sorted(names) != sorted(names, key=lambda name: name.encode("utf-16-be"))


def genuine_arguments() -> list[dict[str, Any]]:
    """The arguments of every genuine vector that is accepted and that Python can hold."""
    found = []
    for vector in genuine():
        arguments = (json.loads(exact(vector, "wire"))["payload"].get("params") or {}).get("arguments")
        has_infinity = any(value in (float("inf"), float("-inf")) for value in leaves(arguments))
        if vector["expect"] == "accept" and isinstance(arguments, dict) and not has_infinity:
            found.append(arguments)
    return found


def test_the_rules_are_those_of_the_published_verifiers() -> None:
    """They judge every genuine envelope as the published verifiers did."""
    from smcp import Ed25519Key

    pairs = []
    for vector in genuine():
        key = Ed25519Key(Ed25519PrivateKey.from_private_bytes(seed(vector["key"])))
        pairs.append((exact(vector, "wire"), key.get_public_key_bytes()))
    typescript = typescript_verifies(pairs)
    for vector, pair, verdict in zip(genuine(), pairs, typescript, strict=True):
        assert python_verifies(*pair) == vector["ref"]["py"]["ok"], vector["id"]
        assert verdict == vector["ref"]["ts"]["ok"], vector["id"]


@pytest.mark.parametrize(
    "send",
    [blocking(smcp.SMCPClient), with_coroutines, blocking(SEALClient)],
    ids=["SMCPClient", "AsyncSMCPClient", "SEALClient"],
)
def test_both_published_verifiers_take_our_envelopes(send: Callable[[list[dict[str, Any]]], Sent]) -> None:
    calls = genuine_arguments()
    assert len(calls) > 450
    bodies = send(calls)
    assert len(bodies) == len(calls)
    typescript = typescript_verifies(bodies)
    taken_by_both = 0
    for arguments, (body, key), by_typescript in zip(calls, bodies, typescript, strict=True):
        by_python = python_verifies(body, key)
        inside = leaves(arguments)
        if not any(map(is_small_float, inside)):
            assert by_python, arguments
        if not any(is_large_integer(value) or is_mixed(value) for value in inside):
            assert by_typescript, arguments
        taken_by_both += by_python and by_typescript
    print(f"{taken_by_both} of {len(calls)} calls verify under both rules")
    assert taken_by_both > 200


@pytest.mark.parametrize(
    ("arguments", "python", "typescript"),
    [
        ({"n": 0.00005}, False, True),
        ({"n": -1e-9}, False, True),
        ({"n": 9.999e-5}, False, True),
        ({"n": 2**53 + 1}, True, False),
        ({"n": -(10**30) - 1}, True, False),
        ({"\U0001f600": 1, "\ufb33": 2}, True, False),
        ({"deep": [{"\U0010ffff": 1, "\ue000": {"x": 1}}]}, True, False),
        # Beside the three cases, on their borders.
        ({"n": [1e-4, 9.99e-10, -1e-10, 2**53, -(2**53), 1e16, 1e21, 1.0, -0.0, 0]}, True, True),
        ({"\U0001f600": 1, "\ud7ff": 2, "z": 3}, True, True),
    ],
)
def test_the_three_cases_no_spelling_can_serve(arguments: dict[str, Any], python: bool, typescript: bool) -> None:
    [(body, key)] = blocking(smcp.SMCPClient)([arguments])
    assert python_verifies(body, key) is python
    assert typescript_verifies([(body, key)]) == [typescript]
    # Our own verifier takes all of it, and every value is what was given.
    assert smcp.server.verify_smcp_envelope(body, key)["params"]["arguments"] == arguments
