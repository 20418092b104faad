"""Python: create and verify envelopes, with the ratio to raw Ed25519 of `cryptography` in the same rounds.

python benches/python_verify.py [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from smcp import Ed25519Key, create_canonical_message, create_smcp_envelope
from smcp.envelope import parse_iso8601_to_unix
from smcp.server import verify_smcp_envelope

SIZES = {"200 B": 0, "4 KB": 27, "64 KB": 430}
TOKEN = "x" * 408
BATCH_SECONDS = 0.01


@dataclass(frozen=True)
class Case:
    """One operation, compared with the case called `reference`."""

    name: str
    reference: str
    operation: Callable[[], object]


def make_payload(records: int) -> dict[str, Any]:
    """A call of about the size that its name in `SIZES` says."""
    return {
        "jsonrpc": "2.0",
        "id": "request-1",
        "method": "tools/call",
        "params": {
            "name": "tool-9",
            "arguments": {
                "path": "/workspace/reports/2026/summary.json",
                "records": [
                    {
                        "id": number,
                        "name": f"record {number}",
                        "price": number * 3 + 0.25,
                        "tags": ["blue", "größe", 'a"b'],
                        "position": {"x": number * 11, "y": -7.5},
                        "text": "line one\nline two, 日本語",
                    }
                    for number in range(records)
                ],
                "limit": 100,
                "format": "full",
            },
        },
    }


def make_cases(records: int) -> list[Case]:
    """The operations over one payload."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    public_bytes = public.public_bytes_raw()
    key = Ed25519Key(private)
    payload = make_payload(records)
    envelope = create_smcp_envelope(TOKEN, payload, key)
    body = json.dumps(envelope).encode()
    message = create_canonical_message(TOKEN, payload, parse_iso8601_to_unix(envelope["timestamp"]))
    signature = private.sign(message)
    # The envelope is older than 30 s before the last round ends.
    age = 3600
    verify_smcp_envelope(body, public_bytes, age)
    return [
        Case("raw verify", "raw verify", lambda: public.verify(signature, message)),
        Case("raw sign", "raw sign", lambda: private.sign(message)),
        Case("verify, bytes", "raw verify", lambda: verify_smcp_envelope(body, public_bytes, age)),
        Case("verify, dict", "raw verify", lambda: verify_smcp_envelope(envelope, public_bytes, age)),
        Case(
            "json.loads + verify, dict", "raw verify", lambda: verify_smcp_envelope(json.loads(body), public_bytes, age)
        ),
        Case("create", "raw sign", lambda: create_smcp_envelope(TOKEN, payload, key)),
    ]


def time_batch(operation: Callable[[], object], count: int) -> float:
    """Seconds of one operation."""
    start = time.perf_counter()
    for _ in range(count):
        operation()
    return (time.perf_counter() - start) / count


def run_rounds(cases: list[Case], rounds: int) -> dict[str, list[float]]:
    """Every case once in each round, so that a slow moment of the machine slows all of them."""
    counts = {case.name: max(1, int(BATCH_SECONDS / time_batch(case.operation, 3))) for case in cases}
    times: dict[str, list[float]] = {case.name: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            times[case.name].append(time_batch(case.operation, counts[case.name]))
    return times


def main() -> None:
    """Prints one table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    for size, records in SIZES.items():
        cases = make_cases(records)
        times = run_rounds(cases, rounds)
        print(f"\nPython, {size}: ratio to raw Ed25519 of `cryptography` over the same message")
        for case in cases:
            ratios = sorted(ours / raw for ours, raw in zip(times[case.name], times[case.reference], strict=True))
            micros = statistics.median(times[case.name]) * 1e6
            print(
                f"{case.name:28} {micros:10.1f} µs {statistics.median(ratios):7.2f} x"
                f" [{ratios[0]:.2f}-{ratios[-1]:.2f}] of {case.reference}"
            )


if __name__ == "__main__":
    main()
