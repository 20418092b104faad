"""A gateway for tests: a real HTTP server on the loopback interface that attests, verifies and answers."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from . import _native
from .errors import ERROR_KINDS, SMCPError
from .server import _verify

__all__ = ["MockGateway", "RecordedCall", "Refusal", "ToolError"]

Tool = Callable[[dict[str, Any]], Any]

_MAXIMUM_BODY: Final = 4 * 1024 * 1024
_PATHS: Final = {
    "/v1/smcp/attest": ("smcp/v1", True),
    "/v1/smcp/invoke": ("smcp/v1", False),
    "/v1/seal/attest": ("seal/v1", True),
    "/v1/seal/invoke": ("seal/v1", False),
}


class ToolError(Exception):
    """Raised by a tool to answer with a JSON-RPC error."""

    def __init__(self, message: str, code: int = -32000, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class Refusal(Exception):
    """Raised by a tool, or queued by `refuse_next`, to answer as the gateway: `code` is a name of smcp.errors."""

    def __init__(self, code: str, message: str = "", *, details: Mapping[str, Any] | None = None) -> None:
        kind = next((kind for kind in ERROR_KINDS if kind.code == code and kind.http_status is not None), None)
        if kind is None:
            raise ValueError(f"no gateway answers with {code!r}")
        super().__init__(message or kind.summary)
        self.kind = kind
        self.details = dict(details or {})


@dataclass(frozen=True)
class RecordedCall:
    """A call that was verified."""

    payload: dict[str, Any]
    headers: Mapping[str, str]
    """HTTP headers, names in lower case."""
    session_id: str

    @property
    def tool(self) -> str | None:
        """The tool's name, for a `tools/call`."""
        return (self.payload.get("params") or {}).get("name") if self.payload.get("method") == "tools/call" else None

    @property
    def arguments(self) -> dict[str, Any]:
        """The tool's arguments."""
        return (self.payload.get("params") or {}).get("arguments") or {}


@dataclass
class _Session:
    session_id: str
    protocol: str
    public_key: bytes
    workload_id: str
    scope: str
    expires_at: float
    seen: set[str] = field(default_factory=set)
    revoked: bool = False


