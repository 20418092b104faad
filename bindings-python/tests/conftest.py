"""A service with its agents, as the tests of the service side use it. Its clock stands where a test puts it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from smcp import Ed25519Key, create_canonical_message
from smcp.policy import SecurityContext
from smcp.stores import MemorySessionStore, Session
from smcp.token import TokenIssuer

NOW = 1_771_338_721.25

CONTEXT = """
name: docs
capabilities:
  - tool_pattern: fs.read
    path_allowlist: [/srv/docs]
    max_response_size: 64
  - tool_pattern: web.*
    domain_allowlist: [example.org]
    rate_limit: {calls: 2, per_seconds: 60}
deny_list: [fs.delete]
"""


@dataclass
class Agent:
    """Signs calls with its own clock."""

    token: str
    key: Ed25519Key
    session_id: str
    protocol: str = "smcp/v1"
    ids: Any = field(default_factory=count)

    def envelope(self, payload: dict[str, Any], *, at: float = NOW, protocol: str | None = None) -> bytes:
        """A signed body, stamped at a time."""
        message = create_canonical_message(self.token, payload, int(at // 1))
        stamp = datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = {
            "protocol": protocol or self.protocol,
            "security_token": self.token,
            "signature": self.key.sign_base64(message),
            "payload": payload,
            "timestamp": stamp,
        }
        return json.dumps(body).encode()

    def call(self, tool: str, *, at: float = NOW, protocol: str | None = None, **arguments: Any) -> bytes:
        """A signed tool call."""
        params = {"name": tool, "arguments": arguments}
        payload = {"jsonrpc": "2.0", "id": next(self.ids), "method": "tools/call", "params": params}
        return self.envelope(payload, at=at, protocol=protocol)

    def read(self, path: str = "/srv/docs/a.txt", *, at: float = NOW) -> bytes:
        """A call that the context allows."""
        return self.call("fs.read", at=at, path=path)


@dataclass
class Service:
    """The issuer of tokens and the sessions that were opened."""

    issuer: TokenIssuer
    context: SecurityContext
    sessions: MemorySessionStore

    def agent(
        self,
        workload_id: str = "workload-1",
        *,
        opened_at: float = NOW - 1,
        lifetime: int = 3600,
        protocol: str = "smcp/v1",
        scope: str = "docs",
        bound: bool = True,
        allowed_tools: list[str] | None = None,
    ) -> Agent:
        """An agent that was attested."""
        key = Ed25519Key()
        issued = self.issuer.issue(
            scope=scope,
            workload_id=workload_id,
            key=key if bound else None,
            protocol=protocol,
            lifetime_seconds=lifetime,
            now=opened_at,
        )
        claims = issued.claims
        assert claims.session_id is not None
        session = Session(
            claims.session_id,
            claims.agent_id,
            workload_id,
            scope,
            key.get_public_key_bytes(),
            opened_at,
            claims.expires_at,
            protocol=protocol,
            allowed_tools=allowed_tools,
        )
        self.sessions.open(session, opened_at)
        return Agent(issued.token, key, claims.session_id, protocol)


@pytest.fixture
def service() -> Service:
    return Service(
        TokenIssuer.generate(issuer="gateway", audience="docs-service"),
        SecurityContext.from_yaml(CONTEXT),
        MemorySessionStore(),
    )


@pytest.fixture
def agent(service: Service) -> Agent:
    return service.agent()


@pytest.fixture
def refusal() -> Callable[[Callable[[], object]], str | None]:
    """The code of the error an action raises."""
    from smcp import SMCPError

    def code(action: Callable[[], object]) -> str | None:
        with pytest.raises(SMCPError) as caught:
            action()
        return caught.value.code

    return code
