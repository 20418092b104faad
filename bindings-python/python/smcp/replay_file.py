"""A replay store in a file, shared by the processes of one host."""

from __future__ import annotations

import os
import secrets
import stat
import threading
import time
import weakref
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ._native import ReplayEntry
from .errors import SMCPError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["FileReplayStore", "ReplayAnswer"]

# The longest freshness window of any verifier; what an earlier file may have let through is stamped no later than this
# after the file was lost.
_LONGEST_WINDOW: Final = 60
_BUSY_SECONDS: Final = 5.0
_SCHEMA_VERSION: Final = 1
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class ReplayAnswer(Enum):
    """What a replay store says of a message."""

    NEW = "new"
    """Not seen before, and remembered now."""
    SEEN = "seen"
    """Seen before: REPLAY_DETECTED."""
    STALE = "stale"
    """So old that the store may have forgotten it, or not fresh at the store's time: STALE_TIMESTAMP."""
    BEFORE_RESTART = "before_restart"
    """The session is older than the store's memory: SESSION_NOT_FOUND."""
    FULL = "full"
    """No room in the store or in the session's share: OVERLOADED."""


class FileReplayStore:
    """A bounded replay store in an SQLite file: one for all worker processes of a host, kept over restarts.

    Check and insert are one transaction, so of many processes that are shown one message exactly one takes it. A file
    that is new, was lost, or is from before the machine started answers as a store that was just made: messages of
    sessions opened before are refused with SESSION_NOT_FOUND for a minute. The file must lie on a local disk; it is made
    with mode 0600 and refused when others may write to it.
    """

    blocking: Final = True
    """Tells `receive_async` to ask this store in a thread."""

    def __init__(self, path: str | os.PathLike[str], *, capacity: int = 500_000, per_session: int = 50_000) -> None:
        """Opens the file, or makes it.

        capacity: messages remembered at one time; when it is full, new ones are refused.
        per_session: share of one session.
        """
        self.path = Path(os.path.abspath(path))
        self._capacity = capacity
        self._per_session = per_session
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._identity: tuple[int, int] | None = None
        _STORES.add(self)
        with self._lock:
            self._connect(time.time())

    def check_and_insert(self, entry: ReplayEntry, /) -> ReplayAnswer:
        """Says whether the message is new and remembers it if so.

        SMCPError OVERLOADED when other processes hold the file for seconds, INTERNAL_ERROR when it cannot be used.
        """
        import sqlite3  # noqa: PLC0415

        with self._lock:
            try:
                connection = self._connect(entry.received_at)
                connection.execute("BEGIN IMMEDIATE")
                try:
                    answer = _check_and_insert(connection, entry, self._capacity, self._per_session)
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if "locked" in str(error) or "busy" in str(error):
                    raise _failed("OVERLOADED", "the replay store is busy") from error
                raise _failed("INTERNAL_ERROR", "the replay store cannot be used") from error
            except (sqlite3.Error, OSError) as error:
                raise _failed("INTERNAL_ERROR", "the replay store cannot be used") from error
        return answer

    def close(self) -> None:
        """Closes the file; the next message opens it again."""
        with self._lock:
            self._disconnect()

    def __len__(self) -> int:
        with self._lock:
            row = self._connect(time.time()).execute("SELECT entries FROM state").fetchone()
        return int(row[0])

    def _connect(self, now: float) -> sqlite3.Connection:
        """The connection of this process to the file that has the name now."""
        try:
            status = os.stat(self.path)
            identity = (status.st_dev, status.st_ino)
        except FileNotFoundError:
            identity = None
        if self._connection is not None and identity is not None:
            if self._owner == os.getpid() and self._identity == identity:
                return self._connection
        self._disconnect()
        self._connection = _open(self.path, now)
        self._owner = os.getpid()
        status = os.stat(self.path)
        self._identity = (status.st_dev, status.st_ino)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is None:
            return
        if self._owner == os.getpid():
            self._connection.close()
        else:
            # A connection must not be used, not even closed, on the other side of a fork.
            _INHERITED.append(self._connection)
        self._connection = None

    def __repr__(self) -> str:
        return f"<FileReplayStore {str(self.path)!r}>"


_STORES: Final[weakref.WeakSet[FileReplayStore]] = weakref.WeakSet()
_INHERITED: Final[list[object]] = []
_FORK: Final = threading.Lock()
_held: list[FileReplayStore] = []


def _before_fork() -> None:
    # No transaction, and no lock inside SQLite, may be copied while it is held by another thread.
    _FORK.acquire()
    for store in list(_STORES):
        store._lock.acquire()
        _held.append(store)


def _after_fork() -> None:
    while _held:
        _held.pop()._lock.release()
    _FORK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def _failed(code: str, message: str) -> SMCPError:
    number, status = {"OVERLOADED": (4001, 503), "INTERNAL_ERROR": (4005, 500)}[code]
    return SMCPError(message, number, code=code, http_status=status)


