"""Host values as JSON text, and back; the only place that does it."""

from __future__ import annotations

import json
from typing import Any

from . import _native
from .errors import SEALError, SMCPError

MALFORMED = 1000


def malformed(message: str, *, seal: bool = False) -> SMCPError:
    """The error of a payload or envelope that cannot be signed or read."""
    return (SEALError if seal else SMCPError)(
        message, MALFORMED, code="MALFORMED_ENVELOPE", details={"executed": False}
    )


def encode(value: Any, *, sort_keys: bool = False, seal: bool = False) -> bytes:
    """The JSON text of a host value, as ``json.dumps`` spells it.

    SMCPError 1000 for what is not JSON, or would be another value on the other side: NaN and infinities, names that are
    not strings, lone surrogates, bytes, cycles.
    """
    try:
        text = json.dumps(value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        wire = text.encode("utf-8")
    except UnicodeEncodeError:
        raise malformed("the payload has a lone surrogate, which is no text", seal=seal) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise malformed(f"the payload is not JSON: {error}", seal=seal) from error
    if not _native.check_names(value):
        raise malformed("the payload has a member name that is no string, or is nested too deeply", seal=seal)
    return wire


def decode(text: bytes) -> Any:
    """The host value of JSON text that a gateway sent; SMCPError for numbers Python refuses to read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SMCPError(
            f"SMCP Gateway Error: the answer cannot be read: {error}",
            code="BAD_RESPONSE",
            number=6004,
            details={"executed": "unknown"},
        ) from error
