"""Section 2 of the protocol once more, written for the tests alone: what a signature covers.

Numbers keep the characters they have on the wire, names are sorted, strings carry the least escaping. Nothing here is
shared with the implementation under test.
"""

from __future__ import annotations

import json
from typing import Any


class Lexeme(str):
    """The characters of a number as they stand on the wire."""

    __slots__ = ()


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_DECODER = json.JSONDecoder(parse_float=Lexeme, parse_int=Lexeme, parse_constant=_refuse)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BLANKS = " \t\r\n"


def parse(text: str) -> Any:
    """The value of a JSON text; numbers are `Lexeme`."""
    return _DECODER.decode(text)


def write(value: Any, *, utf16_order: bool = False) -> str:
    """The canonical text of a parsed value."""
    parts: list[str] = []
    _write(value, utf16_order, parts)
    return "".join(parts)


def _write(value: Any, utf16_order: bool, parts: list[str]) -> None:
    if isinstance(value, Lexeme):
        parts.append(value)
    elif isinstance(value, str):
        parts.append(_string(value))
    elif isinstance(value, dict):
        parts.append("{")
        for index, name in enumerate(sorted(value, key=_utf16) if utf16_order else sorted(value)):
            parts.append(("," if index else "") + _string(name) + ":")
            _write(value[name], utf16_order, parts)
        parts.append("}")
    elif isinstance(value, list):
        parts.append("[")
        for index, element in enumerate(value):
            if index:
                parts.append(",")
            _write(element, utf16_order, parts)
        parts.append("]")
    else:
        parts.append({None: "null", True: "true", False: "false"}[value])


def _string(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in text) + '"'


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def message(payload: Any, security_token: str, timestamp: int, *, utf16_order: bool = False) -> bytes:
    """The bytes that are signed; `payload` is a parsed value."""
    whole = {"payload": payload, "security_token": security_token, "timestamp": Lexeme(timestamp)}
    return write(whole, utf16_order=utf16_order).encode()


def members(text: str) -> dict[str, str]:
    """The members of a JSON object, each as its text on the wire."""
    found: dict[str, str] = {}
    at = _skip(text, text.index("{") + 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        start = _skip(text, at + 1)
        _, at = _DECODER.raw_decode(text, start)
        found[name] = text[start:at]
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    while text[at] in _BLANKS:
        at += 1
    return at
