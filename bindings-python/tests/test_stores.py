"""The stores of `smcp.stores`: every replay store keeps the same rules."""

from __future__ import annotations

import hashlib
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smcp import Ed25519Key, SMCPError
from smcp.stores import (
    FileReplayStore,
    MemoryRateStore,
    MemoryReplayStore,
    MemorySessionStore,
    RateAnswer,
    RateKey,
    RateLimit,
    ReplayAnswer,
    ReplayEntry,
    ReplayStore,
    Session,
)

NEW, SEEN, STALE = ReplayAnswer.NEW, ReplayAnswer.SEEN, ReplayAnswer.STALE
BEFORE_RESTART, FULL = ReplayAnswer.BEFORE_RESTART, ReplayAnswer.FULL

T = 1_800_000_000

Make = Callable[..., ReplayStore]


def entry(
    number: int,
    timestamp: int,
    *,
    session: str = "s",
    now: float | None = None,
    window: int = 30,
    opened: float = T + 1e6,
) -> ReplayEntry:
    key = hashlib.sha256(str(number).encode()).digest()
    return ReplayEntry(key, timestamp, timestamp + window, session, opened, timestamp if now is None else now)


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes a store that was created at T."""

    def build(capacity: int = 100, per_session: int = 100) -> ReplayStore:
        if request.param == "memory":
            return MemoryReplayStore(capacity, per_session, now=T)
        return FileReplayStore(tmp_path / "replay", capacity=capacity, per_session=per_session, now=T)

    return build


def test_a_message_is_new_once(make: Make) -> None:
    store = make()
    assert store.check_and_insert(entry(1, T)) is NEW
    assert store.check_and_insert(entry(1, T)) is SEEN
    assert store.check_and_insert(entry(1, T, now=T + 30)) is SEEN
    assert store.check_and_insert(entry(2, T)) is NEW
    # The digest covers the timestamp; the same one at another second is another message.
    assert store.check_and_insert(entry(1, T + 1)) is NEW


def test_an_entry_lives_until_its_window_has_passed(make: Make) -> None:
    store = make()
    assert store.check_and_insert(entry(1, T + 20, now=T)) is NEW
    assert store.check_and_insert(entry(1, T + 20, now=T + 50)) is SEEN
    assert store.check_and_insert(entry(1, T + 20, now=T + 51)) is STALE


def test_a_clock_stepped_back_reopens_nothing(make: Make) -> None:
    store = make()
    assert store.check_and_insert(entry(1, T)) is NEW
    assert store.check_and_insert(entry(2, T + 100)) is NEW
    assert store.check_and_insert(entry(1, T, now=T)) is STALE
    assert store.check_and_insert(entry(3, T, now=T)) is STALE
    assert store.check_and_insert(entry(4, T - 5, now=T)) is STALE
    assert store.check_and_insert(entry(5, T + 1, now=T)) is NEW


def test_what_is_not_fresh_for_the_store_is_not_remembered(make: Make) -> None:
    store = make()
    assert store.check_and_insert(entry(1, T, now=T + 31)) is STALE
    assert store.check_and_insert(entry(2, T + 31, now=T)) is STALE
    assert store.check_and_insert(entry(3, T + 30, now=T)) is NEW


def test_full_stores_refuse_and_forget_nothing_fresh(make: Make) -> None:
    store = make(capacity=3, per_session=2)
    assert store.check_and_insert(entry(1, T)) is NEW
    assert store.check_and_insert(entry(2, T)) is NEW
    assert store.check_and_insert(entry(3, T)) is FULL
    assert store.check_and_insert(entry(4, T, session="t")) is NEW
    assert store.check_and_insert(entry(5, T, session="u")) is FULL
    for number, session in ((1, "s"), (2, "s"), (4, "t")):
        assert store.check_and_insert(entry(number, T, session=session)) is SEEN
    later = T + 31
    for number in (11, 12):
        assert store.check_and_insert(entry(number, later)) is NEW
    assert store.check_and_insert(entry(13, later)) is FULL
    assert store.check_and_insert(entry(14, later, session="t")) is NEW


def test_sessions_opened_before_the_store(make: Make) -> None:
    store = make()
    assert store.check_and_insert(entry(1, T, opened=T - 1)) is BEFORE_RESTART
    assert store.check_and_insert(entry(2, T, opened=T)) is NEW
    assert store.check_and_insert(entry(3, T + 61, opened=T - 1)) is NEW


def test_threads_and_one_message(make: Make) -> None:
    store = make(capacity=10_000, per_session=10_000)
    answers: list[object] = []

    def work() -> None:
        answers.extend(store.check_and_insert(entry(number, T)) for number in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (answers.count(NEW), answers.count(SEEN)) == (50, 350)


def forge_header(path: Path, boot: bytes) -> None:
    """Writes another boot id into the header, as if the machine had been started again since."""
    content = path.read_bytes()
    header = content[:32] + boot + bytes(8)
    path.write_bytes(header + hashlib.sha256(header).digest()[:8] + content[64:])


def test_a_file_is_kept_and_shared(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    one, two = FileReplayStore(path, now=T), FileReplayStore(path, now=T)
    assert one.check_and_insert(entry(1, T)) is NEW
    assert two.check_and_insert(entry(1, T)) is SEEN
    assert two.check_and_insert(entry(2, T + 100)) is NEW
    assert one.check_and_insert(entry(3, T, now=T)) is STALE
    one.close()
    two.close()
    three = FileReplayStore(path, now=T + 1000)
    assert three.check_and_insert(entry(1, T, now=T)) is STALE
    assert three.check_and_insert(entry(2, T + 100)) is SEEN
    assert len(three) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [left.name for left in tmp_path.iterdir()] == ["replay"]


def test_a_lost_file_is_a_store_that_was_just_made(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    store, other = FileReplayStore(path, now=T), FileReplayStore(path, now=T)
    assert store.check_and_insert(entry(1, T + 5, opened=T + 1)) is NEW
    path.unlink()
    assert store.check_and_insert(entry(1, T + 5, opened=T + 1, now=T + 6)) is BEFORE_RESTART
    assert other.check_and_insert(entry(2, T + 7, opened=T + 7)) is NEW
    assert store.check_and_insert(entry(2, T + 7, opened=T + 7)) is SEEN


def test_a_file_from_before_the_machine_started(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    running, before = FileReplayStore(path, now=T), entry(1, T + 5, opened=T + 1)
    assert running.check_and_insert(before) is NEW
    assert FileReplayStore(path, now=T + 10).check_and_insert(entry(2, T + 11, opened=T + 1)) is NEW
    running.close()
    forge_header(path, b"another boot\0\0\0\0")
    store = FileReplayStore(path, now=T + 10)
    assert store.check_and_insert(entry(1, T + 5, opened=T + 1, now=T + 12)) is BEFORE_RESTART
    assert store.check_and_insert(entry(4, T + 12, opened=T + 10)) is NEW
    assert len(store) == 1
    assert running.check_and_insert(entry(4, T + 12, opened=T + 10)) is SEEN


def test_files_that_cannot_be_trusted(tmp_path: Path, refusal: Callable[[Callable[[], object]], str | None]) -> None:
    path = tmp_path / "replay"
    FileReplayStore(path).close()
    path.chmod(0o660)
    assert refusal(lambda: FileReplayStore(path)) == "CONFIG_INVALID"
    path.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert refusal(lambda: FileReplayStore(link)) == "CONFIG_INVALID"
    assert refusal(lambda: FileReplayStore(tmp_path)) == "CONFIG_INVALID"
    assert refusal(lambda: FileReplayStore(tmp_path / "missing" / "replay")) == "CONFIG_INVALID"
    other = tmp_path / "other"
    other.write_bytes(b"x" * 640)
    other.chmod(0o600)
    assert refusal(lambda: FileReplayStore(other)) == "CONFIG_INVALID"
    assert other.read_bytes() == b"x" * 640
    other.write_bytes(b"")
    assert refusal(lambda: FileReplayStore(other)) == "INTERNAL_ERROR"


def test_a_damaged_file_refuses(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    store = FileReplayStore(path, now=T)
    assert store.check_and_insert(entry(1, T)) is NEW
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert store.check_and_insert(entry(2, T)) is NEW
    with pytest.raises(SMCPError) as caught:
        FileReplayStore(path)
    assert (caught.value.code, caught.value.http_status) == ("INTERNAL_ERROR", 500)
    path.write_bytes(content[:64])
    with pytest.raises(SMCPError) as caught:
        store.check_and_insert(entry(1, T))
    assert caught.value.code == "INTERNAL_ERROR"


def test_a_record_of_a_process_that_was_killed_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    store = FileReplayStore(path, now=T)
    assert store.check_and_insert(entry(1, T)) is NEW
    with path.open("ab") as file:
        file.write(b"torn")
    assert store.check_and_insert(entry(1, T)) is SEEN
    assert store.check_and_insert(entry(2, T)) is NEW
    assert path.stat().st_size == 3 * 64
    assert len(FileReplayStore(path)) == 2


def test_a_file_held_by_another_refuses_in_time(tmp_path: Path) -> None:
    import fcntl
    import time

    path = tmp_path / "replay"
    store = FileReplayStore(path, now=T)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        began = time.monotonic()
        with pytest.raises(SMCPError) as caught:
            store.check_and_insert(entry(1, T))
        assert (caught.value.code, caught.value.http_status) == ("OVERLOADED", 503)
        assert caught.value.details == {"retry_after": 1}
        assert 4 < time.monotonic() - began < 8
    assert store.check_and_insert(entry(1, T)) is NEW


def test_a_full_disk_refuses_and_leaves_the_file_whole(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = tmp_path / "replay"
    program = """