def _open(path: Path, now: float) -> sqlite3.Connection:
    import sqlite3  # noqa: PLC0415

    if not os.path.lexists(path):
        _make(path)
    # Looked at and not opened: closing any handle of a file gives up all locks that this process has on it.
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):
        raise SMCPError(f"`{path}` is no regular file", code="CONFIG_INVALID", number=6006)
    if mode & 0o022:
        raise SMCPError(f"`{path}` may be written by others; give it mode 0600", code="CONFIG_INVALID", number=6006)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        boot = _boot_id()
        connection.execute("PRAGMA journal_mode = WAL")
        # What a crash of the machine loses is made up for by the boot id; without one every message is forced to the disk.
        connection.execute("PRAGMA synchronous = NORMAL" if boot else "PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            _prepare(connection, path, now, boot)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Makes an empty file that only its owner may read, unless another process was first."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _prepare(connection: sqlite3.Connection, path: Path, now: float, boot: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in {0, _SCHEMA_VERSION}:
        raise SMCPError(f"`{path}` is from another version of smcp", code="CONFIG_INVALID", number=6006)
    if version == 0:
        connection.execute(
            "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), created_at REAL NOT NULL, boot TEXT NOT NULL, "
            "low_water INTEGER, entries INTEGER NOT NULL)"
        )
        connection.execute("INSERT INTO state VALUES (1, ?, ?, NULL, 0)", (now, boot))
        connection.execute("CREATE TABLE seconds (timestamp INTEGER PRIMARY KEY, expires_at INTEGER NOT NULL)")
        connection.execute(
            "CREATE TABLE entries (timestamp INTEGER NOT NULL, key BLOB NOT NULL, session TEXT NOT NULL, "
            "PRIMARY KEY (timestamp, key)) WITHOUT ROWID"
        )
        connection.execute("CREATE TABLE shares (session TEXT PRIMARY KEY, entries INTEGER NOT NULL) WITHOUT ROWID")
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    elif boot:
        connection.execute("UPDATE state SET created_at = ?, boot = ? WHERE boot <> ?", (now, boot, boot))


def _check_and_insert(
    connection: sqlite3.Connection, entry: ReplayEntry, capacity: int, per_session: int
) -> ReplayAnswer:
    """The rules of section 5 step 6, inside a transaction."""
    now = int(entry.received_at // 1)
    _forget_past(connection, now)
    created_at, low_water, entries = connection.execute("SELECT created_at, low_water, entries FROM state").fetchone()
    if entry.opened_at < created_at and entry.timestamp <= created_at // 1 + _LONGEST_WINDOW:
        return ReplayAnswer.BEFORE_RESTART
    window = entry.expires_at - entry.timestamp
    if low_water is not None and entry.timestamp <= low_water:
        return ReplayAnswer.STALE
    if now > entry.expires_at or entry.timestamp - now > window:
        return ReplayAnswer.STALE
    known = connection.execute("SELECT 1 FROM entries WHERE timestamp = ? AND key = ?", (entry.timestamp, entry.key))
    if known.fetchone() is not None:
        return ReplayAnswer.SEEN
    share = connection.execute("SELECT entries FROM shares WHERE session = ?", (entry.session,)).fetchone()
    if entries >= capacity or (share is not None and share[0] >= per_session):
        return ReplayAnswer.FULL
    connection.execute("INSERT INTO entries VALUES (?, ?, ?)", (entry.timestamp, entry.key, entry.session))
    connection.execute(
        "INSERT INTO seconds VALUES (?, ?) ON CONFLICT (timestamp) DO UPDATE SET "
        "expires_at = max(expires_at, excluded.expires_at)",
        (entry.timestamp, entry.expires_at),
    )
    connection.execute(
        "INSERT INTO shares VALUES (?, 1) ON CONFLICT (session) DO UPDATE SET entries = entries + 1", (entry.session,)
    )
    connection.execute("UPDATE state SET entries = entries + 1")
    return ReplayAnswer.NEW


def _forget_past(connection: sqlite3.Connection, now: int) -> None:
    """Forgets the seconds all of whose messages have expired, oldest first, and raises the mark to the last of them."""
    while True:
        oldest = connection.execute("SELECT timestamp, expires_at FROM seconds ORDER BY timestamp LIMIT 1").fetchone()
        if oldest is None or oldest[1] >= now:
            return
        (timestamp, _) = oldest
        connection.execute(
            "UPDATE shares SET entries = entries - (SELECT count(*) FROM entries AS past WHERE past.timestamp = ? AND "
            "past.session = shares.session) WHERE session IN (SELECT session FROM entries WHERE timestamp = ?)",
            (timestamp, timestamp),
        )
        connection.execute("DELETE FROM shares WHERE entries <= 0")
        forgotten = connection.execute("DELETE FROM entries WHERE timestamp = ?", (timestamp,)).rowcount
        connection.execute("DELETE FROM seconds WHERE timestamp = ?", (timestamp,))
        connection.execute("UPDATE state SET entries = entries - ?, low_water = ?", (forgotten, timestamp))
