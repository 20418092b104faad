"""Security contexts, and decisions on tool calls without a gateway."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from pathlib import Path
from typing import Any, Literal, Self, cast

from . import _native
from ._host import encode
from ._native import Decision, TraceStep
from .errors import SMCPError
from .stores import MemoryRateStore, RateAnswer, RateStore

__all__ = ["Decision", "MethodClass", "PolicyEngine", "SecurityContext", "TraceStep", "classify_method"]

Arguments = Mapping[str, Any] | bytes | str | None
"""Arguments of a tool: a dictionary, or its exact JSON text."""


class SecurityContext:
    """What an agent that was granted this context may do. Immutable; load once and keep it.

    Loading refuses what could be read in two ways; SMCPError with code CONFIG_INVALID names file, line and field.
    """

    __slots__ = ("_native",)

    _native: _native.NativeContext

    def __init__(self) -> None:
        raise TypeError("load a context with from_file, from_yaml, from_json, from_toml or from_dict")

    @classmethod
    def _load(cls, text: str, syntax: str, origin: str) -> Self:
        self = cls.__new__(cls)
        self._native = _native.NativeContext.load(text, syntax, origin)
        return self

    @classmethod
    def from_yaml(cls, text: str, origin: str = "context") -> Self:
        """Loads YAML text; `origin` is what messages call it."""
        return cls._load(text, "yaml", origin)

    @classmethod
    def from_json(cls, text: str, origin: str = "context") -> Self:
        """Loads JSON text."""
        return cls._load(text, "json", origin)

    @classmethod
    def from_toml(cls, text: str, origin: str = "context") -> Self:
        """Loads TOML text."""
        return cls._load(text, "toml", origin)

    @classmethod
    def from_seal_json(cls, text: str, origin: str = "context") -> Self:
        """Loads the JSON of a ``seal/v1`` gateway, in which null stands for a constraint that is not there."""
        return cls._load(text, "seal", origin)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Loads a file; its extension (``.yaml``, ``.yml``, ``.json``, ``.toml``) says how it is written."""
        file = Path(path)
        try:
            text = file.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise SMCPError(f"{file}: not UTF-8", code="CONFIG_INVALID", number=6006) from None
        return cls._load(text, file.suffix.removeprefix("."), str(file))

    @classmethod
    def from_dict(cls, context: Mapping[str, Any], origin: str = "context") -> Self:
        """Loads a dictionary with the members of a context file."""
        try:
            text = encode(context).decode("utf-8")
        except SMCPError as error:
            raise SMCPError(f"{origin}: {error}", code="CONFIG_INVALID", number=6006) from error
        return cls._load(text, "json", origin)

    @property
    def name(self) -> str:
        """The name, which tokens carry as ``scp``."""
        return self._native.name

    @property
    def description(self) -> str | None:
        """Free text."""
        return self._native.description

    @property
    def digest(self) -> str:
        """SHA-256 of the normalised content without description, hexadecimal: equal for equal meaning in any syntax."""
        return self._native.digest

    def to_json(self) -> str:
        """The normalised content as JSON text; it loads again to an equal context."""
        return self._native.to_json()

    def to_dict(self) -> dict[str, Any]:
        """The normalised content as a dictionary."""
        return cast("dict[str, Any]", json.loads(self.to_json()))

    def list_tools(self, tools: Iterable[str], *, allowed_tools: Iterable[str] | None = None) -> list[str]:
        """The tools of `tools` that ``tools/list`` shows, in their order."""
        return self._native.list_tools(list(tools), None if allowed_tools is None else list(allowed_tools))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecurityContext) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<SecurityContext {self.name!r} {self.digest[:12]}>"


@dataclass(frozen=True, slots=True)
class MethodClass:
    """How a JSON-RPC method is treated."""

    kind: Literal["gateway", "tool_call", "tool_list", "as_tool", "not_allowed"]
    tool: str | None
    """For ``as_tool`` the tool as which the method is evaluated."""


def classify_method(method: str) -> MethodClass:
    """How a JSON-RPC method is treated: answered by the gateway itself, subject to policy, or not served."""
    kind, tool = _native.method_class(method)
    return MethodClass(cast("Any", kind), tool)


class PolicyEngine:
    """Decides on tool calls under one context and counts its rate limits."""

    def __init__(self, context: SecurityContext, *, rates: RateStore | None = None) -> None:
        """An engine; without `rates` calls are counted in memory."""
        self.context = context
        self.rates: RateStore = MemoryRateStore() if rates is None else rates

    def evaluate(
        self,
        tool: str,
        arguments: Arguments = None,
        *,
        workload_id: str = "",
        allowed_tools: Iterable[str] | None = None,
        now: float | None = None,
    ) -> Decision:
        """Decides on a call, and counts it if a rate limit allows it.

        workload_id: whose calls are counted together.
        allowed_tools: patterns of a session that narrow the context.
        now: Unix seconds in place of the clock.

        The decision is data and has no truth value: call its ``check()``, or look at ``verdict``. SMCPError OVERLOADED
        when the rate store has no room.
        """
        text = _text(arguments)
        narrowing = None if allowed_tools is None else list(allowed_tools)
        context = self.context._native
        if isinstance(self.rates, MemoryRateStore):
            return _native.decide(context, tool, text, workload_id, narrowing, self.rates._native, now)
        answers: list[tuple[str, int]] = []
        while True:
            decision, question = _native.decide_step(context, tool, text, workload_id, narrowing, answers)
            if decision is not None:
                return decision
            if question is None:
                raise SMCPError("the decision is missing", 4005, code="INTERNAL_ERROR", http_status=500)
            answers.append(self._charge(*question, now))

    def check(
        self,
        tool: str,
        arguments: Arguments = None,
        *,
        workload_id: str = "",
        allowed_tools: Iterable[str] | None = None,
        now: float | None = None,
    ) -> Decision:
        """As `evaluate`, but raises the violation if the call is refused."""
        decision = self.evaluate(tool, arguments, workload_id=workload_id, allowed_tools=allowed_tools, now=now)
        decision.check()
        return decision

    def explain(
        self, tool: str, arguments: Arguments = None, *, allowed_tools: Iterable[str] | None = None
    ) -> Decision:
        """Decides with the whole trace. Nothing is counted, and every rate limit is taken as free."""
        narrowing = None if allowed_tools is None else list(allowed_tools)
        return _native.explain(self.context._native, tool, _text(arguments), narrowing)

    def _charge(self, key: _native.RateKey, limit: _native.RateLimit, now: float | None) -> tuple[str, int]:
        import time  # noqa: PLC0415

        try:
            answer = self.rates.check_and_charge(key, limit, time.time() if now is None else now)
        except SMCPError:
            raise
        except Exception as error:
            raise SMCPError("the rate store failed", 4001, code="OVERLOADED", http_status=503) from error
        if isawaitable(answer) or not isinstance(answer, RateAnswer):
            close = getattr(answer, "close", None)
            if close is not None:
                close()
            raise SMCPError("the rate store gave no RateAnswer", 4005, code="INTERNAL_ERROR", http_status=500)
        return answer.verdict.value, answer.retry_after


def _text(arguments: Arguments) -> bytes:
    if arguments is None:
        return b"{}"
    if isinstance(arguments, bytes | bytearray | memoryview):
        return bytes(arguments)
    if isinstance(arguments, str):
        return arguments.encode("utf-8", errors="surrogatepass")
    return encode(arguments)
