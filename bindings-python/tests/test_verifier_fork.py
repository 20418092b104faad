"""Verifiers in forked workers: one envelope for all of them, locks, and the warning."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from smcp import SMCPError
from smcp.stores import FileReplayStore
from smcp.verifier import EnvelopeVerifier

from .conftest import NOW, Agent, Service

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")


def fork(work: Callable[[], int]) -> int:
    """Starts `work` in a child, whose exit status is its result."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os._exit(work())
        except BaseException:
            traceback.print_exc()
            os._exit(99)
    return pid


def wait(pid: int) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the child hangs")


def shared(service: Service, replay: FileReplayStore) -> EnvelopeVerifier:
    return EnvelopeVerifier(
        keys=service.issuer.public_key, contexts=[service.context], sessions=service.sessions, replay=replay
    )


def accepted(verifier: EnvelopeVerifier, body: bytes, now: float) -> int:
    try:
        verifier.receive(body, now=now)
    except SMCPError as error:
        if error.code != "REPLAY_DETECTED":
            raise
        return 0
    return 1


def in_future(service: Service) -> tuple[Agent, float]:
    """An agent attested after the store was made, and its time."""
    now = float(int(time.time()) + 1)
    return service.agent(opened_at=now), now


def test_four_workers_with_one_file_accept_an_envelope_once(service: Service, tmp_path: Path) -> None:
    verifier = shared(service, FileReplayStore(tmp_path / "replay"))
    agent, now = in_future(service)
    bodies = [agent.read(at=now) for _ in range(25)]
    reader, writer = os.pipe()

    def work() -> int:
        # All workers begin together.
        os.close(writer)
        os.read(reader, 1)
        return sum(accepted(verifier, body, now) for body in bodies)

    workers = [fork(work) for _ in range(4)]
    os.close(reader)
    os.close(writer)
    taken = [wait(worker) for worker in workers]
    assert sum(taken) == len(bodies), taken
    assert accepted(verifier, bodies[0], now) == 0


def test_workers_that_open_the_file_themselves(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "replay"
    FileReplayStore(path).close()
    agent, now = in_future(service)
    body = agent.read(at=now)
    workers = [fork(lambda: accepted(shared(service, FileReplayStore(path)), body, now)) for _ in range(4)]
    assert sorted(wait(worker) for worker in workers) == [0, 0, 0, 1]


def test_a_fork_while_other_threads_receive(service: Service, tmp_path: Path) -> None:
    """A lock that another thread holds at the fork would hang the child."""
    stop = threading.Event()
    agent, now = in_future(service)
    file = shared(service, FileReplayStore(tmp_path / "replay"))
    memory = EnvelopeVerifier(
        keys=service.issuer.public_key, contexts=[service.context], sessions=service.sessions, now=now
    )

    def load(verifier: EnvelopeVerifier) -> None:
        while not stop.is_set():
            verifier.receive(agent.read(at=now), now=now)

    threads = [threading.Thread(target=load, args=(verifier,)) for verifier in (memory, memory, file, file)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):

            def work() -> int:
                # Ids that the parent's threads do not use, which go on counting.
                agent.ids = iter(range(os.getpid() * 10**9, 10**18))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    one = accepted(memory, agent.read(at=now), now)
                    return 10 * one + accepted(file, agent.read(at=now), now)

            assert wait(fork(work)) == 11
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_threads_that_fork_at_the_same_time(service: Service, tmp_path: Path) -> None:
    stores = [FileReplayStore(tmp_path / f"{number}") for number in range(3)]
    agent, now = in_future(service)
    verifiers = [shared(service, store) for store in stores]
    results: list[int] = []

    def work() -> None:
        for verifier in verifiers:
            body = agent.read(at=now)
            results.append(wait(fork(lambda verifier=verifier, body=body: accepted(verifier, body, now))))  # type: ignore[misc]

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert results == [1] * 12


def test_a_worker_with_a_memory_store_is_warned_once(
    service: Service, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = EnvelopeVerifier(
        keys=service.issuer.public_key, contexts=[service.context], sessions=service.sessions, now=NOW - 120
    )

    def work() -> int:
        with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING, "smcp"):
            warnings.simplefilter("always")
            for _ in range(3):
                verifier.receive(agent.read(), now=NOW)
        messages = [str(warning.message) for warning in caught if warning.category is RuntimeWarning]
        logged = [record for record in caplog.records if "FileReplayStore" in record.getMessage()]
        return 10 * len(messages) + len(logged) if all("FileReplayStore" in message for message in messages) else 98

    assert wait(fork(work)) == 11
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verifier.receive(agent.read(), now=NOW)


def test_no_warning_with_a_file(service: Service, tmp_path: Path) -> None:
    verifier = shared(service, FileReplayStore(tmp_path / "replay"))
    agent, now = in_future(service)

    def work() -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return accepted(verifier, agent.read(at=now), now)

    assert wait(fork(work)) == 1


def test_sessions_revoked_before_the_fork_stay_revoked(service: Service, tmp_path: Path) -> None:
    verifier = shared(service, FileReplayStore(tmp_path / "replay"))
    agent, now = in_future(service)
    service.sessions.revoke(agent.session_id)

    def work() -> int:
        try:
            verifier.receive(agent.read(at=now), now=now)
        except SMCPError as error:
            return 1 if error.code == "SESSION_INACTIVE" else 2
        return 3

    assert wait(fork(work)) == 1
