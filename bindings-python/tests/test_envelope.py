"""What is signed and what is refused before signing; the dict form of verifying."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

import pytest

from smcp.crypto import Ed25519Key
from smcp.envelope import create_canonical_message, create_smcp_envelope
from smcp.errors import SMCPError
from smcp.server import verify_smcp_envelope

CYCLE: dict[str, Any] = {}
CYCLE["self"] = CYCLE


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


class Recorder:
    """Signs, and remembers whether it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def sign_base64(self, message: bytes) -> str:
        self.asked.append(message)
        return "c2lnbmF0dXJl"


BROKEN = [
    {"a": float("nan")},
    {"a": [float("inf")]},
    {"a": {"b": float("-inf")}},
    {1: "a"},
    {"a": {1: "a", 2: "b"}},
    {"a": [{None: "a"}]},
    {"a": ({True: "a"},)},
    {"a": "\ud800"},
    {"\udfff": 1},
    {"a": b"bytes"},
    {"a": {1, 2}},
    {"a": object()},
    {"a": deep(2000)},
    CYCLE,
]


@pytest.mark.parametrize("payload", BROKEN, ids=range(len(BROKEN)))
def test_what_is_not_json_is_never_signed(payload: Any) -> None:
    signer = Recorder()
    with pytest.raises(SMCPError) as caught:
        create_smcp_envelope("token", payload, signer)
    assert caught.value.status_code == 1000
    assert caught.value.details == {"executed": False}
    assert signer.asked == []
    with pytest.raises(SMCPError) as caught:
        create_canonical_message("token", payload, 1)
    assert caught.value.status_code == 1000


@pytest.mark.parametrize("token", ["", None, 5, b"token"])
def test_tokens_are_non_empty_text(token: Any) -> None:
    signer = Recorder()
    with pytest.raises(SMCPError) as caught:
        create_smcp_envelope(token, {"id": 1}, signer)
    assert caught.value.status_code == 1000
    assert signer.asked == []


@pytest.mark.parametrize("payload", [{}, [], None, [1], "text"])
def test_payloads_are_objects_with_members(payload: Any) -> None:
    with pytest.raises(SMCPError) as caught:
        create_smcp_envelope("token", payload, Recorder())
    assert caught.value.status_code == 1000


def test_any_object_signs() -> None:
    signer = Recorder()
    envelope = create_smcp_envelope("not a jws", {"b": 1, "a": 2}, signer)
    assert envelope["signature"] == "c2lnbmF0dXJl"
    assert signer.asked[0].startswith(b'{"payload":{"a":2,"b":1},"security_token":"not a jws","timestamp":')


class Number(IntEnum):
    ONE = 1


