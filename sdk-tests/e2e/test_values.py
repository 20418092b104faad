"""What a tool server receives is what was signed: every genuine `tools/call` vector, compared as JSON values."""

from __future__ import annotations

import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import canonical
import pytest
from agent import Answer
from gateway import Gateway, make_config
from upstreams import Recorder
from vectors import exact, genuine

MEMBERS = {"name", "arguments", "_meta", "inputResponses", "requestState"}


def payload_of(vector: dict[str, Any]) -> str:
    """The payload's characters on the vector's wire."""
    return canonical.members(exact(vector, "wire").decode())["payload"]


def survives(number: canonical.Lexeme) -> bool:
    """Whether the decimal value survives the trip to i64, u64 or f64 and back."""
    value = Decimal(number)
    if value == value.to_integral_value() and -(2**63) <= value < 2**64:
        return True
    double = float(number)
    return abs(double) != float("inf") and Decimal(repr(double)) == value


def numbers(value: Any) -> list[canonical.Lexeme]:
    """Every number in a value."""
    if isinstance(value, canonical.Lexeme):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [number for child in children for number in numbers(child)]


def lets_through(payload: dict[str, Any]) -> bool:
    """Section 1: what a gateway forwards."""
    return set(payload["params"]) <= MEMBERS and all(survives(number) for number in numbers(payload))


def comparable(value: Any) -> Any:
    """A value in which numbers are equal when they mean the same, and never equal to anything else."""
    if isinstance(value, canonical.Lexeme):
        return ("number", Decimal(value))
    if isinstance(value, dict):
        return {name: comparable(child) for name, child in value.items()}
    if isinstance(value, list):
        return [comparable(child) for child in value]
    return value if isinstance(value, str) else ("literal", value)


def calls() -> list[dict[str, Any]]:
    """Every genuine `tools/call` vector."""
    return [vector for vector in genuine() if canonical.parse(payload_of(vector))["method"] == "tools/call"]


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    names = {canonical.parse(payload_of(vector))["params"]["name"] for vector in calls()}
    return Recorder(tmp_path / "recorder", sorted(names))


class Sender:
    """Sends vectors' payloads under live sessions, one for each published client."""

    def __init__(self, gateway: Gateway, dialect: str = "smcp/v1") -> None:
        self.agents = {name: gateway.agent(f"agent-{name}", dialect=dialect) for name in ("py", "ts")}
        self._seen: Counter[tuple[str, str]] = Counter()

    def seal(self, vector: dict[str, Any]) -> bytes:
        """An envelope around the payload; equal payloads get other seconds, so that none is a replay."""
        payload, signer = payload_of(vector), vector["signer"]
        same = (signer, canonical.write(canonical.parse(payload)))
        self._seen[same] += 1
        utf16_order = signer == "ts"
        return self.agents[signer].seal(payload, at=time.time() - 2 * self._seen[same], utf16_order=utf16_order)

    def send(self, vector: dict[str, Any]) -> Answer:
        """The answer to the payload."""
        return self.agents[vector["signer"]].invoke(self.seal(vector))


def test_the_tool_server_receives_what_was_signed(tmp_path: Path, recorder: Recorder) -> None:
    vectors = calls()
    assert len(vectors) > 480
    signed = []
    refused = 0
    # With evidence: when the gateway stops, every agent's signature is checked once more from the audit log.
    config = make_config([recorder.config()], audit={"evidence": "full"})
    with Gateway(tmp_path / "gateway", config) as gateway:
        sender = Sender(gateway)
        for vector in vectors:
            payload = canonical.parse(payload_of(vector))
            answer = sender.send(vector)
            if vector["expect"] == "either" and answer.status == 401:
                assert answer.code == "MALFORMED_ENVELOPE", (vector["id"], answer)
            elif lets_through(payload):
                assert answer.status == 200, (vector["id"], answer)
                got = canonical.parse(answer.body.decode())["payload"]
                assert comparable(got["id"]) == comparable(payload["id"]) and "result" in got, vector["id"]
                signed.append((vector["id"], payload["params"]))
            else:
                assert (answer.status, answer.code) == (401, "MALFORMED_ENVELOPE"), (vector["id"], answer)
                refused += 1
    received = [canonical.parse(line) for line in recorder.calls()]
    assert len(received) == len(signed)
    for (name, params), message in zip(signed, received, strict=True):
        assert message["method"] == "tools/call"
        assert message["params"]["name"] == params["name"], name
        assert comparable(message["params"]["arguments"]) == comparable(params["arguments"]), name
        assert "progressToken" not in message["params"].get("_meta", {}), name
    # The gateway's own ids, each once.
    assert len({comparable(message["id"]) for message in received}) == len(received)
    print(f"{len(signed)} forwarded, {refused} refused")
    assert len(signed) > 350 and refused > 5


@pytest.mark.parametrize("dialect", ["smcp/v1", "seal/v1"])
def test_the_other_protocol_string_is_refused_on_both_routes(tmp_path: Path, recorder: Recorder, dialect: str) -> None:
    other = "seal/v1" if dialect == "smcp/v1" else "smcp/v1"
    unsupported = ("UNSUPPORTED_PROTOCOL", 1000)
    accepted = [vector for vector in calls() if vector["expect"] == "accept"]
    with Gateway(tmp_path / "gateway", make_config([recorder.config()])) as gateway:
        sender = Sender(gateway, dialect)
        forwarded = 0
        for vector in accepted:
            agent = sender.agents[vector["signer"]]
            if sender.send(vector).status != 200:
                continue
            forwarded += 1
            # The protocol string is outside the signature: the very same envelope, relabelled or on the other route.
            envelope = sender.seal(vector)
            relabelled = envelope.replace(f'"protocol":"{dialect}"'.encode(), f'"protocol":"{other}"'.encode(), 1)
            assert relabelled != envelope
            for body, route in ((relabelled, dialect), (relabelled, other), (envelope, other)):
                answer = agent.invoke(body, dialect=route)
                assert answer.status == 401 and answer.code in unsupported, (vector["id"], route, answer)
            assert agent.invoke(envelope).status == 200, "the envelope itself is good"
        print(f"{forwarded} accepted vectors, {3 * forwarded} refusals")
        assert forwarded > 350
