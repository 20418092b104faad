"""The async client."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from smcp import AsyncSMCPClient, SMCPConnectionError, SMCPError, SMCPHTTPError
from smcp.testing import MockGateway


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def test_round_trip() -> None:
    async def main() -> None:
        with MockGateway({"echo": lambda arguments: arguments}) as gateway:
            async with AsyncSMCPClient(gateway.url, "w", "s") as client:
                with pytest.raises(SMCPError, match="Must attest"):
                    await client.call_tool("echo", {})
                token = await client.attest()
                assert client.security_token == token
                assert client.expires_at is not None
                assert await client.call_tool("echo", {"a": 1.5}) == {"a": 1.5}
                assert [tool["name"] for tool in await client.list_tools()] == ["echo"]
                assert await client.send({"jsonrpc": "2.0", "id": 1, "method": "ping"}) == {
                    "jsonrpc": "2.0",
                    "id": 1,
                    "result": {},
                }
                with pytest.raises(SMCPHTTPError) as caught:
                    await client.call_tool("other", {})
                assert caught.value.status_code == 2000
                with pytest.raises(SMCPError) as refused:
                    await client.call_tool("echo", {"a": float("nan")})
                assert refused.value.status_code == 1000
                key = client.key
            with pytest.raises(SMCPError):
                key.sign(b"m")

    run(main())


def test_many_tasks_share_one_attestation_and_run_at_once() -> None:
    def slow(arguments: dict[str, Any]) -> Any:
        time.sleep(0.2)
        return arguments

    async def main() -> None:
        with MockGateway({"slow": slow}) as gateway:
            client = AsyncSMCPClient(gateway.url, "w", "s")
            tokens = await asyncio.gather(*(client.attest() for _ in range(5)))
            assert len(set(tokens)) == len(gateway.attestations) < 5
            begun = time.monotonic()
            results = await asyncio.gather(*(client.call_tool("slow", {"n": number}) for number in range(20)))
            assert [result["n"] for result in results] == list(range(20))
            assert time.monotonic() - begun < 2.5
            await client.aclose()

    run(main())


def test_cancelling_aborts_the_request() -> None:
    closed = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(65536):
                pass
        closed.set()

    thread = threading.Thread(target=serve)
    thread.start()

    async def main() -> None:
        client = AsyncSMCPClient(f"http://127.0.0.1:{listener.getsockname()[1]}", "w", "s")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.attest()
        assert await asyncio.to_thread(closed.wait, 5), "the connection is closed at once"
        task = asyncio.create_task(client.attest())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    thread.join()
    listener.close()


def test_a_cancelled_caller_does_not_take_the_others_with_it() -> None:
    def slow_gateway_tool(arguments: dict[str, Any]) -> Any:
        time.sleep(0.3)
        return arguments

    async def main() -> None:
        with MockGateway({"t": slow_gateway_tool}) as gateway:
            client = AsyncSMCPClient(gateway.url, "w", "s")
            first = asyncio.create_task(client.attest())
            second = asyncio.create_task(client.attest())
            await asyncio.sleep(0)
            first.cancel()
            assert isinstance(await second, str)
            calls = [asyncio.create_task(client.call_tool("t", {"n": number})) for number in range(4)]
            await asyncio.sleep(0.05)
            calls[0].cancel()
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert isinstance(done[0], asyncio.CancelledError)
            assert done[1:] == [{"n": 1}, {"n": 2}, {"n": 3}]

    run(main())


def test_connection_errors() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(SMCPConnectionError):
            await AsyncSMCPClient(url, "w", "s", max_retries=0).attest()

    run(main())


def test_one_client_in_several_loops() -> None:
    with MockGateway({"echo": lambda arguments: arguments}) as gateway:
        client = AsyncSMCPClient(gateway.url, "w", "s")

        async def attest() -> None:
            await client.attest()

        async def call() -> None:
            assert await client.call_tool("echo", {"a": 1}) == {"a": 1}

        run(attest())
        run(call())
        run(call())


def test_an_abandoned_loop_is_no_error() -> None:
    def slow(arguments: dict[str, Any]) -> Any:
        time.sleep(0.3)
        return arguments

    with MockGateway({"slow": slow}) as gateway:
        client = AsyncSMCPClient(gateway.url, "w", "s")
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.attest())
        task = loop.create_task(client.call_tool("slow", {}))
        loop.run_until_complete(asyncio.sleep(0.05))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()
        time.sleep(0.5)
        del client
        gc.collect()
