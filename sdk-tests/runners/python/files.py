"""The one table of vector files and their checks."""

from __future__ import annotations

import envelopes
import exchanges
import policies
import receive
import tokens
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
    "jwt.json": tokens.check_token,
    "smcp-gateway.json": receive.check_gateway,
    "policy.json": policies.check_policy,
}
"""File name to check. A file of the folder that is not here fails `test_every_file_is_registered`."""
