"""The async client, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from . import _native
from ._host import decode, encode
from .client import ClientBase, expiry

__all__ = ["AsyncSMCPClient"]

_Deliver = Callable[[Any, BaseException | None], None]


async def _run(start: Callable[[_Deliver], _native.NativeCall]) -> Any:
    """Waits for a native call; cancelling the task aborts its request."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def deliver(result: Any, error: BaseException | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    call = start(deliver)
    try:
        return await future
    except asyncio.CancelledError:
        call.cancel()
        raise


class AsyncSMCPClient(ClientBase):
    """As SMCPClient, with coroutines. It may be used from several tasks; cancelling a task aborts its request."""

    async def attest(self) -> str:
        """Attests with a fresh key and returns the security token. Calls at the same time share one attestation."""
        try:
            session: tuple[str, str | None, str | None] = await _run(self._native.start_attest)
        finally:
            self._log_events()
        self._assigned_key = self._assigned_token = None
        return session[0]

    async def call_tool(self, tool_name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Calls a tool and returns its `result` as it is; errors as SMCPClient.call_tool."""
        encoded = self._encode_call(tool_name, arguments)
        try:
            text = await _run(lambda deliver: self._native.start_call_tool(tool_name, encoded, deliver))
        finally:
            self._log_events()
        result: dict[str, Any] = decode(text)
        return result

    async def list_tools(self) -> list[dict[str, Any]]:
        """The tools the context allows, all pages of them."""
        try:
            text = await _run(self._native.start_list_tools)
        finally:
            self._log_events()
        tools: list[dict[str, Any]] = decode(text)
        return tools

    async def send(self, payload: Mapping[str, Any]) -> dict[str, Any] | None:
        """Signs and sends a JSON-RPC message as it is; the JSON-RPC response, or None for a notification."""
        encoded = encode(payload, seal=self._protocol == "seal/v1")
        try:
            text = await _run(lambda deliver: self._native.start_send(encoded, deliver))
        finally:
            self._log_events()
        response: dict[str, Any] | None = None if text is None else decode(text)
        return response

    @property
    def expires_at(self) -> datetime | None:
        """When the token expires, as far as the gateway said."""
        return expiry(self._expires_at_text())

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
