"""The shared vectors."""

from __future__ import annotations

import base64
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("SMCP_VECTORS") or Path(__file__).resolve().parents[1] / "vectors")


@cache
def document(name: str) -> dict[str, Any]:
    """One vector file; fails when its `count` is not that of its vectors."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert content["count"] == len(content["vectors"]), name
    return content


def vectors(name: str) -> list[dict[str, Any]]:
    """The vectors of one file."""
    found: list[dict[str, Any]] = document(name)["vectors"]
    return found


def exact(vector: dict[str, Any], field: str) -> bytes:
    """A field's bytes: `FIELD_b64` where given, else the text."""
    encoded = vector.get(f"{field}_b64")
    return base64.b64decode(encoded) if encoded is not None else vector[field].encode()


@cache
def seed(key: str) -> bytes:
    """The private seed of a named key."""
    return next(bytes.fromhex(entry["seed_hex"]) for entry in vectors("smcp-keys") if entry["id"] == key)


def genuine() -> list[dict[str, Any]]:
    """Envelopes that the published clients made."""
    return [*vectors("smcp-envelopes-py"), *vectors("smcp-envelopes-ts")]
