"""`policy`: one call against one context, through `SecurityContext` and `PolicyEngine`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from vectors import Document, Mismatch, Vector, run

from smcp.errors import SMCPError
from smcp.policy import Decision, PolicyEngine, SecurityContext, classify_method
from smcp.stores import MemoryRateStore, RateAnswer, RateKey, RateLimit

CALLS = {
    "pattern",
    "deny",
    "path",
    "path-encoding",
    "windows",
    "file-uri",
    "missing-argument",
    "nesting",
    "argument-map",
    "command",
    "shell",
    "argv",
    "subcommand",
    "domain",
    "idn",
    "ip",
    "url-parse",
    "or-semantics",
    "unicode",
    "types",
}
BASE = 1_700_000_000


class HostRates:
    """A rate store of the host program, which must decide as the built-in one."""

    def __init__(self) -> None:
        self.store = MemoryRateStore()

    def check_and_charge(self, key: RateKey, limit: RateLimit, now: float, /) -> RateAnswer:
        return self.store.check_and_charge(key, limit, now)


def check_policy(document: Document, vector: Vector) -> None:
    kind = vector["class"]
    if kind in CALLS:
        judge(vector, decided(engine(document, vector), vector["tool"], vector["arguments"]))
    elif kind in OTHERS:
        OTHERS[kind](document, vector)
    else:
        raise Mismatch(f"unknown class {kind!r}")


def context(document: Document, vector: Vector) -> SecurityContext:
    """The context from its dictionary; its normalised JSON loads to the same one."""
    loaded = SecurityContext.from_dict(document["contexts"][vector["context"]], vector["context"])
    if SecurityContext.from_json(loaded.to_json()) != loaded:
        raise Mismatch("the normalised context is another one")
    return loaded


def engine(document: Document, vector: Vector) -> PolicyEngine:
    return PolicyEngine(context(document, vector))


def decided(policy: PolicyEngine, tool: str, arguments: Any, **options: Any) -> int | SMCPError:
    """The allowing capability or the violation; from the object, from its text, and from `explain` alike."""
    decision = policy.evaluate(tool, arguments, **options)
    explained = policy.explain(tool, json.dumps(arguments))
    if not explained.trace:
        raise Mismatch("no trace")
    limited = any(step.rule == "rate" for step in explained.trace)
    if not limited and summary(explained) != summary(decision):
        raise Mismatch(f"explained as {explained!r}, decided as {decision!r}")
    outcome: int | SMCPError = run(decision.check)
    if (decision.verdict == "allow") == isinstance(outcome, SMCPError):
        raise Mismatch(f"{decision!r} but {outcome!r}")
    if isinstance(outcome, SMCPError) and outcome.http_status not in {403, 429}:
        raise Mismatch(f"HTTP {outcome.http_status}")
    return outcome


def summary(decision: Decision) -> tuple[Any, ...]:
    return decision.verdict, decision.capability, decision.deny_entry, decision.code, decision.message


def judge(vector: Vector, outcome: int | SMCPError | None) -> None:
    expect = vector["expect"]
    if expect == "allow":
        if isinstance(outcome, SMCPError):
            raise Mismatch(f"refused: {outcome.code} {outcome}")
        if "capability" in vector and outcome != vector["capability"]:
            raise Mismatch(f"allowed by {outcome}, not {vector['capability']}")
    elif expect == "deny":
        if not isinstance(outcome, SMCPError):
            raise Mismatch(f"allowed by {outcome}")
        if outcome.code not in vector["code"]:
            raise Mismatch(f"refused with {outcome.code}, not one of {vector['code']}: {outcome}")
    else:
        raise Mismatch(f"unknown expectation {expect!r}")


def check_rate(document: Document, vector: Vector) -> None:
    for rates in (MemoryRateStore(), HostRates()):
        policy = PolicyEngine(context(document, vector), rates=rates)
        outcome: int | SMCPError | None = None
        for index, offset in enumerate(vector["calls"]):
            tool = vector["tools_each"][index] if "tools_each" in vector else vector["tool"]
            arguments = vector["arguments_each"][index] if "arguments_each" in vector else vector["arguments"]
            workload = vector["sessions_each"][index] if "sessions_each" in vector else ""
            outcome = decided(policy, tool, arguments, workload_id=workload, now=BASE + offset)
            if isinstance(outcome, SMCPError) == (vector["expect_each"][index] == "allow"):
                raise Mismatch(f"call {index} at {offset}: {outcome!r}")
            if "capability_each" in vector:
                capability = None if isinstance(outcome, SMCPError) else outcome
                if capability != vector["capability_each"][index]:
                    raise Mismatch(f"call {index} at {offset} by capability {capability}")
        judge(vector, outcome)


def check_response_size(document: Document, vector: Vector) -> None:
    decision = engine(document, vector).evaluate(vector["tool"], vector["arguments"])
    outcome = run(decision.check)
    if not isinstance(outcome, SMCPError):
        refusal = run(lambda: decision.check_response_size(vector["response_bytes"]))
        if isinstance(refusal, SMCPError):
            outcome = refusal
            if refusal.executed is not True:
                raise Mismatch("the refusal does not say that the tool ran")
    judge(vector, outcome)


def check_method(document: Document, vector: Vector) -> None:
    method = classify_method(vector["method"])
    if method.kind == "gateway":
        judge(vector, None)
    elif method.kind == "tool_call":
        judge(vector, decided(engine(document, vector), vector["tool"], vector["arguments"]))
    elif method.kind == "tool_list":
        listed = context(document, vector).list_tools(vector["available"])
        if listed != vector["listed"]:
            raise Mismatch(f"lists {listed}")
        judge(vector, None)
    elif method.tool is not None:
        judge(vector, decided(engine(document, vector), method.tool, vector["arguments"]))
    else:
        judge(vector, SMCPError("not served", 2009))


def check_load(document: Document, vector: Vector) -> None:
    load = {
        "json": SecurityContext.from_json,
        "yaml": SecurityContext.from_yaml,
        "toml": SecurityContext.from_toml,
    }[vector.get("syntax", "json")]
    text = vector["text"] if "text" in vector else json.dumps(document["contexts"][vector["context"]])
    outcome = run(lambda: load(text))
    if isinstance(outcome, SMCPError) != vector["load_error"]:
        raise Mismatch(f"gave {outcome!r}")
    if isinstance(outcome, SMCPError):
        mentions = [
            vector.get("error_mentions", ""),
            f"context:{vector['error_line']}:" if "error_line" in vector else "",
        ]
        if outcome.code != "CONFIG_INVALID" or any(mention not in str(outcome) for mention in mentions):
            raise Mismatch(f"refused as {outcome.code}: {outcome}")


OTHERS: dict[str, Callable[[Document, Vector], None]] = {
    "rate": check_rate,
    "response-size": check_response_size,
    "methods": check_method,
    "load": check_load,
}
