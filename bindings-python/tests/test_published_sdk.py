"""What callers of the published SDK rely on: names, messages, status codes."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

import smcp
from smcp import Ed25519Key as RootKey
from smcp import SMCPClient as RootClient
from smcp.client import SMCPClient, SMCPError
from smcp.crypto import Ed25519Key
from smcp.envelope import create_canonical_message, create_smcp_envelope, parse_iso8601_to_unix
from smcp.server import verify_smcp_envelope
from smcp.testing import MockGateway, ToolError


def test_names() -> None:
    assert smcp.__version__ == "0.1.0"
    assert RootClient is SMCPClient
    assert RootKey is Ed25519Key
    assert smcp.create_smcp_envelope is create_smcp_envelope
    assert smcp.create_canonical_message is create_canonical_message
    assert isinstance(SMCPError("text"), Exception)


def test_canonical_message() -> None:
    token = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ0ZXN0In0.c2lnbmF0dXJl"
    payload = {"method": "test", "jsonrpc": "2.0", "id": 1}
    message = create_canonical_message(security_token=token, payload=payload, timestamp_unix=1708261921)
    assert message == (
        b'{"payload":{"id":1,"jsonrpc":"2.0","method":"test"},"security_token":"' + token.encode() + b'",'
        b'"timestamp":1708261921}'
    )


def test_envelope_fields() -> None:
    payload = {"jsonrpc": "2.0", "id": 1, "method": "test"}
    envelope = create_smcp_envelope(security_token="a.b.c", mcp_payload=payload, private_key=Ed25519Key.generate())
    assert set(envelope) == {"protocol", "security_token", "signature", "payload", "timestamp"}
    assert envelope["protocol"] == "smcp/v1"
    assert envelope["security_token"] == "a.b.c"
    assert envelope["payload"] is payload
    stamped = datetime.fromisoformat(envelope["timestamp"])
    assert abs(stamped.timestamp() - time.time()) < 5
    assert len(envelope["timestamp"]) == len("2026-02-17T14:32:01.583Z")


def test_valid_envelope_gives_the_callers_payload() -> None:
    key = Ed25519Key.generate()
    envelope = create_smcp_envelope("token", {"id": 1}, key)
    assert verify_smcp_envelope(envelope, key.get_public_key_bytes()) is envelope["payload"]
    wire = json.dumps(envelope)
    assert verify_smcp_envelope(wire, key.get_public_key_bytes()) == {"id": 1}
    assert verify_smcp_envelope(wire.encode(), key.get_public_key_bytes()) == {"id": 1}
    over_the_wire = json.loads(wire)
    assert verify_smcp_envelope(over_the_wire, key.get_public_key_bytes(), 30) == {"id": 1}


def test_modified_payload() -> None:
    key = Ed25519Key.generate()
    envelope = create_smcp_envelope("token", {"id": 1}, key)
    envelope["payload"]["id"] = 2
    with pytest.raises(SMCPError) as caught:
        verify_smcp_envelope(envelope, key.get_public_key_bytes())
    assert caught.value.status_code == 1001
    assert "signature verification failed" in str(caught.value).lower()


def test_microsecond_timestamp_outside_the_window() -> None:
    key = Ed25519Key.generate()
    old = int(time.time()) - 40
    stamp = datetime.fromtimestamp(old, tz=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    envelope = create_smcp_envelope("token", {"id": 1}, key)
    envelope["timestamp"] = stamp
    envelope["signature"] = key.sign_base64(create_canonical_message("token", {"id": 1}, old))
    with pytest.raises(SMCPError) as caught:
        verify_smcp_envelope(envelope, key.get_public_key_bytes())
    assert caught.value.status_code == 1004
    assert "outside the allowed" in str(caught.value)
    assert verify_smcp_envelope(envelope, key.get_public_key_bytes(), max_age_seconds=60) == {"id": 1}


def test_wrong_key() -> None:
    envelope = create_smcp_envelope("token", {"id": 1}, Ed25519Key.generate())
    with pytest.raises(SMCPError) as caught:
        verify_smcp_envelope(envelope, Ed25519Key.generate().get_public_key_bytes())
    assert caught.value.status_code == 1001


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"protocol": None}, 1005),
        ({"protocol": "mcp/v1"}, 1005),
        ({"security_token": None}, 1000),
        ({"security_token": ""}, 1000),
        ({"signature": None}, 1000),
        ({"signature": "!"}, 1000),
        ({"payload": None}, 1000),
        ({"payload": {}}, 1000),
        ({"payload": [1]}, 1000),
        ({"timestamp": None}, 1000),
        ({"timestamp": "yesterday"}, 1000),
        ({"timestamp": 1}, 1000),
    ],
)
def test_missing_and_invalid_fields(change: dict[str, Any], code: int) -> None:
    key = Ed25519Key.generate()
    envelope = create_smcp_envelope("token", {"id": 1}, key)
    for name, value in change.items():
        envelope[name] = value
        if value is None:
            del envelope[name]
    with pytest.raises(SMCPError) as caught:
        verify_smcp_envelope(envelope, key.get_public_key_bytes())
    assert caught.value.status_code == code


@pytest.mark.parametrize("bad_key", [b"", b"short", bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_unusable_public_key(bad_key: bytes) -> None:
    envelope = create_smcp_envelope("token", {"id": 1}, Ed25519Key.generate())
    with pytest.raises(SMCPError) as caught:
        verify_smcp_envelope(envelope, bad_key)
    assert caught.value.status_code == 3000
    del envelope["payload"]
    with pytest.raises(SMCPError) as caught:
        verify_smcp_envelope(envelope, bad_key)
    assert caught.value.status_code == 1000


def test_keys_speak_with_pyca() -> None:
    key = Ed25519Key()
    public = Ed25519PublicKey.from_public_bytes(key.get_public_key_bytes())
    public.verify(key.sign(b"message"), b"message")
    assert base64.b64decode(key.sign_base64(b"message")) == key.sign(b"message")
    assert base64.b64decode(key.get_public_key_base64()) == key.get_public_key_bytes()
    private = Ed25519PrivateKey.generate()
    assert Ed25519Key(private).sign(b"m") == private.sign(b"m")
    assert Ed25519Key(private_key=private).get_public_key_bytes() == private.public_key().public_bytes_raw()


def test_timestamps() -> None:
    assert parse_iso8601_to_unix("2026-02-17T14:32:01Z") == 1771338721
    assert parse_iso8601_to_unix("2026-02-17T14:32:01.583Z") == 1771338721
    assert parse_iso8601_to_unix("2026-02-17T14:32:01.583999+00:00") == 1771338721
    for text in ("2026-02-17T14:32:01", "garbage", "", "2026-02-17"):
        with pytest.raises(ValueError, match="RFC 3339"):
            parse_iso8601_to_unix(text)


def test_client_attributes() -> None:
    client = SMCPClient("http://gateway.example:8080/", "workload", "scope")
    assert client.gateway_url == "http://gateway.example:8080"
    assert (client.workload_id, client.security_scope) == ("workload", "scope")
    assert client.key is None
    assert client.security_token is None
    with pytest.raises(SMCPError, match=r"No security token available\. Must attest\(\) first\."):
        SMCPClient("http://127.0.0.1:9", "w", "s").call_tool("t", {})


def test_client_round_trip() -> None:
    with MockGateway({"echo": lambda arguments: arguments}) as gateway:
        client = SMCPClient(gateway_url=gateway.url + "/", workload_id="w", security_scope="s")
        token = client.attest()
        assert isinstance(token, str)
        assert client.security_token == token
        assert isinstance(client.key, Ed25519Key)
        assert client.call_tool("echo", {"a": [1, 2.5, "é"]}) == {"a": [1, 2.5, "é"]}
        key = client.key
        del client
        with pytest.raises(SMCPError):
            key.sign(b"m")


def test_error_texts_and_classes() -> None:
    def broken(_: dict[str, Any]) -> Any:
        raise ToolError("SERVERTEXT", -32602)

    def refuses(arguments: dict[str, Any]) -> Any:
        return {"isError": True, "content": []}

    with MockGateway({"broken": broken, "fails": refuses}, scopes={"s"}) as gateway:
        with pytest.raises(SMCPError, match="^Attestation failed: ") as caught:
            SMCPClient(gateway.url, "w", "other").attest()
        assert caught.value.status_code == 3001
        client = SMCPClient(gateway.url, "w", "s")
        client.attest()
        with pytest.raises(SMCPError, match="^SMCP Gateway Rejected: ") as caught:
            client.call_tool("unknown", {})
        assert caught.value.status_code == 2000
        with pytest.raises(SMCPError, match="^MCP Tool Error: SERVERTEXT"):
            client.call_tool("broken", {})
        assert client.call_tool("fails", {}) == {"isError": True, "content": []}


def test_existing_except_clauses() -> None:
    with MockGateway(workload_credential="right") as gateway, pytest.raises(requests.HTTPError) as caught:
        SMCPClient(gateway.url, "w", "s").attest()
    assert caught.value.response is not None
    assert caught.value.response.status_code == 401
    assert caught.value.response.json()["error_code"] == "WORKLOAD_VERIFICATION_FAILED"
    with pytest.raises(requests.ConnectionError):
        SMCPClient(gateway.url, "w", "s", max_retries=0).attest()
    with pytest.raises(requests.RequestException):
        SMCPClient(gateway.url, "w", "s", max_retries=0).attest()
