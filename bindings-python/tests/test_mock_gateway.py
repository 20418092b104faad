"""The mock gateway refuses what a gateway refuses."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from smcp import SMCPClient, create_smcp_envelope
from smcp.crypto import Ed25519Key
from smcp.testing import MockGateway, Refusal

pytest_plugins = ["pytester"]


def post(url: str, body: Any) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_fixture(smcp_gateway: MockGateway) -> None:
    @smcp_gateway.tool("greet")
    def greet(arguments: dict[str, Any]) -> str:
        return f"hello {arguments['name']}"

    client = SMCPClient(smcp_gateway.url, "w", "s")
    client.attest()
    assert client.call_tool("greet", {"name": "you"}) == {"content": [{"type": "text", "text": "hello you"}]}
    assert [(call.tool, call.arguments) for call in smcp_gateway.calls] == [("greet", {"name": "you"})]
    assert smcp_gateway.calls[0].session_id == client.session_id


def test_bad_envelopes_get_their_kind(smcp_gateway: MockGateway) -> None:
    client = SMCPClient(smcp_gateway.url, "w", "s")
    token = client.attest()
    url = smcp_gateway.url + "/v1/smcp/invoke"
    payload = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    good = create_smcp_envelope(token, payload, client.key)
    assert post(url, good)[0] == 200
    for body, code in [
        (good, "REPLAY_DETECTED"),
        ({**good, "payload": {**payload, "id": 2}}, "INVALID_SIGNATURE"),
        (create_smcp_envelope(token, {"id": 3}, Ed25519Key.generate()), "INVALID_SIGNATURE"),
        (create_smcp_envelope("other", payload, client.key), "SESSION_NOT_FOUND"),
        ({**good, "timestamp": "2020-01-01T00:00:00Z"}, "STALE_TIMESTAMP"),
        ({**good, "protocol": "seal/v1"}, "UNSUPPORTED_PROTOCOL"),
        (b"{", "MALFORMED_ENVELOPE"),
        (b"[]", "MALFORMED_ENVELOPE"),
        ({"security_token": [token]}, "SESSION_NOT_FOUND"),
    ]:
        status, answer = post(url, body)
        assert (status, answer["error"]["code"]) == (401, code)
    seal_url = smcp_gateway.url + "/v1/seal/invoke"
    assert post(seal_url, {**good, "protocol": "seal/v1"})[1]["error"]["name"] == "UNSUPPORTED_PROTOCOL"
    assert post(smcp_gateway.url + "/elsewhere", {})[0] == 404
    assert len(smcp_gateway.calls) == 1


def test_bad_attestations(smcp_gateway: MockGateway) -> None:
    url = smcp_gateway.url + "/v1/smcp/attest"
    for body in (b"{", {}, {"public_key": "AAAA", "workload_id": "w", "requested_scope": "s"}):
        status, answer = post(url, body)
        assert (status, answer["error_code"], answer["error"]["number"]) == (401, "ATTESTATION_FAILED", 3003)
    key = Ed25519Key.generate().get_public_key_base64()
    request = {"public_key": key, "workload_id": "w", "requested_scope": "s"}
    assert post(url, request)[0] == 200
    smcp_gateway.require_proof = True
    assert post(url, request)[0] == 401
    proof = {"timestamp": 1, "gateway": smcp_gateway.url, "signature": "A" * 86 + "=="}
    assert post(url, {**request, "proof": proof})[0] == 401


def test_only_gateway_kinds_are_refusals() -> None:
    for code in ("NOT_ATTESTED", "nonsense"):
        with pytest.raises(ValueError, match=code):
            Refusal(code)


def test_the_plugin_gives_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import smcp

        def test_it(smcp_gateway):
            smcp_gateway.tools["one"] = lambda arguments: 1
            client = smcp.SMCPClient(smcp_gateway.url, "w", "s")
            client.attest()
            assert client.call_tool("one")["content"][0]["text"] == "1"
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
