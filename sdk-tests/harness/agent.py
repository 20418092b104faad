"""An agent that speaks the protocol by itself, on the standard library and pyca's Ed25519: a second opinion."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import ssl
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import canonical
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_IDS = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> Any:
        """The code of the error in the body; None for none."""
        return self.json().get("error", {}).get("code")

    @property
    def error(self) -> dict[str, Any]:
        """The error in the body."""
        found: dict[str, Any] = self.json()["error"]
        return found

    @property
    def result(self) -> Any:
        """The tool server's result."""
        assert self.status == 200, self
        return self.json()["payload"]["result"]


def post(
    url: str,
    body: bytes,
    headers: dict[str, str] | None = None,
    *,
    method: str = "POST",
    tls: ssl.SSLContext | None = None,
    timeout: float = 30,
) -> Answer:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=tls)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        connection.request(method, parts.path, body, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        lowered = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, lowered, response.read())
    finally:
        connection.close()


def instant(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Agent:
    """One workload with one key and, once attested, one token."""

    url: str
    workload: str = "agent-a"
    scope: str = "everything"
    dialect: str = "smcp/v1"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    token: str = ""
    session_id: str = ""
    tls: ssl.SSLContext | None = None

    @property
    def public_key(self) -> str:
        """The public key in base64."""
        return base64.b64encode(self.key.public_key().public_bytes_raw()).decode()

    def path(self, action: str, dialect: str | None = None) -> str:
        """The route of an action."""
        return f"{self.url}/v1/{(dialect or self.dialect).split('/')[0]}/{action}"

    def attestation(self, *, proof: bool = True) -> bytes:
        """The body of an attestation."""
        scope = "security_context" if self.dialect == "seal/v1" else "requested_scope"
        body: dict[str, Any] = {"public_key": self.public_key, "workload_id": self.workload, scope: self.scope}
        if proof:
            signed = {
                "gateway": self.url,
                "public_key": self.public_key,
                "requested_scope": self.scope,
                "timestamp": int(time.time()),
                "workload_id": self.workload,
            }
            text = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            signature = base64.b64encode(self.key.sign(text.encode())).decode()
            body["proof"] = {"timestamp": signed["timestamp"], "gateway": self.url, "signature": signature}
        return json.dumps(body).encode()

    def try_attest(self, headers: dict[str, str] | None = None, *, proof: bool = True) -> Answer:
        """Asks for a token."""
        return post(self.path("attest"), self.attestation(proof=proof), headers, tls=self.tls)

    def attest(self) -> Agent:
        """Gets a token or fails."""
        answer = self.try_attest()
        assert answer.status == 200, answer
        self.token, self.session_id = answer.json()["security_token"], answer.json()["session_id"]
        return self

    def seal(
        self,
        payload: str,
        *,
        at: float | None = None,
        protocol: str | None = None,
        utf16_order: bool = False,
        key: Ed25519PrivateKey | None = None,
    ) -> bytes:
        """An envelope around the JSON text `payload`, whose characters go out as they are."""
        at = time.time() if at is None else at
        signed = canonical.message(canonical.parse(payload), self.token, int(at // 1), utf16_order=utf16_order)
        signature = base64.b64encode((key or self.key).sign(signed)).decode()
        members = {
            "protocol": json.dumps(protocol or self.dialect),
            "security_token": json.dumps(self.token),
            "signature": json.dumps(signature),
            "payload": payload,
            "timestamp": json.dumps(instant(at)),
        }
        return ("{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}").encode()

    def tool_call(self, tool: str, arguments: dict[str, Any] | None = None, **params: Any) -> str:
        """The text of a `tools/call` with an id of its own."""
        return self.request("tools/call", {"name": tool, "arguments": arguments or {}, **params})

    @staticmethod
    def request(method: str, params: dict[str, Any] | None = None) -> str:
        """The text of a request with an id of its own."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": f"e2e-{next(_IDS)}", "method": method}
        if params is not None:
            message["params"] = params
        return json.dumps(message, ensure_ascii=False)

    def invoke(self, body: bytes, *, dialect: str | None = None, timeout: float = 30) -> Answer:
        """Sends an envelope."""
        return post(self.path("invoke", dialect), body, tls=self.tls, timeout=timeout)

    def call(self, tool: str, arguments: dict[str, Any] | None = None, *, timeout: float = 30) -> Answer:
        """Calls a tool."""
        return self.invoke(self.seal(self.tool_call(tool, arguments)), timeout=timeout)

    def ask(self, method: str, params: dict[str, Any] | None = None) -> Answer:
        """Sends a request."""
        return self.invoke(self.seal(self.request(method, params)))

    def tools(self) -> list[str]:
        """The names `tools/list` gives, over all pages."""
        names: list[str] = []
        cursor: dict[str, Any] = {}
        while True:
            result = self.ask("tools/list", cursor).result
            names += [tool["name"] for tool in result["tools"]]
            if "nextCursor" not in result:
                return names
            cursor = {"cursor": result["nextCursor"]}
