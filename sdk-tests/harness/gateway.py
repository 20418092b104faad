"""The gateway as users run it: the `smcp` command in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from agent import Agent, Answer, post

BINARY = Path(os.environ.get("SMCP_BIN") or Path(__file__).resolve().parents[2] / "target/debug/smcp")
EVERYTHING = {"name": "everything", "description": "any tool", "capabilities": [{"tool_pattern": "*"}]}
# The slowest start seen is the first run of a debug binary on a busy machine.
START_SECONDS = 60


def free_port() -> int:
    """A port nobody listens on, for a gateway that has to come back under its old URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def make_config(
    upstreams: list[dict[str, Any]], *, contexts: list[dict[str, Any]] | None = None, **members: Any
) -> dict[str, Any]:
    """A configuration for tests: free ports, everybody is believed, all limits of attestation out of the way."""
    contexts = contexts or [EVERYTHING]
    return {
        "listen": "127.0.0.1:0",
        "operator": {"listen": "127.0.0.1:0"},
        "state_folder": "state",
        "contexts": {"inline": contexts},
        "grants": {"*": [context["name"] for context in contexts]},
        "attestation": {"verifier": "allow_all", "rate": {"per_source": 1_000_000, "per_workload": 1_000_000}},
        "upstreams": upstreams,
        "log": {"format": "json"},
        **members,
    }


class Gateway:
    """One run of `smcp gateway`; the folder outlives it, so that another run can follow."""

    def __init__(self, folder: Path, config: dict[str, Any], *, ready: bool = True, **popen: Any) -> None:
        """Starts it, and waits until every tool server is there unless `ready` is false."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log: list[str] = []
        self.secrets: set[str] = set()
        self.stopped: dict[str, Any] = {}
        file = folder / "gateway.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        self._announced: list[dict[str, Any]] = []
        self._news = threading.Event()
        self.process = subprocess.Popen(
            [BINARY, "gateway", "--config", file],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **popen,
        )
        self._readers = [
            threading.Thread(target=self._read_log, daemon=True),
            threading.Thread(target=self._read_news, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        if not self._news.wait(START_SECONDS) or not self._announced:
            self.process.kill()
            raise AssertionError("the gateway did not start:\n" + "\n".join(self.log))
        line = self._announced[0]
        self.url: str = line["url"]
        self.operator_url: str = line["operator_url"]
        self.audit_file = Path(line["audit_file"])
        self.operator_token = Path(line["operator_token_file"]).read_text(encoding="utf-8").strip()
        if ready:
            self.wait_ready()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.log.append(line.decode("utf-8", "replace").rstrip("\n"))

    def _read_news(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._announced.append(json.loads(line))
                self._news.set()
        self._news.set()

    def wait_ready(self, seconds: float = 60) -> None:
        """Waits until `/readyz` says yes."""
        end = time.monotonic() + seconds
        while (answer := self.get("/readyz")).status != 200:
            assert time.monotonic() < end, (answer, self.log)
            time.sleep(0.05)

    def get(self, path: str) -> Answer:
        """A GET on the agents' listener."""
        return post(self.url + path, b"", method="GET")

    def operate(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Answer:
        """A request of the operator."""
        headers = {"Authorization": f"Bearer {self.operator_token}"}
        encoded = b"" if body is None else json.dumps(body).encode()
        return post(self.operator_url + path, encoded, headers, method="GET" if body is None else method)

    def agent(self, workload: str = "agent-a", scope: str = "everything", **options: Any) -> Agent:
        """An attested agent."""
        agent = Agent(self.url, workload, scope, **options).attest()
        self.secrets.add(agent.token)
        return agent

    def resident_bytes(self) -> int:
        """Memory in use."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024

    def audit(self) -> list[dict[str, Any]]:
        """The records of the audit log."""
        return [json.loads(line) for line in self.audit_file.read_text(encoding="utf-8").splitlines()]

    def events(self) -> list[str]:
        """The event names of the audit log, in order."""
        return [record["event"] for record in self.audit() if "event" in record]

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, seconds: float = 60) -> int:
        """Waits for the end, and checks what every run has to keep: no panic, no secret in the log."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(10)
        self.stopped = self._announced[-1] if len(self._announced) > 1 else {}
        text = "\n".join(self.log)
        assert not re.search(r"panicked|RUST_BACKTRACE|ended in a defect|ended by a defect", text), text
        for secret in self.secrets:
            assert secret not in text, "a token stands in the log"
        return status

    def stop(self) -> None:
        """Ends it as an operator would; nothing may be cut off."""
        if self.process.poll() is None:
            self.interrupt()
            status = self.wait()
            assert status == 0, (status, self.log[-20:])
            assert self.stopped.get("event") == "stopped", self._announced
            self.verify_audit()

    def verify_audit(self) -> None:
        """The audit log must be intact, complete up to the head that was announced, and signed by the gateway's key."""
        command = [BINARY, "audit", "verify", self.audit_file, "--json", "--expect-head", self.stopped["audit_head"]]
        command += ["--key", self.folder / "state" / "audit.key"]
        evidence = self.audit_file.with_name(f"{self.audit_file.name}.evidence")
        if evidence.exists():
            command += ["--evidence", evidence]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (done.stdout, done.stderr)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(10)

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()
            print("\n".join(self.log[-12:]))
