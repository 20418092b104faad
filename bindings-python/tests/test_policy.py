"""`SecurityContext` and `PolicyEngine` as a service uses them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smcp import SMCPError
from smcp.policy import PolicyEngine, SecurityContext, classify_method
from smcp.stores import RateAnswer, RateKey, RateLimit

Refusal = Callable[[Callable[[], object]], str | None]

YAML = """\
name: docs
description: Read the documents.
capabilities:
  - tool_pattern: fs.read
    path_allowlist: [/srv/docs]
    max_response_size: 10
  - tool_pattern: web.*
    domain_allowlist: [example.org]
    rate_limit: {calls: 2, per_seconds: 60}
deny_list: [fs.delete]
"""
DICT: dict[str, Any] = {
    "name": "docs",
    "description": "Read the documents.",
    "capabilities": [
        {"tool_pattern": "fs.read", "constraints": {"path_allowlist": ["/srv/docs"], "max_response_size": 10}},
        {
            "tool_pattern": "web.*",
            "domain_allowlist": ["example.org"],
            "rate_limit": {"calls": 2, "per_seconds": 60},
        },
    ],
    "deny_list": ["fs.delete"],
}
TOML = """
name = "docs"
deny_list = ["fs.delete"]
[[capabilities]]
tool_pattern = "fs.read"
path_allowlist = ["/srv/docs"]
max_response_size = 10
[[capabilities]]
tool_pattern = "web.*"
domain_allowlist = ["example.org"]
rate_limit = {calls = 2, per_seconds = 60}
"""


@pytest.fixture
def engine() -> PolicyEngine:
    return PolicyEngine(SecurityContext.from_yaml(YAML))


def test_one_context_in_every_form(tmp_path: Path) -> None:
    file = tmp_path / "docs.toml"
    file.write_text(TOML)
    first = SecurityContext.from_yaml(YAML)
    others = [
        SecurityContext.from_dict(DICT),
        SecurityContext.from_json(json.dumps(DICT)),
        SecurityContext.from_toml(TOML),
        SecurityContext.from_file(file),
        SecurityContext.from_json(first.to_json()),
        SecurityContext.from_dict(first.to_dict()),
    ]
    assert {context.digest for context in others} == {first.digest}
    assert all(context == first and hash(context) == hash(first) for context in others)
    assert first.name == "docs"
    assert first.description == "Read the documents."
    assert first.to_dict()["capabilities"][0]["path_allowlist"] == ["/srv/docs"]
    assert first != SecurityContext.from_dict({**DICT, "deny_list": []})
    assert first != "docs"


@pytest.mark.parametrize(
    ("load", "mentions"),
    [
        (
            lambda: SecurityContext.from_yaml("name: docs\ncapabilities: []\ncapabilties: []\n", "docs.yaml"),
            "docs.yaml:3:1",
        ),
        (lambda: SecurityContext.from_dict({**DICT, "name": 1}, "settings"), "settings:"),
        (lambda: SecurityContext.from_dict({"name": float("nan")}), "context:"),
        (lambda: SecurityContext.from_dict({1: 2}), "context:"),  # type: ignore[dict-item]
        (lambda: SecurityContext.from_json('{"name":"a","name":"b","capabilities":[]}'), "duplicate"),
        (lambda: SecurityContext.from_toml("name = "), "context:1:"),
        (
            lambda: SecurityContext.from_yaml("name: a\ncapabilities: [{tool_pattern: t, path_allowlist: null}]\n"),
            "null",
        ),
        (lambda: SecurityContext.from_yaml(""), "context:"),
    ],
)
def test_load_errors_name_the_place(load: Callable[[], object], mentions: str) -> None:
    with pytest.raises(SMCPError) as caught:
        load()
    assert (caught.value.code, caught.value.number, caught.value.status_code) == ("CONFIG_INVALID", 6006, None)
    assert mentions in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path, refusal: Refusal) -> None:
    binary = tmp_path / "docs.yaml"
    binary.write_bytes(b"\xff\xfe")
    assert refusal(lambda: SecurityContext.from_file(binary)) == "CONFIG_INVALID"
    unknown = tmp_path / "docs.txt"
    unknown.write_text(YAML)
    assert refusal(lambda: SecurityContext.from_file(unknown)) == "CONFIG_INVALID"
    with pytest.raises(FileNotFoundError):
        SecurityContext.from_file(tmp_path / "missing.yaml")


def test_seal_contexts_may_have_nulls(refusal: Refusal) -> None:
    text = '{"name":"a","description":null,"capabilities":[{"tool_pattern":"t","path_allowlist":null}]}'
    assert refusal(lambda: SecurityContext.from_json(text)) == "CONFIG_INVALID"
    context = SecurityContext.from_seal_json(text)
    PolicyEngine(context).check("t")


def test_decisions_are_data(engine: PolicyEngine) -> None:
    allowed = engine.evaluate("fs.read", {"path": "/srv/docs/a"})
    assert (allowed.verdict, allowed.capability, allowed.code, allowed.message) == ("allow", 0, None, None)
    assert (allowed.context, allowed.digest, allowed.max_response_size) == ("docs", engine.context.digest, 10)
    assert allowed.check() == 0
    assert allowed.trace == []
    denied = engine.evaluate("fs.delete", {"path": "/srv/docs/a"})
    assert (denied.verdict, denied.capability, denied.deny_entry) == ("deny", None, 0)
    assert denied.code == "POLICY_VIOLATION_TOOL_DENIED"
    assert denied.message is not None
    assert "fs.delete" in denied.message
    with pytest.raises(SMCPError) as caught:
        denied.check()
    assert (caught.value.code, caught.value.number, caught.value.http_status) == (denied.code, 2001, 403)
    for decision in (allowed, denied):
        with pytest.raises(TypeError, match="no truth value"):
            assert decision
        with pytest.raises(AttributeError):
            decision.verdict = "allow"  # type: ignore[misc]
    with pytest.raises(TypeError):
        pickle.dumps(allowed)


def test_check_raises(engine: PolicyEngine, refusal: Refusal) -> None:
    assert engine.check("fs.read", {"path": "/srv/docs/a"}).verdict == "allow"
    for code, tool, arguments in [
        ("POLICY_VIOLATION_TOOL_NOT_ALLOWED", "sh", {}),
        ("POLICY_VIOLATION_TOOL_NOT_ALLOWED", "", {}),
        ("POLICY_VIOLATION_TOOL_NOT_ALLOWED", "fs.read\n", {}),
        ("POLICY_VIOLATION_PATH_NOT_ALLOWED", "fs.read", {}),
        ("POLICY_VIOLATION_PATH_NOT_ALLOWED", "fs.read", None),
        ("POLICY_VIOLATION_PATH_NOT_ALLOWED", "fs.read", {"path": "/srv/docs2"}),
        ("POLICY_VIOLATION_PATH_TRAVERSAL", "fs.read", {"path": "/srv/docs/%2e%2e/x"}),
        ("POLICY_VIOLATION_DOMAIN_NOT_ALLOWED", "web.get", {"url": "https://evil.org"}),
    ]:
        assert refusal(lambda: engine.check(tool, arguments)) == code  # noqa: B023


def test_arguments_as_text_are_read_strictly(engine: PolicyEngine, refusal: Refusal) -> None:
    engine.check("fs.read", '{"path": "/srv/docs/a"}')
    engine.check("fs.read", b'{"path": "/srv/docs/a"}')
    for text in ('{"path": "/srv/docs/a", "path": "/etc"}', "{", "\ud800", b"\xff", ""):
        assert refusal(lambda: engine.check("fs.read", text)) == "INVALID_ARGUMENT"  # noqa: B023
    for arguments in ({"path": float("nan")}, {1: 2}, {"path": {"a"}}, {"path": "\ud800"}):
        assert refusal(lambda: engine.check("fs.read", arguments)) == "MALFORMED_ENVELOPE"  # type: ignore[arg-type]  # noqa: B023


def test_rate_limits_count_per_workload(engine: PolicyEngine) -> None:
    def get(workload: str, now: float) -> str | None:
        return engine.evaluate("web.get", {"url": "https://example.org"}, workload_id=workload, now=now).code

    assert [get("a", 1000 + step) for step in range(3)] == [None, None, "POLICY_VIOLATION_RATE_LIMIT_EXCEEDED"]
    assert get("b", 1002) is None
    limited = engine.evaluate("web.get", {"url": "https://example.org"}, workload_id="a", now=1003.5)
    assert limited.retry_after == 57
    assert get("a", 1060) is None
    with pytest.raises(SMCPError) as caught:
        limited.check()
    assert (caught.value.http_status, caught.value.details) == (429, {"retry_after": 57})


def test_a_refused_call_is_not_counted(engine: PolicyEngine) -> None:
    for _ in range(5):
        assert engine.evaluate("web.get", {"url": "https://evil.org"}, now=1000).verdict == "deny"
        engine.explain("web.get", {"url": "https://example.org"})
    assert engine.evaluate("web.get", {"url": "https://example.org"}, now=1000).verdict == "allow"


def test_explain_shows_every_rule(engine: PolicyEngine) -> None:
    decision = engine.explain("fs.read", {"path": "/etc/passwd"})
    assert decision.code == "POLICY_VIOLATION_PATH_NOT_ALLOWED"
    assert [(step.rule, step.index, step.passed) for step in decision.trace] == [
        ("tool_name", None, True),
        ("deny_entry", 0, True),
        ("tool_pattern", 0, True),
        ("path", 0, False),
        ("tool_pattern", 1, False),
    ]
    assert "/etc/passwd" in decision.trace[3].message
    narrowed = engine.explain("fs.read", {"path": "/srv/docs/a"}, allowed_tools=["web.*"])
    assert ("narrowing", False) in [(step.rule, step.passed) for step in narrowed.trace]
    assert "refuses" in repr(decision.trace[3])


def test_narrowing_only_takes_away(engine: PolicyEngine) -> None:
    arguments = {"path": "/srv/docs/a"}
    assert engine.evaluate("fs.read", arguments, allowed_tools=["fs.*"]).verdict == "allow"
    assert engine.evaluate("fs.read", arguments, allowed_tools=[]).verdict == "deny"
    assert engine.evaluate("sh", {}, allowed_tools=["*"]).verdict == "deny"
    tools = ["web.get", "fs.read", "fs.delete", "sh"]
    assert engine.context.list_tools(tools) == ["web.get", "fs.read"]
    assert engine.context.list_tools(tools, allowed_tools=["fs.*"]) == ["fs.read"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (RateAnswer.CHARGED, None),
        (RateAnswer.exceeded(5), "POLICY_VIOLATION_RATE_LIMIT_EXCEEDED"),
        (RateAnswer.FULL, "OVERLOADED"),
        (True, "INTERNAL_ERROR"),
        (OSError(), "OVERLOADED"),
        (SMCPError("no", 4001, code="OVERLOADED", http_status=503), "OVERLOADED"),
    ],
)
def test_rate_stores_of_the_host(answer: object, code: str | None) -> None:
    asked: list[tuple[RateKey, RateLimit, float]] = []

    class Scripted:
        def check_and_charge(self, key: RateKey, limit: RateLimit, now: float, /) -> Any:
            asked.append((key, limit, now))
            if isinstance(answer, Exception):
                raise answer
            return answer

    engine = PolicyEngine(SecurityContext.from_yaml(YAML), rates=Scripted())

    def call() -> None:
        engine.check("web.get", {"url": "https://example.org"}, workload_id="w", now=7)

    if code is None:
        call()
    else:
        with pytest.raises(SMCPError) as caught:
            call()
        assert caught.value.code == code
    assert asked == [(RateKey("w", "docs", 1), RateLimit(2, 60), 7)]


def test_methods() -> None:
    assert classify_method("tools/call").kind == "tool_call"
    assert classify_method("tools/list").kind == "tool_list"
    assert classify_method("ping").kind == "gateway"
    assert (classify_method("resources/templates/list").kind, classify_method("resources/templates/list").tool) == (
        "as_tool",
        "resources/list",
    )
    assert classify_method("tools/call ").kind == "not_allowed"
