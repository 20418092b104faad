"""Secure Model Context Protocol: attested agents, signed tool calls, policy and audit.

``SMCPClient`` attests and calls tools through a gateway; ``smcp.server`` verifies envelopes inside a service.
Importing this package starts no thread and opens nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ._native import VERSION as __version__  # noqa: N811
from .client import SMCPClient
from .crypto import Ed25519Key
from .envelope import create_canonical_message, create_smcp_envelope
from .errors import SMCPConnectionError, SMCPError, SMCPHTTPError, SMCPTimeoutError, SMCPToolError

# A library leaves it to the program where its log goes; without this, Python would print warnings to standard error.
logging.getLogger(__name__).addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from .aio import AsyncSMCPClient

__all__ = [
    "AsyncSMCPClient",
    "Ed25519Key",
    "SMCPClient",
    "SMCPConnectionError",
    "SMCPError",
    "SMCPHTTPError",
    "SMCPTimeoutError",
    "SMCPToolError",
    "__version__",
    "create_canonical_message",
    "create_smcp_envelope",
]


def __getattr__(name: str) -> Any:
    # asyncio is slow to import, and most programs that use this package do not need it.
    if name == "AsyncSMCPClient":
        from .aio import AsyncSMCPClient  # noqa: PLC0415

        return AsyncSMCPClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
