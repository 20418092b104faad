"""The tool servers that the end-to-end tests put behind the gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent import post
from gateway import BINARY, free_port

SERVERS = Path(os.environ.get("SMCP_SERVERS") or Path(__file__).resolve().parents[2] / ".cache/servers")
NODE_PACKAGES = SERVERS / "node/node_modules/@modelcontextprotocol"


class Recorder:
    """`servers/recorder.py` in a folder of its own."""

    def __init__(self, folder: Path, tools: list[str] | None = None, *, quiet: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        (folder / "tools.json").write_text(json.dumps(tools or []), encoding="utf-8")
        if quiet:
            (folder / "quiet").touch()

    def config(self, name: str = "recorder", **members: Any) -> dict[str, Any]:
        """Its entry in the configuration."""
        script = Path(__file__).parent / "servers/recorder.py"
        return {"name": name, "stdio": {"command": sys.executable, "args": [str(script), str(self.folder)]}, **members}

    def lines(self, name: str) -> list[str]:
        """The lines of one of its files."""
        file = self.folder / name
        # Not `splitlines`: it also ends lines at U+2028 and its like.
        return file.read_bytes().decode().split("\n")[:-1] if file.exists() else []

    def calls(self) -> list[str]:
        """The calls as they came."""
        return self.lines("calls.jsonl")

    def pids(self) -> list[int]:
        """Process ids, one for each start."""
        return [int(line) for line in self.lines("pid")]


def filesystem_server(folder: Path) -> dict[str, Any]:
    """`@modelcontextprotocol/server-filesystem`, limited to `folder`."""
    script = NODE_PACKAGES / "server-filesystem/dist/index.js"
    return {"name": "files", "stdio": {"command": "node", "args": [str(script), str(folder)]}}


def time_server() -> dict[str, Any]:
    """`mcp-server-time`, its tools behind the prefix `time.`."""
    command = SERVERS / "time/bin/mcp-server-time"
    arguments = ["--local-timezone", "Europe/Berlin"]
    return {"name": "time", "prefix": "time.", "stdio": {"command": str(command), "args": arguments}}


@contextmanager
def everything_server() -> Iterator[str]:
    """`@modelcontextprotocol/server-everything` over Streamable HTTP: its URL."""
    port = free_port()
    command = ["node", NODE_PACKAGES / "server-everything/dist/index.js", "streamableHttp"]
    environment = {**os.environ, "PORT": str(port)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/mcp"
    try:
        end = time.monotonic() + 30
        while True:
            try:
                post(url, b"{}")
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, "the everything server did not start"
                time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


class RmcpServer:
    """rmcp's own service, from `sdk-tests/servers/rust`."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [BINARY.with_name("smcp-test-server"), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]

    def config(self, name: str = "rmcp", **members: Any) -> dict[str, Any]:
        """Its entry in the configuration; `http` adds to the entry `http`."""
        http = {"url": self.url, **members.pop("http", {})}
        return {"name": name, "http": http, **members}

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def __enter__(self) -> RmcpServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
