"""A forked child keeps key and token and gets its own runtime, connections and locks."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from smcp import AsyncSMCPClient, SMCPClient
from smcp.testing import MockGateway

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")


def in_child(work: Callable[[], None]) -> None:
    """Runs `work` in a forked child, which must end well within ten seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the child hangs")


def slow(arguments: dict[str, Any]) -> Any:
    time.sleep(0.1)
    return arguments


@pytest.fixture
def gateway() -> Iterator[MockGateway]:
    with MockGateway({"slow": slow}) as gateway:
        yield gateway


def test_the_child_calls_with_the_parents_session(gateway: MockGateway) -> None:
    client = SMCPClient(gateway.url, "w", "s")
    token = client.attest()
    client.call_tool("slow", {})

    def work() -> None:
        assert client.security_token == token
        assert client.call_tool("slow", {"child": 1}) == {"child": 1}
        client.attest()
        assert client.security_token != token
        assert client.call_tool("slow", {"child": 2}) == {"child": 2}
        client.close()

    in_child(work)
    assert client.security_token == token
    assert client.call_tool("slow", {"parent": 1}) == {"parent": 1}


def test_a_fork_during_other_threads_calls(gateway: MockGateway) -> None:
    client = SMCPClient(gateway.url, "w", "s")
    client.attest()
    stop = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        while not stop.is_set():
            try:
                client.call_tool("slow", {"busy": 1})
                client.attest()
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()

    def child() -> None:
        for number in range(3):
            assert client.call_tool("slow", {"n": number}) == {"n": number}
        client.attest()

    try:
        for delay in (0.0, 0.01, 0.03, 0.05, 0.07, 0.11, 0.13, 0.17):
            time.sleep(delay)
            in_child(child)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_the_child_may_drop_the_parents_client(gateway: MockGateway) -> None:
    clients = [SMCPClient(gateway.url, "w", "s") for _ in range(3)]
    for client in clients:
        client.attest()

    def child() -> None:
        clients.clear()

    in_child(child)
    assert clients[0].call_tool("slow", {"a": 1}) == {"a": 1}


def test_children_of_children_and_async(gateway: MockGateway) -> None:
    client = SMCPClient(gateway.url, "w", "s")
    client.attest()
    other = AsyncSMCPClient(gateway.url, "w", "s")
    asyncio.run(other.attest())

    def grandchild() -> None:
        assert client.call_tool("slow", {"a": 1}) == {"a": 1}
        assert asyncio.run(other.call_tool("slow", {"b": 1})) == {"b": 1}

    def child() -> None:
        grandchild()
        in_child(grandchild)

    in_child(child)
