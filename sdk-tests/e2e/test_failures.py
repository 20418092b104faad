"""Tool servers that die, hang or talk nonsense, a disk that is full, and Ctrl-C."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent import Agent, Answer
from gateway import Gateway, free_port, make_config
from upstreams import Recorder, RmcpServer


class Background:
    """A call under way in a thread."""

    def __init__(self, call: Callable[[], Answer]) -> None:
        self._answer: list[Answer] = []
        self.ended = 0.0

        def run() -> None:
            self._answer.append(call())
            self.ended = time.monotonic()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def answer(self, seconds: float = 30) -> Answer:
        """The answer, once it is there."""
        self._thread.join(seconds)
        assert self._answer, "no answer in time"
        return self._answer[0]


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Waits until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "recorder")


def test_killed_in_mid_call(tmp_path: Path, recorder: Recorder) -> None:
    with Gateway(tmp_path / "gateway", make_config([recorder.config()])) as gateway:
        agent = gateway.agent()
        call = Background(lambda: agent.call("slow", {"ms": 25_000, "nonce": "first"}))
        wait_for(lambda: recorder.lines("runs"))
        killed = time.monotonic()
        os.kill(recorder.pids()[-1], signal.SIGKILL)
        answer = call.answer()
        assert call.ended - killed < 1.0
        assert (answer.status, answer.code) == (502, "UPSTREAM_UNAVAILABLE"), answer
        assert answer.error["details"]["executed"] in ("unknown", True), answer
        assert "tool server" in answer.error["message"]

        gateway.wait_ready()
        assert agent.call("slow", {"ms": 1, "nonce": "second"}).status == 200
        assert recorder.lines("runs") == ["first", "second"]
        assert len(recorder.pids()) == 2
        print(f"answered {call.ended - killed:.3f} s after SIGKILL")
    outcomes = [record for record in gateway.audit() if record.get("event") == "ToolCallCompleted"]
    assert len(outcomes) == 2


def test_killed_again_and_again(tmp_path: Path, recorder: Recorder) -> None:
    """Every kill costs one call at most, and no call runs twice."""
    with Gateway(tmp_path / "gateway", make_config([recorder.config()])) as gateway:
        agent = gateway.agent()
        for number in range(5):
            wait_for(lambda: agent.call("echo").status == 200)
            call = Background(lambda number=number: agent.call("slow", {"ms": 25_000, "nonce": f"kill-{number}"}))
            wait_for(lambda number=number: f"kill-{number}" in recorder.lines("runs"))
            os.kill(recorder.pids()[-1], signal.SIGKILL)
            assert call.answer(5).code == "UPSTREAM_UNAVAILABLE"
        wait_for(lambda: agent.call("echo").status == 200)
    runs = recorder.lines("runs")
    assert runs == [f"kill-{number}" for number in range(5)]


def test_http_server_killed_in_mid_call(tmp_path: Path) -> None:
    port = str(free_port())
    server = RmcpServer("--port", port)
    with Gateway(tmp_path / "gateway", make_config([server.config()])) as gateway:
        agent = gateway.agent()
        call = Background(lambda: agent.call("echo", {"ms": 25_000}))
        time.sleep(0.5)
        killed = time.monotonic()
        server.kill()
        answer = call.answer()
        assert call.ended - killed < 1.0
        assert (answer.status, answer.code) == (502, "UPSTREAM_UNAVAILABLE"), answer
        dead = agent.call("echo", {})
        assert dead.status in (502, 403, 200), dead
        assert dead.status != 200 or "error" in dead.json()["payload"], dead
        with RmcpServer("--port", port):
            wait_for(lambda: agent.call("echo", {"x": 2}).status == 200)


def test_a_server_that_was_never_there(tmp_path: Path, recorder: Recorder) -> None:
    """The gateway starts, serves the others, and says who is missing."""
    nobody = {"name": "nobody", "http": {"url": f"http://127.0.0.1:{free_port()}/mcp"}}
    ghost = {"name": "ghost", "stdio": {"command": "/bin/false"}}
    config = make_config([nobody, ghost, recorder.config()])
    with Gateway(tmp_path / "gateway", config, ready=False) as gateway:
        wait_for(lambda: gateway.agent().tools() == ["broken", "echo", "fat", "slow"])
        ready = gateway.get("/readyz")
        assert ready.status == 503
        assert ready.json()["waiting_for"] == ["upstream nobody", "upstream ghost"]
        assert gateway.get("/healthz").status == 200
        assert gateway.agent().call("echo", {"x": 1}).status == 200


def test_time_size_and_nonsense(tmp_path: Path, recorder: Recorder) -> None:
    context = {
        "name": "limited",
        "description": "small answers",
        "capabilities": [{"tool_pattern": "*", "max_response_size": 1000}],
    }
    upstream = recorder.config(call_timeout="500ms", max_message_size="64 KiB")
    contexts = [{"name": "everything", "capabilities": [{"tool_pattern": "*"}]}, context]
    with Gateway(tmp_path / "gateway", make_config([upstream], contexts=contexts)) as gateway:
        agent, limited = gateway.agent(), gateway.agent("b", "limited")

        late = agent.call("slow", {"ms": 3_000, "nonce": "late"})
        assert (late.status, late.code) == (504, "UPSTREAM_TIMEOUT"), late
        assert late.error["details"]["executed"] == "unknown"
        # The late answer of the first is nobody else's.
        assert agent.call("echo", {"nonce": "after"}).result["structuredContent"] == {"nonce": "after"}

        shell = len(json.dumps({"content": [{"type": "text", "text": ""}]}, separators=(",", ":")))
        assert limited.call("fat", {"bytes": 1000 - shell}).status == 200
        large = limited.call("fat", {"bytes": 1001 - shell})
        assert (large.status, large.code) == (403, "POLICY_VIOLATION_RESPONSE_TOO_LARGE"), large
        assert large.error["details"]["executed"] is True
        assert agent.call("fat", {"bytes": 1001 - shell}).status == 200

        flood = agent.call("fat", {"bytes": 100_000})
        assert flood.status in (502, 403, 504), flood
        wait_for(lambda: agent.call("echo", {}).status == 200)

        broken = agent.call("broken")
        assert broken.status in (502, 504), broken
        assert broken.code in ("UPSTREAM_PROTOCOL_ERROR", "UPSTREAM_TIMEOUT", "UPSTREAM_UNAVAILABLE")
        wait_for(lambda: agent.call("echo", {}).status == 200)


def test_cancellation_reaches_only_the_own_session(tmp_path: Path, recorder: Recorder) -> None:
    with Gateway(tmp_path / "gateway", make_config([recorder.config()])) as gateway:
        agent, other = gateway.agent(), gateway.agent("b")
        text = agent.tool_call("slow", {"ms": 1_500, "nonce": "kept"})
        cancel = json.dumps(
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": json.loads(text)["id"]}}
        )
        call = Background(lambda: agent.invoke(agent.seal(text)))
        wait_for(lambda: recorder.lines("runs"))
        accepted = other.invoke(other.seal(cancel))
        assert accepted.status == 202 and accepted.json() == {"protocol": "smcp/v1", "status": "success"}
        assert call.answer().status == 200

        text = agent.tool_call("slow", {"ms": 20_000, "nonce": "cancelled"})
        call = Background(lambda: agent.invoke(agent.seal(text)))
        wait_for(lambda: "cancelled" in recorder.lines("runs"))
        cancel = cancel.replace(json.loads(cancel)["params"]["requestId"], json.loads(text)["id"])
        assert agent.invoke(agent.seal(cancel)).status == 202
        assert call.answer(5).status != 500


def restrict(gateway: Gateway, size: int) -> None:
    """From now on no file of the gateway may grow beyond `size` bytes; tool servers are not concerned."""
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk_refuses_calls_and_says_so(tmp_path: Path, recorder: Recorder) -> None:
    """No file of the gateway may grow beyond 64 KiB; the audit log is the one that tries to."""
    limit = 64 * 1024
    config = make_config([recorder.config()], session={"store": "memory"})
    with Gateway(tmp_path / "gateway", config) as gateway:
        restrict(gateway, limit)
        agent = gateway.agent()
        filler = "x" * 400
        for number in range(1, 400):
            answer = agent.call("echo", {"number": number, "filler": filler})
            if answer.status != 200:
                break
        ran = len(recorder.calls())
        assert (answer.status, answer.code) == (503, "AUDIT_UNAVAILABLE"), answer
        assert answer.error["number"] == 4002 and "audit" in answer.error["message"]
        # Nothing is forwarded while it lasts, whatever is asked, and nobody gets in.
        for _ in range(5):
            assert agent.call("echo", {"filler": filler}).code == "AUDIT_UNAVAILABLE"
        assert len(recorder.calls()) == ran
        refused = Agent(gateway.url, "b").try_attest()
        assert refused.status == 503 and refused.json()["error_code"] == "AUDIT_UNAVAILABLE"
        ready = gateway.get("/readyz")
        assert (ready.status, ready.json()["waiting_for"]) == (503, ["audit log"])
        assert any("audit" in line for line in gateway.log)
        assert gateway.audit_file.stat().st_size <= limit

        # Room again: it recovers without a restart, and the chain holds (checked when it stops).
        restrict(gateway, resource.RLIM_INFINITY)
        wait_for(lambda: agent.call("echo", {"filler": filler}).status == 200)
        gateway.wait_ready()
        gateway.agent("b")


def test_without_required_a_full_disk_stops_nobody(tmp_path: Path, recorder: Recorder) -> None:
    config = make_config([recorder.config()], session={"store": "memory"}, audit={"required": False})
    gateway = Gateway(tmp_path / "gateway", config)
    try:
        restrict(gateway, 16 * 1024)
        agent = gateway.agent()
        for number in range(100):
            assert agent.call("echo", {"number": number, "filler": "x" * 400}).status == 200
        assert gateway.audit_file.stat().st_size <= 16 * 1024
        assert any("audit" in line for line in gateway.log)
    finally:
        gateway.interrupt()
        gateway.wait()


def test_interrupt_drains_calls(tmp_path: Path, recorder: Recorder) -> None:
    gateway = Gateway(tmp_path / "gateway", make_config([recorder.config()]))
    agent = gateway.agent()
    call = Background(lambda: agent.call("slow", {"ms": 2_000, "nonce": "slow"}))
    wait_for(lambda: recorder.lines("runs"))
    gateway.interrupt()
    # New connections are not served any more while the old call goes on.
    time.sleep(0.2)
    with pytest.raises(ConnectionError):
        agent.call("echo")
    assert gateway.process.poll() is None
    assert call.answer().result["structuredContent"]["nonce"] == "slow"
    assert gateway.wait() == 0
    assert gateway.stopped["cut_off"] == 0
    gateway.verify_audit()
    assert "ToolCallCompleted" in gateway.events()
    # The tool server went with it.
    wait_for(lambda: not Path(f"/proc/{recorder.pids()[-1]}").exists())


def test_a_second_interrupt_ends_at_once(tmp_path: Path, recorder: Recorder) -> None:
    gateway = Gateway(tmp_path / "gateway", make_config([recorder.config()]))
    agent = gateway.agent()

    def call() -> Answer:
        try:
            return agent.call("slow", {"ms": 20_000, "nonce": "slow"})
        except OSError as error:
            return Answer(0, {}, str(error).encode())

    background = Background(call)
    wait_for(lambda: recorder.lines("runs"))
    gateway.interrupt()
    time.sleep(0.3)
    started = time.monotonic()
    gateway.interrupt()
    assert gateway.wait() == 1
    assert time.monotonic() - started < 5
    assert background.answer().status == 0
    wait_for(lambda: not Path(f"/proc/{recorder.pids()[-1]}").exists())
