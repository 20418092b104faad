"""Agents call tools of servers nobody here wrote: attest, list, call, refusals."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest
from agent import Agent, post
from authority import Authority
from gateway import EVERYTHING, Gateway, make_config
from upstreams import RmcpServer, everything_server, filesystem_server, time_server


def reader_context(folder: Path) -> dict[str, object]:
    """May read below `folder/open` and ask for the time."""
    return {
        "name": "reader",
        "description": "reads and tells the time",
        "capabilities": [
            {"tool_pattern": "read_*", "path_allowlist": [f"{folder}/open"]},
            {"tool_pattern": "list_directory", "path_allowlist": [f"{folder}/open"]},
            {"tool_pattern": "time.get_current_time", "rate_limit": {"calls": 2, "per_seconds": 600}},
        ],
        "deny_list": ["read_media_file"],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "open").mkdir(parents=True)
    (data / "open" / "note.txt").write_text("the note é 🎈", encoding="utf-8")
    (data / "secret.txt").write_text("the secret", encoding="utf-8")
    return data


def test_filesystem_and_time_over_stdio(tmp_path: Path, folder: Path) -> None:
    config = make_config([filesystem_server(folder), time_server()], contexts=[EVERYTHING, reader_context(folder)])
    with Gateway(tmp_path / "gateway", config) as gateway:
        everybody = gateway.agent("boss")
        reader = gateway.agent("reader-1", "reader")

        # The list is what the context allows, in a fixed order, of both servers.
        allowed = reader.tools()
        assert "read_text_file" in allowed and "time.get_current_time" in allowed
        assert not {"write_file", "read_media_file", "time.convert_time", "get_current_time"} & set(allowed)
        assert {"write_file", "time.convert_time"} <= set(everybody.tools())
        assert allowed == reader.tools()

        # Real calls.
        result = reader.call("read_text_file", {"path": f"{folder}/open/note.txt"}).result
        assert result["content"][0]["text"] == "the note é 🎈"
        told = reader.call("time.get_current_time", {"timezone": "Asia/Tokyo"}).result
        assert json.loads(told["content"][0]["text"])["timezone"] == "Asia/Tokyo"
        written = everybody.call("write_file", {"path": f"{folder}/new.txt", "content": "new"})
        assert written.status == 200 and (folder / "new.txt").read_text(encoding="utf-8") == "new"
        # A tool's own failure is a result, no refusal.
        missing = reader.call("read_text_file", {"path": f"{folder}/open/none.txt"}).result
        assert missing["isError"] is True

        # Refusals: code, number, status, and a message that helps.
        refusals = [
            ("write_file", {"path": f"{folder}/open/x"}, "POLICY_VIOLATION_TOOL_NOT_ALLOWED", 2000, "write_file"),
            (
                "read_media_file",
                {"path": f"{folder}/open/note.txt"},
                "POLICY_VIOLATION_TOOL_DENIED",
                2001,
                "read_media",
            ),
            ("read_text_file", {"path": f"{folder}/secret.txt"}, "POLICY_VIOLATION_PATH_NOT_ALLOWED", 2002, "secret"),
            ("read_text_file", {"path": f"{folder}/open/../secret.txt"}, "POLICY_VIOLATION_PATH_TRAVERSAL", 2003, ".."),
            (
                "read_text_file",
                {"path": f"{folder}/open/%2e%2e/secret.txt"},
                "POLICY_VIOLATION_PATH_TRAVERSAL",
                2003,
                "",
            ),
            ("read_text_file", {}, "POLICY_VIOLATION_PATH_NOT_ALLOWED", 2002, "path"),
        ]
        for tool, arguments, code, number, word in refusals:
            answer = reader.call(tool, arguments)
            assert (answer.status, answer.code, answer.error["number"]) == (403, code, number), answer
            assert word in answer.error["message"] and answer.error["request_id"].startswith("e2e-")
        assert "the secret" not in "\n".join(gateway.log)

        # The rate limit: two calls, of which one was made above; a new session does not reset it.
        assert reader.call("time.get_current_time", {"timezone": "UTC"}).status == 200
        limited = gateway.agent("reader-1", "reader").call("time.get_current_time", {"timezone": "UTC"})
        assert (limited.status, limited.code) == (429, "POLICY_VIOLATION_RATE_LIMIT_EXCEEDED")
        assert 0 < int(limited.headers["retry-after"]) <= 600

        # An unknown tool that the context allows does not exist behind the gateway.
        unknown = everybody.call("no_such_tool")
        assert unknown.status != 500
        assert "no_such_tool" in json.dumps(unknown.json())

        # Another scope is not granted, and one that does not exist is not told apart.
        config_less = Agent(gateway.url, "reader-1", "admin").try_attest()
        assert (config_less.status, config_less.json()["error_code"]) == (403, "SCOPE_NOT_FOUND")
    events = gateway.events()
    assert {"AttestationSucceeded", "AttestationFailed", "ToolCallAuthorized", "ToolCallCompleted"} <= set(events)
    assert events.count("PolicyViolationBlocked") >= len(refusals) + 1


def test_everything_over_streamable_http(tmp_path: Path) -> None:
    with everything_server() as url:
        config = make_config([{"name": "everything", "http": {"url": url}}])
        with Gateway(tmp_path / "gateway", config) as gateway:
            agent = gateway.agent()
            names = agent.tools()
            assert "echo" in names
            assert agent.call("echo", {"message": "hé 🎈"}).result["content"][0]["text"] == "Echo: hé 🎈"
            bad = agent.call("echo", {"message": 3}).json()["payload"]
            assert bad["id"].startswith("e2e-") and ("error" in bad or bad["result"]["isError"])

            prompts = agent.ask("prompts/list").result["prompts"]
            simple = next(prompt["name"] for prompt in prompts if not prompt.get("arguments"))
            assert agent.ask("prompts/get", {"name": simple}).result["messages"]
            templates = agent.ask("resources/templates/list").result["resourceTemplates"]
            assert templates
            resources = agent.ask("resources/list").result["resources"]
            read = agent.ask("resources/read", {"uri": resources[0]["uri"]}).result
            assert read["contents"][0]["uri"] == resources[0]["uri"]

            for method in ("resources/subscribe", "logging/setLevel", "subscriptions/listen", "tasks/list", "nonsense"):
                answer = agent.ask(method, {"uri": "x"})
                assert (answer.status, answer.code) == (403, "METHOD_NOT_ALLOWED"), (method, answer)


def test_rmcp_stateless(tmp_path: Path) -> None:
    """2026-07-28: the gateway writes the protocol's members of `_meta` itself, and the agent's own never arrive."""
    with RmcpServer() as server, Gateway(tmp_path / "gateway", make_config([server.config()])) as gateway:
        agent = gateway.agent()
        assert agent.tools() == ["echo"]
        meta = {
            "io.modelcontextprotocol/protocolVersion": "1999-01-01",
            "io.modelcontextprotocol/clientInfo": {"name": "liar", "version": "0"},
            "progressToken": 7,
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "com.example/tag": "kept",
        }
        result = agent.invoke(agent.seal(agent.tool_call("echo", {"x": 1, "meta": True}, _meta=meta))).result
        assert result["structuredContent"] == {"x": 1, "meta": True}
        seen = json.loads(result["content"][1]["text"])
        assert seen["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
        assert seen["io.modelcontextprotocol/clientInfo"]["name"] != "liar"
        assert seen["traceparent"] == meta["traceparent"] and seen["com.example/tag"] == "kept"
        assert "progressToken" not in seen


@pytest.mark.parametrize("newest", ["2025-06-18", "2025-11-25"])
def test_rmcp_with_sessions(tmp_path: Path, newest: str) -> None:
    with (
        RmcpServer("--newest", newest, "--sessions") as server,
        Gateway(tmp_path / "gateway", make_config([server.config()])) as gateway,
    ):
        assert gateway.agent().call("echo", {"x": [1, None]}).result["structuredContent"] == {"x": [1, None]}


def test_tls_upstream_with_a_private_authority(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "authority"), Authority(tmp_path / "stranger", "other authority")
    certificate, key = authority.server()
    arguments = ["--certificate", certificate, "--key", key, "--client-ca", authority.file]
    with RmcpServer(*arguments) as server:
        pem = tmp_path / "client.pem"
        pem.touch(mode=0o600)
        pem.write_text("".join(file.read_text(encoding="utf-8") for file in authority.client()), encoding="utf-8")
        good = {"ca_file": str(authority.file), "client_cert": str(pem)}
        with Gateway(tmp_path / "good", make_config([server.config(http=good)])) as gateway:
            assert gateway.agent().call("echo", {"tls": True}).result["structuredContent"] == {"tls": True}
        bad = [{**good, "ca_file": str(stranger.file)}, {"client_cert": str(pem)}, {"ca_file": str(authority.file)}]
        for number, http in enumerate(bad):
            config = make_config([server.config(http=http)])
            with Gateway(tmp_path / f"bad-{number}", config, ready=False) as gateway:
                assert gateway.get("/readyz").status == 503
                assert gateway.agent().tools() == []


def test_tls_listener(tmp_path: Path) -> None:
    """The agents' side over TLS 1.3 with client certificates."""
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.server()
    tls = {"cert": str(certificate), "key": str(key), "client_ca": str(authority.file)}
    context = ssl.create_default_context(cafile=str(authority.file))
    context.load_cert_chain(*authority.client())
    with RmcpServer() as server:
        config = make_config([server.config()], tls=tls)
        with Gateway(tmp_path / "gateway", config, ready=False) as gateway:
            assert gateway.url.startswith("https://")
            agent = gateway.agent(tls=context)
            assert agent.call("echo", {"x": 1}).result["structuredContent"] == {"x": 1}

            nameless = ssl.create_default_context(cafile=str(authority.file))
            with pytest.raises((ssl.SSLError, ConnectionError)):
                post(gateway.url + "/healthz", b"", method="GET", tls=nameless)
            old = ssl.create_default_context(cafile=str(authority.file))
            old.load_cert_chain(*authority.client())
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises((ssl.SSLError, ConnectionError)):
                post(gateway.url + "/healthz", b"", method="GET", tls=old)
