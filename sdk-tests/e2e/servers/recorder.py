"""A tool server over stdio that keeps what it receives, byte for byte, and counts what it runs.

    recorder.py FOLDER

`FOLDER/tools.json` names its tools, `FOLDER/calls.jsonl` gets every `tools/call` as the line it came in, `FOLDER/runs`
the id of each run at its beginning, `FOLDER/pid` the process id of each start. `echo` gives its arguments back, `slow`
waits `ms` milliseconds first, `fat` answers with `bytes` bytes, `broken` with what is no JSON; any other tool says ok.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
OWN_TOOLS = ["echo", "slow", "fat", "broken"]
LOCK = threading.Lock()


def send(text: str) -> None:
    """Writes one line."""
    with LOCK:
        sys.stdout.buffer.write(text.encode() + b"\n")
        sys.stdout.buffer.flush()


def answer(message: dict[str, Any], result: dict[str, Any]) -> None:
    """Answers one request."""
    send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}))


def append(name: str, data: bytes) -> None:
    """Adds to a file in one write."""
    handle = os.open(FOLDER / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, data)
    os.close(handle)


def run(message: dict[str, Any]) -> None:
    """Runs a tool."""
    arguments = message["params"].get("arguments") or {}
    tool = message["params"]["name"]
    if tool in ("slow", "echo"):
        if tool == "slow":
            append("runs", f"{arguments.get('nonce')}\n".encode())
        time.sleep(arguments.get("ms", 0) / 1000)
        answer(message, {"content": [], "structuredContent": arguments})
    elif tool == "fat":
        answer(message, {"content": [{"type": "text", "text": "x" * arguments["bytes"]}]})
    elif tool == "broken":
        send(f'{{"jsonrpc":"2.0","id":{json.dumps(message["id"])},"result":{{"content":[')
    else:
        answer(message, {"content": [{"type": "text", "text": "ok"}]})


def main() -> None:
    """Serves until standard input ends."""
    append("pid", f"{os.getpid()}\n".encode())
    file = FOLDER / "tools.json"
    tools = OWN_TOOLS + (json.loads(file.read_text(encoding="utf-8")) if file.exists() else [])
    # Logging ten thousand calls is not what a load test measures.
    keeps = not (FOLDER / "quiet").exists()
    for line in sys.stdin.buffer:
        message = json.loads(line)
        method = message.get("method")
        if method == "tools/call":
            if keeps:
                append("calls.jsonl", line)
            if message["params"]["name"] == "slow":
                threading.Thread(target=run, args=(message,), daemon=True).start()
            else:
                run(message)
        elif method == "initialize":
            info = {"name": "recorder", "version": "1"}
            version = message["params"]["protocolVersion"]
            answer(message, {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info})
        elif method == "tools/list":
            answer(message, {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in tools]})
        elif method == "ping":
            answer(message, {})
        elif "id" in message and "method" in message:
            error = {"code": -32601, "message": "no such method"}
            send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}))


main()