def test_canonical_bytes_are_those_of_json_dumps() -> None:
    payload = {
        "z": [1.0, 1e16, 1e-07, -0.0, 0.1, 2**70, True, None, (1, [2])],
        "é": 'é\u2028\u007f\u0000"\\/\b\f\n\r\t',
        "\U0001f600": {"b": 1, "a": Number.ONE},
        "\ufb33": {},
    }
    message = {"security_token": "tökén", "payload": payload, "timestamp": 5}
    expected = json.dumps(message, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert create_canonical_message("tökén", payload, 5) == expected


NUMBERS = [0.1, 1.0, -0.0, 1e16, 1e-7, 1e21, 123456789.125, 5e-324, 2**53 + 1, -(2**64), 1e-5]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_dict_form_reads_pythons_numbers(number: float) -> None:
    key = Ed25519Key.generate()
    envelope = create_smcp_envelope("token", {"n": [number, {"x": number}]}, key)
    again = json.loads(json.dumps(envelope))
    assert verify_smcp_envelope(again, key.get_public_key_bytes()) is again["payload"]


ECMASCRIPT = {1.0: "1", -0.0: "0", 1e16: "10000000000000000", 1e-07: "1e-7", 1e-05: "0.00001", 1.5e300: "1.5e+300"}


@pytest.mark.parametrize(("number", "spelling"), ECMASCRIPT.items())
def test_the_dict_form_reads_ecmascripts_numbers(number: float, spelling: str) -> None:
    key = Ed25519Key.generate()
    envelope = create_smcp_envelope("token", {"id": 1}, key)
    seconds = json.loads(create_canonical_message("token", {}, 0))["timestamp"]
    assert seconds == 0
    from smcp.envelope import parse_iso8601_to_unix

    stamp = parse_iso8601_to_unix(envelope["timestamp"])
    canonical = f'{{"payload":{{"n":{spelling}}},"security_token":"token","timestamp":{stamp}}}'
    envelope["payload"] = {"n": number}
    envelope["signature"] = key.sign_base64(canonical.encode())
    assert verify_smcp_envelope(envelope, key.get_public_key_bytes()) == {"n": number}
    wire = json.dumps(envelope)
    if json.dumps(number) != spelling:
        with pytest.raises(SMCPError) as caught:
            verify_smcp_envelope(wire, key.get_public_key_bytes())
        assert caught.value.status_code == 1001
    envelope["payload"] = {"n": number + 1}
    if number + 1 != number:
        with pytest.raises(SMCPError) as caught:
            verify_smcp_envelope(envelope, key.get_public_key_bytes())
        assert caught.value.status_code == 1001


def test_the_bytes_form_is_exact() -> None:
    key = Ed25519Key.generate()
    envelope = create_smcp_envelope("token", {"n": 1.0}, key)
    wire = json.dumps(envelope)
    public = key.get_public_key_bytes()
    assert verify_smcp_envelope(bytearray(wire.encode()), bytearray(public)) == {"n": 1.0}
    assert verify_smcp_envelope(memoryview(wire.encode()), memoryview(public)) == {"n": 1.0}
    for broken in (wire.replace('{"n": 1.0}', '{"n": 1}'), wire.replace('{"n": 1.0}', '{"n": 1.00}')):
        with pytest.raises(SMCPError) as caught:
            verify_smcp_envelope(broken, public)
        assert caught.value.status_code == 1001
    doubled = wire.replace('{"n": 1.0}', '{"n": 1.0, "n": 1.0}')
    for broken in (doubled, wire + "x", "\ufeff" + wire, "\ud800", "[]", ""):
        with pytest.raises(SMCPError) as caught:
            verify_smcp_envelope(broken, public)
        assert caught.value.status_code == 1000


@pytest.mark.parametrize("wrong", [None, 5, [1], object()])
def test_what_is_no_envelope(wrong: Any) -> None:
    with pytest.raises(SMCPError) as caught:
        verify_smcp_envelope(wrong, Ed25519Key.generate().get_public_key_bytes())
    assert caught.value.status_code == 1000


def test_unknown_members_are_ignored_also_when_they_are_not_json() -> None:
    key = Ed25519Key.generate()
    envelope = create_smcp_envelope("token", {"id": 1}, key)
    envelope["extra"] = object()
    assert verify_smcp_envelope(envelope, key.get_public_key_bytes()) == {"id": 1}


def test_now_takes_the_place_of_the_clock() -> None:
    key = Ed25519Key.generate()
    envelope = create_smcp_envelope("token", {"id": 1}, key)
    envelope["timestamp"] = "2026-02-17T14:32:01.900Z"
    envelope["signature"] = key.sign_base64(create_canonical_message("token", {"id": 1}, 1771338721))
    public = key.get_public_key_bytes()
    for now in (1771338691, 1771338691.0, 1771338751, 1771338751.999):
        assert verify_smcp_envelope(envelope, public, now=now) == {"id": 1}
    for now in (1771338690.999, 1771338752):
        with pytest.raises(SMCPError) as caught:
            verify_smcp_envelope(envelope, public, now=now)
        assert caught.value.status_code == 1004
        assert caught.value.details["server_time"].startswith("2026-02-17T14:3")


def test_integers_beyond_what_this_interpreter_reads_are_refused() -> None:
    key = Ed25519Key.generate()
    digits = "9" * 5000
    stamp = create_smcp_envelope("token", {"id": 1}, key)["timestamp"]
    from smcp.envelope import parse_iso8601_to_unix

    seconds = parse_iso8601_to_unix(stamp)
    canonical = f'{{"payload":{{"n":{digits}}},"security_token":"token","timestamp":{seconds}}}'
    signature = key.sign_base64(canonical.encode())
    wire = (
        f'{{"protocol":"smcp/v1","security_token":"token","signature":"{signature}",'
        f'"payload":{{"n":{digits}}},"timestamp":"{stamp}"}}'
    )
    with pytest.raises(SMCPError, match="cannot be read") as caught:
        verify_smcp_envelope(wire, key.get_public_key_bytes())
    assert caught.value.status_code == 1000
