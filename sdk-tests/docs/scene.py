"""Runs the blocks of one page in order, in one folder that starts empty, as a reader would."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import yaml
from blocks import Block

BLOCK_SECONDS = 120
READY_SECONDS = 60


class BlockFailure(AssertionError):
    """A block did not do what the page says."""


class Scene:
    """The folder, the running background commands and the last output of one page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed: str | None = None
        self._background: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SMCP_", "PYTEST_"))},
            # The interpreter and the `smcp` command under test come first.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": str(folder),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def play(self, block: Block) -> None:
        """Runs, loads or compares one block."""
        name = block.directives.get("file")
        if name:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        if block.expects_output:
            self._compare(block)
        elif block.kind == "python":
            self._run(block, [sys.executable, name or self._save(block, "block.py")])
        elif block.kind == "sh":
            self._run(block, ["bash", "-euo", "pipefail", "-c", block.text])
        elif block.kind in ("yaml", "json", "toml", "dockerfile"):
            self._load(block)

    def close(self) -> None:
        """Ends the background commands, the whole group of each."""
        for process in self._background:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._background:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _save(self, block: Block, name: str) -> str:
        (self.folder / name).write_text(block.text, encoding="utf-8")
        return name

    def _run(self, block: Block, command: list[str]) -> None:
        if "background" in block.directives:
            self._start(block, command)
            return
        try:
            done = subprocess.run(  # noqa: S603, the page under test says what runs
                command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=BLOCK_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            raise BlockFailure(f"{block.place}: still running after {BLOCK_SECONDS} s\n{expired.stdout!r}") from None
        except FileNotFoundError as missing:
            raise BlockFailure(f"{block.place}: no command `{missing.filename}`") from None
        self.printed = done.stdout.decode("utf-8", errors="replace")
        if (done.returncode != 0) != ("fails" in block.directives):
            raise BlockFailure(f"{block.place}: exit code {done.returncode}\n{block.text}\n--- printed\n{self.printed}")

    def _start(self, block: Block, command: list[str]) -> None:
        log = self.folder / f".background-{block.line}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603
                command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._background.append(process)
        ready = block.directives["background"].encode()
        end = time.monotonic() + READY_SECONDS
        while ready not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > end:
                raise BlockFailure(
                    f"{block.place}: never printed `{ready.decode()}`\n{log.read_text(errors='replace')}"
                )
            time.sleep(0.05)

    def _load(self, block: Block) -> None:
        try:
            document = load_document(block)
        except ValueError as error:
            raise BlockFailure(f"{block.place}: no {block.kind}: {error}") from None
        check = settings_check(document) if isinstance(document, dict) else None
        if check is None:
            return
        name = block.directives.get("file") or self._save(block, f"block.{block.kind}")
        self._run(block, [*check, name])

    def _compare(self, block: Block) -> None:
        if self.printed is None:
            raise BlockFailure(f"{block.place}: output of a block, but none ran before")
        pattern = ".*?".join(re.escape(part) for part in re.split(r"\.\.\.|…", block.text.strip()))
        if not re.fullmatch(pattern, self.printed.strip(), re.DOTALL):
            raise BlockFailure(f"{block.place}: the page shows\n{block.text}\n--- printed\n{self.printed}")


def load_document(block: Block) -> object:
    """Parses a block that is data; `ValueError` when it is not what it says."""
    if block.kind == "json":
        return json.loads(block.text)
    if block.kind == "toml":
        return tomllib.loads(block.text)
    if block.kind == "yaml":
        try:
            return yaml.safe_load(block.text)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from None
    if not re.match(r"\s*(#.*\n\s*)*FROM\s", block.text):
        raise ValueError("a Dockerfile begins with FROM")
    return block.text


def settings_check(document: dict[object, object]) -> list[str] | None:
    """The command that checks a document of ours: a context, or a gateway's settings; `None` for other data."""
    if "capabilities" in document:
        return ["smcp", "policy", "check"]
    if {"listen", "bind", "contexts", "upstreams"} & document.keys():
        return ["smcp", "gateway", "--check-config", "--config"]
    return None
