"""Reading vector files and comparing results with what they expect."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from smcp.errors import SMCPError

FOLDER = Path(os.environ.get("VECTORS") or Path(__file__).parent.parent.parent / "vectors")

Vector = dict[str, Any]
Document = dict[str, Any]
Check = Callable[[Document, Vector], None]

STAGES: dict[str, set[str]] = {
    "json": {"MALFORMED_ENVELOPE", "UNSUPPORTED_PROTOCOL"},
    "envelope": {"MALFORMED_ENVELOPE", "UNSUPPORTED_PROTOCOL"},
    "timestamp-format": {"MALFORMED_ENVELOPE", "UNSUPPORTED_PROTOCOL"},
    "timestamp-window": {"STALE_TIMESTAMP"},
    "signature": {"INVALID_SIGNATURE"},
    "token": {"TOKEN_EXPIRED", "TOKEN_VERIFICATION_FAILED"},
}
"""The kinds a `stage` stands for (section 8)."""


class Mismatch(AssertionError):
    """A vector that came out differently."""


@cache
def read(name: str) -> Document:
    """One file of the folder."""
    with (FOLDER / name).open(encoding="utf-8") as file:
        document: Document = json.load(file)
    return document


def field(vector: Vector, name: str) -> bytes:
    """The exact bytes of a member."""
    encoded = vector.get(f"{name}_b64")
    return base64.b64decode(encoded, validate=True) if encoded is not None else str(vector[name]).encode()


def same(what: str, ours: bytes, theirs: bytes) -> None:
    """Byte equality."""
    if ours != theirs:
        raise Mismatch(f"{what} differs\n  ours   {ours[:300]!r}\n  theirs {theirs[:300]!r}")


def run(action: Callable[[], Any]) -> Any | SMCPError:
    """The result or the error of this package; any other exception is a defect and passes through."""
    try:
        return action()
    except SMCPError as error:
        return error


def compare(vector: Vector, result: Any | SMCPError) -> bool:
    """Compares a result with `expect` and `stage`; whether it was accepted."""
    expect = vector["expect"]
    refused = isinstance(result, SMCPError)
    if expect == "either":
        return not refused
    if expect == "accept":
        if refused:
            raise Mismatch(f"refused: {result}")
        return True
    if expect == "reject":
        if not refused:
            raise Mismatch("accepted")
        kinds = set().union(*(STAGES[stage] for stage in vector.get("stage", [])))
        if kinds and result.code not in kinds:
            raise Mismatch(f"refused with {result.code}, not one of {sorted(kinds)}: {result}")
        return False
    raise Mismatch(f"unknown expectation {expect!r}")