import resource, sys
from smcp import SMCPError
from smcp.stores import FileReplayStore, ReplayEntry
T = 1_800_000_000
def entry(number):
    return ReplayEntry(bytes([number]) * 32, T, T + 30, "s", T + 1e6, T)
store = FileReplayStore(sys.argv[1], now=T)
print(store.check_and_insert(entry(1)).name)
resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 2 + 10, resource.RLIM_INFINITY))
try:
    print(store.check_and_insert(entry(2)).name)
except SMCPError as error:
    print(error.code)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(store.check_and_insert(entry(1)).name, store.check_and_insert(entry(2)).name, len(store))
"""
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["NEW", "INTERNAL_ERROR", "SEEN", "NEW", "2"]


def test_a_log_of_the_past_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    one, two = FileReplayStore(path, now=T), FileReplayStore(path, now=T)
    largest = 0
    for number in range(6000):
        store = (one, two)[number % 2]
        at = T + number // 100
        assert store.check_and_insert(entry(number, at, window=5)) is NEW
        if number % 100 == 0:
            assert (two, one)[number % 2].check_and_insert(entry(number, at, window=5)) is SEEN
        largest = max(largest, path.stat().st_size)
    assert largest <= 64 * (2 * 700 + 4096 + 100)
    assert path.stat().st_size < largest
    assert len(one) == len(two) <= 600
    assert one.check_and_insert(entry(0, T, window=5, now=T)) is STALE
    assert [left.name for left in tmp_path.iterdir()] == ["replay"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_processes_and_one_file(tmp_path: Path) -> None:
    """Six processes that show the same messages, with a log that is written anew in between."""
    import subprocess
    import sys

    path = tmp_path / "replay"
    program = """
