"""The one table of vector files and their checks."""

from __future__ import annotations

import envelopes
import exchanges
from vectors import Check

FILES: dict[str, Check] = {
    "smcp-keys.json": envelopes.check_key,
    "smcp-envelopes-py.json": envelopes.check_genuine,
    "smcp-envelopes-ts.json": envelopes.check_genuine,
    "smcp-divergence.json": envelopes.check_divergence,
    "smcp-native-values.json": envelopes.check_native,
    "smcp-rfc-examples.json": envelopes.check_example,
    "smcp-envelope-checks.json": envelopes.check_envelope,
    "smcp-ed25519-edge.json": envelopes.check_envelope,
    "smcp-http.json": exchanges.check_exchange,
}
"""File name to check. A file of the folder that is in no table fails `test_every_file_is_registered`."""

ELSEWHERE: dict[str, str] = {
    "jwt.json": "security tokens need the verifier's bindings",
    "smcp-gateway.json": "the receive pipeline needs the verifier's bindings",
    "policy.json": "policy needs its bindings",
}
"""Files that this runner does not run, each with its reason; they shrink as bindings come."""
