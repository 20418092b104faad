"""A gateway for as long as a ``with`` block lasts, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import weakref
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from . import _native
from ._host import encode
from .errors import SMCPError

__all__ = ["Gateway"]

_log: Final = logging.getLogger("smcp.gateway")
_LONGEST_LINE: Final = 64 * 1024
_OPERATOR_TIMEOUT: Final = 10.0


class Gateway:
    """A running gateway. It ends with the block, with `close`, or with this process, however that ends.

    Its log lines go to the logger ``smcp.gateway``.

    ::

        with Gateway.serve(root="documents") as gateway:
            client = SMCPClient(gateway.url, "docs-bot", "read-only-files")
    """

    url: str
    """Where agents attest and call."""
    operator_url: str | None
    """Where the operator API is served."""
    operator_token_file: Path | None
    audit_file: Path | None
    state_folder: Path | None
    """The folder of keys, sessions and audit log, when it was made for this gateway; it is removed at the end."""
    audit_head: str | None
    """The last record of the audit log, known after the gateway has ended; ``smcp audit verify --expect-head`` takes
    it."""

    _cleanup: contextlib.ExitStack
    _process: subprocess.Popen[bytes]
    _shutdown_timeout: float
    _owner: int
    _reader: threading.Thread

    def __init__(self) -> None:
        raise TypeError("start a gateway with Gateway.serve(...)")

    @classmethod
    def serve(
        cls,
        config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        *,
        root: str | os.PathLike[str] | None = None,
        state: str | os.PathLike[str] | None = None,
        listen: str | None = None,
        operator_listen: str | None = None,
        log_level: str | None = None,
        timeout: float = 30.0,
        shutdown_timeout: float = 35.0,
    ) -> Self:
        """Starts a gateway and waits until it serves.

        config: path of a configuration file, or its content as a dictionary; relative paths in a dictionary count from
            a temporary folder. A file's own addresses are used unless `listen` is given; a dictionary without
            ``listen`` and ``operator`` gets free loopback ports.
        root: without a configuration, the folder that agents may read, under the embedded defaults and on free ports.
        state: with `root`, the folder for keys and audit log; a temporary one when not given.
        listen, operator_listen: addresses in place of the configured ones, such as ``127.0.0.1:0`` for a free port.
        log_level: ``error``, ``warn``, ``info``, ``debug`` or ``trace``.
        timeout: longest time in seconds until it serves.
        shutdown_timeout: longest time for calls under way at the end; then it is killed.

        SMCPError CONFIG_INVALID with the gateway's own words when it does not start.
        """
        if not _native.HAS_GATEWAY:
            raise SMCPError("this build of smcp has no gateway", code="CONFIG_INVALID", number=6006)
        if (config is None) == (root is None):
            raise SMCPError("give either a configuration or root=", code="INVALID_ARGUMENT", number=6005)
        self = cls.__new__(cls)
        self._cleanup = contextlib.ExitStack()
        self._shutdown_timeout = shutdown_timeout
        self._owner = os.getpid()
        self.state_folder = None
        self.audit_head = None
        try:
            arguments = self._arguments(config, root, state, listen, operator_listen)
            if log_level is not None:
                arguments += ["--log-level", log_level]
            self._start(arguments)
            self._wait_until_ready(time.monotonic() + timeout)
        except BaseException:
            self._kill()
            self._cleanup.close()
            raise
        return self

    def _arguments(
        self,
        config: str | os.PathLike[str] | Mapping[str, Any] | None,
        root: str | os.PathLike[str] | None,
        state: str | os.PathLike[str] | None,
        listen: str | None,
        operator_listen: str | None,
    ) -> list[str]:
        if isinstance(config, Mapping):
            folder = self._temporary()
            content = dict(config)
            if listen is None and "listen" not in content:
                content["listen"] = "127.0.0.1:0"
            if operator_listen is None and "operator" not in content:
                content["operator"] = {"listen": "127.0.0.1:0"}
            file = folder / "gateway.json"
            file.write_bytes(encode(content))
            arguments = ["--config", str(file)]
        elif config is not None:
            arguments = ["--config", os.fspath(config)]
        else:
            folder = self._temporary() if state is None else Path(state)
            # Port 0 everywhere: the embedded defaults take free ports.
            arguments = ["--root", os.fspath(root or ""), "--state", str(folder)]
        if listen is not None:
            arguments += ["--listen", listen]
        if operator_listen is not None:
            arguments += ["--operator-listen", operator_listen]
        return arguments

    def _temporary(self) -> Path:
        # Made with mode 0700.
        self.state_folder = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="smcp-gateway-")))
        return self.state_folder

    def _start(self, arguments: list[str]) -> None:
        # Standard input is the pipe whose end tells the gateway that this process is gone. Nobody else may hold it:
        # descriptors of Python are not inheritable by programs, and children of a fork close it.
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "smcp", "gateway", "--exit-with-parent", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C in a terminal reaches the whole group; the gateway ends when the block does.
            start_new_session=True,
        )
        _RUNNING.add(self)
        self._said: deque[str] = deque(maxlen=20)
        self._reader = threading.Thread(target=self._read_log, name="smcp-gateway-log", daemon=True)
        self._reader.start()

    def _read_log(self) -> None:
        """Passes the gateway's log lines on."""
        if self._process.stderr is None:
            return
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stderr:
                text = line.decode("utf-8", errors="replace").rstrip()
                self._said.append(text)
                _log.log(_level(text), "%s", text)

    def _wait_until_ready(self, deadline: float) -> None:
        line = self._read_line(deadline)
        if line is None:
            status = self._process.poll()
            if status is None:
                raise SMCPError("the gateway did not start in time", code="TIMEOUT", number=6003)
            self._reader.join(timeout=1.0)
            said = "; ".join(line.removeprefix("error: ") for line in self._said) or f"it ended with status {status}"
            raise SMCPError(f"the gateway did not start: {said}", code="CONFIG_INVALID", number=6006)
        ready = _event(line)
        if ready.get("event") != "ready" or not isinstance(ready.get("url"), str):
            raise SMCPError("the gateway said something else than that it is ready", code="BAD_RESPONSE", number=6004)
        self.url = ready["url"]
        self.operator_url = ready.get("operator_url")
        self.operator_token_file = _path(ready.get("operator_token_file"))
        self.audit_file = _path(ready.get("audit_file"))

    def _read_line(self, deadline: float) -> bytes | None:
        """A line of the gateway's standard output; None when it has ended or time is up."""
        output = self._process.stdout
        if output is None:
            return None
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while len(line) < _LONGEST_LINE:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not selector.select(remaining):
                    return None
                piece = os.read(output.fileno(), 4096)
                if not piece:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(timeout=max(0.0, deadline - time.monotonic()))
                    return None
                line += piece
                if b"\n" in piece:
                    return line.split(b"\n", 1)[0]
        return None

    @property
    def running(self) -> bool:
        """Whether the gateway is there."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the gateway."""
        return self._process.pid

    def sessions(self) -> list[dict[str, Any]]:
        """The sessions that have not expired, as the operator API describes them."""
        sessions: list[dict[str, Any]] = self._operate("GET", "/v1/sessions", None)["sessions"]
        return sessions

    def revoke(self, session_id: str, *, for_seconds: int | None = None, session_only: bool = False) -> dict[str, Any]:
        """Revokes a session, and keeps its workload and key from attesting until `allow`, or for so many seconds."""
        body: dict[str, Any] = {"session_id": session_id}
        if session_only:
            body["session_only"] = True
        if for_seconds is not None:
            body["for_seconds"] = for_seconds
        return self._operate("POST", "/v1/sessions/revoke", body)

    def allow(self, workload_id: str) -> dict[str, Any]:
        """Lets a blocked workload attest again."""
        return self._operate("POST", "/v1/workloads/allow", {"workload_id": workload_id})

    def status(self) -> dict[str, Any]:
        """Version, sessions, calls under way, contexts, and what the gateway still waits for."""
        return self._operate("GET", "/v1/status", None)

    def _operate(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        if self.operator_url is None or self.operator_token_file is None:
            raise SMCPError("this gateway serves no operator API", code="CONFIG_INVALID", number=6006)
        token = self.operator_token_file.read_text(encoding="ascii").strip()
        request = urllib.request.Request(  # noqa: S310
            self.operator_url.rstrip("/") + path,
            data=None if body is None else encode(body),
            method=method,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        # The operator API is on this machine: no proxy is between, and the token goes nowhere else.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())
        try:
            with opener.open(request, timeout=_OPERATOR_TIMEOUT) as response:
                answer: dict[str, Any] = json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from error
        except (OSError, ValueError) as error:
            raise SMCPError("the operator API does not answer", code="CONNECTION_FAILED", number=6002) from error
        return answer

    def close(self) -> None:
        """Ends the gateway after the calls under way. Ending twice is no error; a forked child does not end it."""
        if self._owner != os.getpid():
            return
        process = self._process
        if process.stdin is not None and not process.stdin.closed:
            with contextlib.suppress(OSError):
                process.stdin.close()
            line = self._read_line(time.monotonic() + self._shutdown_timeout)
            if line is not None:
                head = _event(line).get("audit_head")
                self.audit_head = head if isinstance(head, str) else None
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5.0)
        self._kill()
        self._cleanup.close()

    def _kill(self) -> None:
        process = getattr(self, "_process", None)
        if process is None:
            return
        if process.poll() is None:
            _log.warning("the gateway did not end in time and is killed")
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if process.stderr is not None:
            # Its reader comes to the end first.
            self._reader.join(timeout=1.0)
            process.stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Gateway {self.url} {'running' if self.running else 'ended'}>"


_RUNNING: Final[weakref.WeakSet[Gateway]] = weakref.WeakSet()


def _close_inherited() -> None:
    """Closes, in a forked child, the pipe whose end tells a gateway that its parent is gone."""
    for gateway in list(_RUNNING):
        pipe = gateway._process.stdin
        if pipe is not None:
            with contextlib.suppress(OSError, ValueError):
                pipe.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)


def _level(line: str) -> int:
    """The level of a log line of the gateway."""
    words = line.split(maxsplit=2)
    name = words[1] if len(words) > 1 else ""
    if line.startswith("error:"):
        return logging.ERROR
    if line.startswith("warning:"):
        return logging.WARNING
    return {"ERROR": logging.ERROR, "WARN": logging.WARNING, "INFO": logging.INFO}.get(name, logging.DEBUG)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _path(text: object) -> Path | None:
    return Path(text) if isinstance(text, str) else None


def _refusal(error: urllib.error.HTTPError) -> SMCPError:
    try:
        said = json.loads(error.read())
        code, message = said.get("code"), said.get("message")
    except (OSError, ValueError, AttributeError):
        code, message = None, None
    text = message if isinstance(message, str) else f"the operator API answered with HTTP {error.code}"
    return SMCPError(text, code=code if isinstance(code, str) else None, http_status=error.code)
