"""Secure Model Context Protocol: attested agents, signed tool calls, policy and audit.

``SMCPClient`` attests and calls tools through a gateway; ``EnvelopeVerifier`` receives calls inside a service as a
gateway does; ``Gateway`` runs one.
Importing this package starts no thread and opens nothing.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ._native import VERSION as __version__  # noqa: N811
from .client import SMCPClient
from .crypto import Ed25519Key
from .envelope import create_canonical_message, create_smcp_envelope
from .errors import SMCPConnectionError, SMCPError, SMCPHTTPError, SMCPTimeoutError, SMCPToolError

# A library leaves it to the program where its log goes; without this, Python would print warnings to standard error.
logging.getLogger(__name__).addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from .aio import AsyncSMCPClient
    from .attest import AttestationService
    from .gateway import Gateway
    from .policy import PolicyEngine, SecurityContext
    from .stores import FileReplayStore
    from .token import TokenIssuer
    from .verifier import EnvelopeVerifier

__all__ = [
    "AsyncSMCPClient",
    "AttestationService",
    "Ed25519Key",
    "EnvelopeVerifier",
    "FileReplayStore",
    "Gateway",
    "PolicyEngine",
    "SMCPClient",
    "SMCPConnectionError",
    "SMCPError",
    "SMCPHTTPError",
    "SMCPTimeoutError",
    "SMCPToolError",
    "SecurityContext",
    "TokenIssuer",
    "__version__",
    "create_canonical_message",
    "create_smcp_envelope",
]


# What most programs do not need is imported when it is asked for.
_LATER: Final = {
    "AsyncSMCPClient": "aio",
    "AttestationService": "attest",
    "EnvelopeVerifier": "verifier",
    "FileReplayStore": "stores",
    "Gateway": "gateway",
    "PolicyEngine": "policy",
    "SecurityContext": "policy",
    "TokenIssuer": "token",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{module}", __name__), name)
