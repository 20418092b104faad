"""The canonical rules of both published SDKs, written anew: what their verifiers make of a body."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def python_verifies(body: bytes, public_key: bytes) -> bool:
    """The Python rule: `json.loads`, then `json.dumps` with sorted names, no blanks and no escapes beyond need."""
    envelope = json.loads(body)
    stamp = datetime.fromisoformat(envelope["timestamp"].replace("Z", "+00:00"))
    message = {
        "payload": envelope["payload"],
        "security_token": envelope["security_token"],
        "timestamp": int(stamp.timestamp() // 1),
    }
    text = json.dumps(message, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(base64.b64decode(envelope["signature"]), text.encode())
    except InvalidSignature:
        return False
    return True


def typescript_verifies(bodies: list[tuple[bytes, bytes]]) -> list[bool]:
    """The TypeScript rule, run by Node.js itself, for pairs of body and public key."""
    lines = [
        json.dumps({"body": base64.b64encode(body).decode(), "public_key": base64.b64encode(key).decode()})
        for body, key in bodies
    ]
    command = ["node", str(Path(__file__).with_name("published.mjs"))]
    done = subprocess.run(
        command, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=60, check=True
    )
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(verdicts) == len(bodies)
    return verdicts