import hashlib, sys
from smcp.stores import FileReplayStore, ReplayAnswer, ReplayEntry
T = 1_800_000_000
store = FileReplayStore(sys.argv[1], now=T)
taken = 0
for number in range(8000):
    at = T + number // 100
    key = hashlib.sha256(str(number).encode()).digest()
    # Stamped now at the pace of the fastest; the others find them seen or stale.
    taken += store.check_and_insert(ReplayEntry(key, at, at + 60, "s", T + 1e6, at)) is ReplayAnswer.NEW
print(taken)
"""
    workers = [
        subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    taken = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert sum(taken) == 8000, taken


def session(number: int, *, workload: str = "w", key: bytes | None = None, expires: float = T + 60) -> Session:
    key = Ed25519Key().get_public_key_bytes() if key is None else key
    return Session(f"session-{number}", f"agent-{number}", workload, "docs", key, T, expires)


def test_sessions_in_memory(refusal: Callable[[Callable[[], object]], str | None]) -> None:
    store = MemorySessionStore(3)
    first = session(1, expires=T + 10)
    store.open(first, T)
    assert store.find("session-1") == first
    assert store.find("session-2") is None
    assert store.find_by_agent("agent-1", T + 9) == first
    assert store.find_by_agent("agent-1", T + 10) is None
    assert store.live_key_owner(first.key, T) == "w"
    assert refusal(lambda: store.open(session(1), T)) == "INTERNAL_ERROR"
    assert refusal(lambda: store.open(session(2, workload="other", key=first.key), T)) == "KEYPAIR_MISMATCH"
    store.open(session(3), T)
    store.open(session(4), T)
    assert refusal(lambda: store.open(session(5), T)) == "OVERLOADED"
    store.open(session(5), T + 10)
    assert [known.id for known in store.sessions(now=T + 10)] == ["session-3", "session-4", "session-5"]
    assert [known.id for known in store.expire(now=T + 10)] == ["session-1"]
    assert store.end("session-3") is not None
    found = store.find("session-3")
    assert found is not None
    assert found.state == "ended"


def test_revocations_block_until_they_are_lifted() -> None:
    store = MemorySessionStore()
    one = session(1)
    store.open(one, T)
    revoked = store.revoke("session-1", now=T)
    assert revoked is not None
    assert revoked.state == "revoked"
    assert store.revoke("unknown") is None
    assert store.blocked("w", Ed25519Key().get_public_key_bytes(), T)
    assert store.blocked("other", one.key, T)
    with pytest.raises(SMCPError) as caught:
        store.open(session(2), T)
    assert caught.value.code == "WORKLOAD_VERIFICATION_FAILED"
    assert [(block.workload_id, block.until) for block in store.blocks(now=T)] == [("w", None)]
    assert store.allow("w")
    assert not store.allow("w")
    store.open(session(2), T)
    store.revoke("session-2", block=60, now=T)
    assert [block.until for block in store.blocks(now=T)] == [T + 60]
    assert not store.blocked("w", one.key, T + 60)
    store.open(session(3, workload="x"), T)
    store.revoke("session-3", block=False, now=T)
    assert not store.blocked("x", one.key, T)


def test_sessions_are_checked_when_they_are_made() -> None:
    key = Ed25519Key().get_public_key_bytes()
    for change in (
        {"key": bytes(32)},
        {"key": b"short"},
        {"state": "dead"},
        {"opened_at": float("nan")},
        {"allowed_tools": [""]},
    ):
        members: dict[str, Any] = {
            "id": "s",
            "agent_id": "a",
            "workload_id": "w",
            "context": "c",
            "key": key,
            "opened_at": 1.0,
            "expires_at": 2.0,
            **change,
        }
        with pytest.raises(SMCPError) as caught:
            Session(**members)
        assert caught.value.code == "INVALID_ARGUMENT"
    made = Session("s", "a", "w", "c", key, 1.5, 2, allowed_tools=["fs.*"], tenant_id="t", protocol="seal/v1")
    assert (made.opened_at, made.expires_at, made.allowed_tools, made.tenant_id) == (1.5, 2.0, ["fs.*"], "t")
    assert (made.key, made.protocol, made.state, made.execution_id) == (key, "seal/v1", "live", None)


def test_rates_in_memory() -> None:
    store = MemoryRateStore(3, 2)
    limit = RateLimit(1, 10)

    def charge(workload: str, now: float) -> RateAnswer:
        return store.check_and_charge(RateKey(workload, "c", 0), limit, now)

    assert charge("w", T) == RateAnswer.CHARGED
    assert charge("w", T + 4) == RateAnswer.exceeded(6)
    assert charge("w", T + 9.999) == RateAnswer.exceeded(1)
    assert charge("w", T + 10) == RateAnswer.CHARGED
    assert charge("x", T + 10) == RateAnswer.CHARGED
    assert charge("y", T + 10) == RateAnswer.CHARGED
    assert charge("z", T + 10) == RateAnswer.FULL
    assert RateKey("w", "c", 0) == RateKey("w", "c", 0)
    assert len({RateKey("w", "c", 0), RateKey("w", "c", 0), RateKey("w", "c", 1)}) == 2
