"""`Gateway.serve`: a real gateway in a child process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from smcp import Gateway, SMCPClient, SMCPError, _native

pytestmark = pytest.mark.skipif(not _native.HAS_GATEWAY, reason="built without the gateway")


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "hello.txt").write_text("hello")
    return folder


def gone(pid: int, within: float = 10.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def config(documents: Path) -> dict[str, Any]:
    return {
        "contexts": {
            "inline": [{"name": "docs", "capabilities": [{"tool_pattern": "fs.*", "path_allowlist": [str(documents)]}]}]
        },
        "grants": {"*": ["docs"]},
        "attestation": {"verifier": "allow_all"},
        "upstreams": [{"name": "files", "filesystem": {"roots": [str(documents)]}}],
    }


def test_embedded_defaults(documents: Path) -> None:
    with Gateway.serve(root=documents) as gateway:
        assert gateway.running
        assert gateway.url.startswith("http://127.0.0.1:")
        client = SMCPClient(gateway.url, "w", "read-only-files")
        client.attest()
        result = client.call_tool("fs.read", {"path": str(documents / "hello.txt")})
        assert result["content"][0]["text"] == "hello"
        assert gateway.status()["sessions"] == 1
        folder = gateway.state_folder
        assert folder is not None
        assert folder.stat().st_mode & 0o777 == 0o700
        pid = gateway.pid
    assert not gateway.running
    assert gone(pid)
    assert not folder.exists()
    assert gateway.audit_head is not None
    assert ":" in gateway.audit_head
    gateway.close()
    with pytest.raises(SMCPError):
        client.call_tool("fs.read", {"path": str(documents / "hello.txt")})


def test_a_configuration_as_dictionary_and_two_gateways(documents: Path) -> None:
    with Gateway.serve(config(documents)) as one, Gateway.serve(config(documents)) as two:
        assert one.url != two.url
        for gateway in (one, two):
            client = SMCPClient(gateway.url, "w", "docs")
            client.attest()
            assert client.call_tool("fs.list", {"path": str(documents)})


def test_a_configuration_file(documents: Path, tmp_path: Path) -> None:
    import json

    file = tmp_path / "gateway.json"
    file.write_text(json.dumps({**config(documents), "listen": "127.0.0.1:1", "state_folder": str(tmp_path / "state")}))
    with Gateway.serve(file, listen="127.0.0.1:0", operator_listen="127.0.0.1:0") as gateway:
        assert gateway.state_folder is None
        assert gateway.audit_file == tmp_path / "state" / "audit.jsonl"
        assert gateway.status()["contexts"] == ["docs"]
    assert (tmp_path / "state" / "audit.jsonl").exists()


def test_revoking_through_the_operator_api(documents: Path) -> None:
    with Gateway.serve(root=documents) as gateway:
        client = SMCPClient(gateway.url, "w", "read-only-files")
        client.attest()
        (session,) = gateway.sessions()
        assert session["workload_id"] == "w"
        assert gateway.revoke(session["session_id"])["blocked"] is True
        with pytest.raises(SMCPError) as inactive:
            client.call_tool("fs.list", {"path": str(documents)})
        assert inactive.value.code == "SESSION_INACTIVE"
        with pytest.raises(SMCPError) as blocked:
            client.attest()
        assert blocked.value.code == "WORKLOAD_VERIFICATION_FAILED"
        gateway.allow("w")
        client.attest()
        with pytest.raises(SMCPError, match="no such session") as unknown:
            gateway.revoke("unknown")
        assert unknown.value.http_status == 404
        with pytest.raises(SMCPError) as both:
            gateway.revoke("x", for_seconds=1, session_only=True)
        assert (both.value.code, both.value.http_status) == ("INVALID_ARGUMENT", 400)


def test_what_does_not_start_says_why(documents: Path, tmp_path: Path) -> None:
    broken = {**config(documents), "upstreems": []}
    with pytest.raises(SMCPError, match="unknown field `upstreems`") as caught:
        Gateway.serve(broken)
    assert caught.value.code == "CONFIG_INVALID"
    with pytest.raises(SMCPError, match="missing"):
        Gateway.serve(tmp_path / "missing.yaml")
    for wrong in ({}, {"config": {}, "root": documents}):
        with pytest.raises(SMCPError) as mistaken:
            Gateway.serve(**wrong)  # type: ignore[arg-type]
        assert mistaken.value.code == "INVALID_ARGUMENT"
    with pytest.raises(SMCPError) as late:
        Gateway.serve(root=documents, timeout=0.0)
    assert late.value.code == "TIMEOUT"


def test_log_lines_reach_the_logger(documents: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "smcp.gateway"):
        with Gateway.serve(root=documents):
            pass
        assert any(
            "allow_all" in record.getMessage() and record.levelno == logging.WARNING for record in caplog.records
        )


def test_it_ends_when_its_parent_is_killed(documents: Path) -> None:
    program = (
        "import smcp, sys, time\n"
        "gateway = smcp.Gateway.serve(root=sys.argv[1])\n"
        "print(gateway.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, documents], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
    assert gone(pid)


def test_it_ends_with_its_parent_although_a_fork_lives_on(documents: Path) -> None:
    program = (
        "import os, smcp, sys, time\n"
        "gateway = smcp.Gateway.serve(root=sys.argv[1])\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    gateway.close()\n"
        "    assert smcp.SMCPClient(gateway.url, 'w', 'read-only-files').attest()\n"
        "    print(gateway.pid, os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, documents], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, child = map(int, parent.stdout.readline().split())
        os.kill(parent.pid, signal.SIGKILL)
        assert gone(pid)
        os.kill(child, signal.SIGKILL)


def test_a_gateway_that_was_killed(documents: Path) -> None:
    with Gateway.serve(root=documents) as gateway:
        os.kill(gateway.pid, signal.SIGKILL)
        assert gone(gateway.pid)
        with pytest.raises(SMCPError) as caught:
            gateway.status()
        assert caught.value.code == "CONNECTION_FAILED"
    assert gateway.audit_head is None


def test_the_command(documents: Path, tmp_path: Path) -> None:
    def smcp(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "smcp", *arguments], capture_output=True, text=True, check=False)

    assert smcp("--version").stdout == f"smcp {_native.VERSION}\n"
    assert smcp("--help").returncode == 0
    usage = smcp("no-such-command")
    assert usage.returncode == 2
    assert "no-such-command" in usage.stderr
    context = tmp_path / "docs.yaml"
    context.write_text("name: docs\ncapabilities: [{tool_pattern: fs.read}]\n")
    assert smcp("policy", "check", str(context)).returncode == 0
    context.write_text("name: docs\n")
    assert smcp("policy", "check", str(context)).returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_drain_the_command(documents: Path, tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "smcp", "gateway", "--root", str(documents), "--state", str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert '"event":"ready"' in process.stdout.readline()
        process.send_signal(number)
        assert '"event":"stopped"' in process.stdout.readline()
        assert process.wait(10) == 0


def test_importing_starts_nothing() -> None:
    program = (
        "import sys, threading, os\n"
        "import smcp, smcp.verifier, smcp.attest, smcp.gateway, smcp.policy\n"
        "assert threading.active_count() == 1\n"
        "assert len(os.listdir('/proc/self/task')) == 1\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_a_gateway_that_is_left_open_is_cleaned_up(documents: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        program = (
            "import smcp, sys\n"
            "gateway = smcp.Gateway.serve(root=sys.argv[1])\n"
            "print(gateway.pid, gateway.state_folder, flush=True)\n"
        )
        done = subprocess.run([sys.executable, "-c", program, documents], capture_output=True, text=True, check=True)
    pid, folder = done.stdout.split()
    assert gone(int(pid))
    assert not Path(folder).exists()