class MockGateway:
    """Serves on a free loopback port until it is closed.

    Tools are functions from arguments to a result: a dict goes out as the `result` it is, anything else as text
    content. Envelopes are really verified (signature, freshness, replay, session), so a test that passes here sends
    what a gateway takes; there is no policy.
    """

    def __init__(
        self,
        tools: Mapping[str, Tool] | None = None,
        *,
        scopes: set[str] | None = None,
        token_lifetime: float = 3600.0,
        workload_credential: str | None = None,
        require_proof: bool = False,
    ) -> None:
        """Starts to serve.

        tools: functions by tool name.
        scopes: the contexts that exist; None for any.
        token_lifetime: seconds until a token expires.
        workload_credential: what clients must send as Bearer when they attest.
        require_proof: whether attestations without proof of possession are refused.
        """
        self.tools: dict[str, Tool] = dict(tools or {})
        self.scopes = scopes
        self.token_lifetime = token_lifetime
        self.workload_credential = workload_credential
        self.require_proof = require_proof
        self.calls: list[RecordedCall] = []
        self.attestations: list[dict[str, Any]] = []
        self._sessions: dict[str, _Session] = {}
        self._refusals: list[Refusal] = []
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="smcp-mock-gateway", daemon=True
        )
        self._thread.start()

    def tool(self, name: str) -> Callable[[Tool], Tool]:
        """Decorator that serves a function as a tool."""

        def register(function: Tool) -> Tool:
            self.tools[name] = function
            return function

        return register

    def refuse_next(self, code: str, message: str = "", *, details: Mapping[str, Any] | None = None) -> None:
        """Answers the next call that verifies with an error of this kind."""
        refusal = Refusal(code, message, details=details)
        with self._lock:
            self._refusals.append(refusal)

    def revoke_sessions(self) -> None:
        """Revokes every session: further calls get SESSION_INACTIVE."""
        with self._lock:
            for session in self._sessions.values():
                session.revoked = True

    def forget_sessions(self) -> None:
        """Forgets every session, as a restarted gateway does: further calls get SESSION_NOT_FOUND."""
        with self._lock:
            self._sessions.clear()

    def close(self) -> None:
        """Stops to serve."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _attest(self, protocol: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        public_key, workload_id, scope = _native.parse_attestation(body, protocol, self.url, None, self.require_proof)
        if self.workload_credential is not None:
            expected = f"Bearer {self.workload_credential}"
            if not secrets.compare_digest((headers.get("authorization") or "").encode(), expected.encode()):
                raise Refusal("WORKLOAD_VERIFICATION_FAILED", "the workload credential is missing or wrong")
        if self.scopes is not None and scope not in self.scopes:
            raise Refusal("SCOPE_NOT_FOUND", f"the context `{scope}` does not exist")
        now = time.time()
        session = _Session(
            f"session-{secrets.token_hex(8)}", protocol, public_key, workload_id, scope, now + self.token_lifetime
        )
        claims = {
            "sub": f"agent-{secrets.token_hex(8)}",
            "scp": scope,
            "wid": workload_id,
            "iat": int(now),
            "exp": int(session.expires_at),
            "jti": session.session_id,
        }
        parts = [{"alg": "none", "typ": "JWT"}, claims]
        token = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
        token = f"{token}.{_base64url(secrets.token_bytes(64))}"
        with self._lock:
            self._sessions[token] = session
            self.attestations.append(json.loads(body))
        expires_at, _ = _native.write_timestamp(int(session.expires_at * 1000))
        return {
            "status": "success",
            "security_token": token,
            "expires_at": expires_at,
            "session_id": session.session_id,
        }

    def _invoke(self, protocol: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        session = self._session(protocol, body)
        # Strictly parsed and verified here; what was read above only chose the key.
        payload = _verify(protocol, body, session.public_key, 30, None)
        with self._lock:
            if time.time() >= session.expires_at:
                raise Refusal("TOKEN_EXPIRED", "the session has expired")
            if session.revoked:
                raise Refusal("SESSION_INACTIVE", "the session was revoked")
            signature = json.loads(body)["signature"]
            if signature in session.seen:
                raise Refusal("REPLAY_DETECTED", "the same message was seen before")
            session.seen.add(signature)
            self.calls.append(RecordedCall(payload, headers, session.session_id))
            refusal = self._refusals.pop(0) if self._refusals else None
        if refusal is not None:
            raise refusal
        if "id" not in payload:
            return 202, {"protocol": protocol, "status": "success"}
        response = {"jsonrpc": "2.0", "id": payload["id"], **self._answer(payload)}
        return 200, {"protocol": protocol, "status": "success", "payload": response}

    def _session(self, protocol: str, body: bytes) -> _Session:
        try:
            token = json.loads(body)["security_token"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise Refusal("MALFORMED_ENVELOPE", "the body is no envelope") from error
        with self._lock:
            session = self._sessions.get(token) if isinstance(token, str) else None
        if session is None:
            raise Refusal("SESSION_NOT_FOUND", "the session is not known")
        if session.protocol != protocol:
            raise Refusal("UNSUPPORTED_PROTOCOL", "the session was attested under another protocol")
        return session

    def _answer(self, payload: dict[str, Any]) -> dict[str, Any]:
        method = payload.get("method")
        params = payload.get("params") or {}
        if method == "tools/list":
            return {
                "result": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in sorted(self.tools)]}
            }
        if method == "ping":
            return {"result": {}}
        if method != "tools/call":
            raise Refusal("METHOD_NOT_ALLOWED", f"the method `{method}` is not served")
        tool = self.tools.get(str(params.get("name")))
        if tool is None:
            raise Refusal("POLICY_VIOLATION_TOOL_NOT_ALLOWED", f"no capability matches the tool `{params.get('name')}`")
        try:
            result = tool(params.get("arguments") or {})
        except ToolError as error:
            return {"error": {"code": error.code, "message": str(error), "data": error.data}}
        if isinstance(result, dict):
            return {"result": result}
        text = result if isinstance(result, str) else json.dumps(result)
        return {"result": {"content": [{"type": "text", "text": text}]}}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is its own business, and standard error is the test's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: MockGateway

    def do_POST(self) -> None:
        known = _PATHS.get(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if known is None or length > _MAXIMUM_BODY:
            self.close_connection = True
            self._write(404 if known is None else 413, {})
            return
        protocol, attests = known
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            if attests:
                self._write(200, self.owner._attest(protocol, body, headers))
            else:
                self._write(*self.owner._invoke(protocol, body, headers))
        except Refusal as refusal:
            self._refuse(protocol, refusal.kind.code, str(refusal), refusal.details, attests)
        except SMCPError as error:
            self._refuse(protocol, error.code or "INTERNAL_ERROR", str(error), error.details, attests)
        except Exception as error:  # a tool's own failure, whatever it is, is an answer and not the end of the server
            self._refuse(protocol, "INTERNAL_ERROR", f"the tool raised {type(error).__name__}: {error}", {}, attests)

    def _refuse(self, protocol: str, code: str, message: str, details: Mapping[str, Any], attests: bool) -> None:
        kind = next(kind for kind in ERROR_KINDS if kind.code == code)
        number = kind.seal_number if protocol == "seal/v1" else kind.number
        error: dict[str, Any] = {
            "code": number if protocol == "seal/v1" else kind.code,
            "name": kind.code,
            "number": number,
            "message": message,
            "request_id": None,
            "details": dict(details),
        }
        body: dict[str, Any] = {"protocol": protocol, "status": "error", "error": error}
        if attests:
            body |= {"error_code": kind.code, "message": message}
        self._write(kind.http_status or 500, body)

    def _write(self, status: int, body: Mapping[str, Any]) -> None:
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass
