"""The `seal/v1` names and numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from smcp.errors import SMCPError, SMCPHTTPError
from smcp.seal import (
    AttestationResult,
    Ed25519Key,
    SEALClient,
    SEALError,
    create_seal_envelope,
    verify_seal_envelope,
)
from smcp.server import verify_smcp_envelope
from smcp.testing import MockGateway


def test_client() -> None:
    with MockGateway({"echo": lambda arguments: arguments}) as gateway, SEALClient(gateway.url, "w", "s") as client:
        result = client.attest()
        assert isinstance(result, AttestationResult)
        assert (result.security_token, result.expires_at) == (client.security_token, client.expires_at)
        assert result.session_id == client.session_id
        assert str(result.expires_at).endswith("Z")
        assert result.security_token not in repr(result)
        assert gateway.attestations[0]["security_context"] == "s"
        assert client.call_tool("echo", {"a": 1}) == {"a": 1}
        with pytest.raises(SEALError, match="^SEAL Gateway Rejected: ") as caught:
            client.call_tool("other", {})
        assert (caught.value.status_code, caught.value.code) == (2006, "POLICY_VIOLATION_TOOL_NOT_ALLOWED")
        assert isinstance(caught.value, SMCPHTTPError)
        assert isinstance(caught.value, requests.HTTPError)
        gateway.forget_sessions()
        assert client.call_tool("echo", {"a": 2}) == {"a": 2}
        with pytest.raises(SEALError) as refused:
            client.call_tool("echo", {"a": float("nan")})
        assert refused.value.status_code == 1000
    with pytest.raises(SEALError, match="Must attest"):
        SEALClient("http://127.0.0.1:9", "w", "s").call_tool("t", {})


def test_envelopes() -> None:
    key = Ed25519Key.generate()
    public = key.get_public_key_bytes()
    envelope = create_seal_envelope("token", {"id": 1}, key)
    assert envelope["protocol"] == "seal/v1"
    assert verify_seal_envelope(envelope, public) is envelope["payload"]
    assert verify_seal_envelope(json.dumps(envelope), public) == {"id": 1}
    changes: list[tuple[dict[str, Any], int]] = [
        ({"timestamp": "2020-01-01T00:00:00Z"}, 1003),
        ({"protocol": "smcp/v1"}, 1000),
        ({"payload": {"id": 2}}, 1001),
    ]
    for change, code in changes:
        with pytest.raises(SEALError) as caught:
            verify_seal_envelope({**envelope, **change}, public)
        assert caught.value.status_code == code
    with pytest.raises(SMCPError) as other:
        verify_smcp_envelope(envelope, public)
    assert other.value.status_code == 1005
    assert not isinstance(other.value, SEALError)
    with pytest.raises(SEALError) as bad_key:
        verify_seal_envelope(envelope, b"short")
    assert bad_key.value.status_code == 3000
