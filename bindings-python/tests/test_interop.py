"""What our client sends verifies under the canonical rules of both published SDKs, but for three known cases."""

from __future__ import annotations

import base64
import json
import socket
import threading
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from smcp import SMCPClient
from smcp.crypto import Ed25519Key
from smcp.envelope import parse_iso8601_to_unix
from smcp.server import verify_smcp_envelope


def sent_body(arguments: dict[str, Any]) -> tuple[bytes, Ed25519Key]:
    """The bytes our client puts on the wire for a call."""
    listener = socket.create_server(("127.0.0.1", 0))
    bodies: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(65536)
            head, _, body = received.partition(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"content-length" in line.lower())
            while len(body) < length:
                body += connection.recv(65536)
            bodies.append(body)
            answer = b'{"payload":{"result":{}}}'
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    thread = threading.Thread(target=serve)
    thread.start()
    client = SMCPClient(f"http://127.0.0.1:{listener.getsockname()[1]}", "w", "s")
    key = Ed25519Key.generate()
    client.key, client.security_token = key, "tökén"
    client.call_tool("t", arguments)
    thread.join()
    listener.close()
    return bodies[0], key


def ecmascript(number: float) -> str:
    """A double as JavaScript writes it."""
    if number == int(number) and abs(number) < 1e21:
        return str(int(number))
    mantissa, _, exponent = f"{number!r}".partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}" if point < len(digits) else sign + digits.ljust(point, "0")
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def typescript_text(value: Any) -> str:
    """A value as the published TypeScript SDK signs it: numbers are doubles, names sorted by UTF-16 unit."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{typescript_text(name)}:{typescript_text(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(typescript_text, value)) + "]"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ecmascript(float(value))
    return json.dumps(value, ensure_ascii=False)


def verifies(body: bytes, key: Ed25519Key, rule: str) -> bool:
    """Whether the published verifier of that language would take the body."""
    envelope = json.loads(body)
    message = {
        "payload": envelope["payload"],
        "security_token": envelope["security_token"],
        "timestamp": parse_iso8601_to_unix(envelope["timestamp"]),
    }
    if rule == "python":
        canonical = json.dumps(message, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    else:
        canonical = typescript_text(message)
    public = Ed25519PublicKey.from_public_bytes(key.get_public_key_bytes())
    try:
        public.verify(base64.b64decode(envelope["signature"]), canonical.encode())
    except InvalidSignature:
        return False
    return True


def test_the_model_of_ecmascript() -> None:
    for number, text in [
        (1.0, "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.25e-9, "1.25e-9"),
        (1e21, "1e+21"),
        (123.456, "123.456"),
        (1.5e300, "1.5e+300"),
        (5e-324, "5e-324"),
        (-2.5, "-2.5"),
    ]:
        assert ecmascript(number) == text


BOTH = [
    {},
    {"path": "/srv/data", "recursive": True, "none": None},
    {"n": [0, -1, 1.0, -0.0, 0.1, 1e16, 2**53, -(2**53), 1e-4, 0.25, 1e21, 1.5e300, 1e-10, 5e-324, 123456.789]},
    {"é": '\u2028\u007f\u0000"\\/\n', "b": {"z": 1, "a": [{}, []]}, "\U0001f600": "\U0001f600", "A": 1},
    {"t": (1, 2, (3,))},
]


@pytest.mark.parametrize("arguments", BOTH)
def test_both_published_verifiers_take_our_envelopes(arguments: dict[str, Any]) -> None:
    body, key = sent_body(arguments)
    assert verifies(body, key, "python")
    assert verifies(body, key, "typescript")
    assert verify_smcp_envelope(body, key.get_public_key_bytes())["params"]["name"] == "t"


@pytest.mark.parametrize(
    ("arguments", "python", "typescript"),
    [
        ({"n": 0.00005}, False, True),
        ({"n": 2.5e-9}, False, True),
        ({"n": 2**53 + 1}, True, False),
        ({"n": -(2**70) - 1}, True, False),
        ({"\U0001f600": 1, "\ufb33": 2}, True, False),
    ],
)
def test_the_three_cases_no_spelling_can_serve(arguments: dict[str, Any], python: bool, typescript: bool) -> None:
    body, key = sent_body(arguments)
    assert verifies(body, key, "python") is python
    assert verifies(body, key, "typescript") is typescript
    assert verify_smcp_envelope(body, key.get_public_key_bytes())["params"]["arguments"] == arguments


def test_the_wire_is_canonical_already() -> None:
    body, _ = sent_body({"b": 1.0, "a": "é"})
    assert b'"params":{"arguments":{"a":"\xc3\xa9","b":1},"name":"t"}}' in body
    assert body.startswith(b'{"payload":{"id":"req-')
