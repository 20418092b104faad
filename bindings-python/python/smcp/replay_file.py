"""A replay store in a file, shared by the processes of one host."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path

from . import _native
from ._fork import FILES
from ._native import ReplayEntry

__all__ = ["FileReplayStore", "ReplayAnswer"]


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
    """A bounded replay store in a file: one for all worker processes of a host, kept over restarts.

    Check and insert happen under a lock on the file, so of many processes that are shown one message exactly one takes
    it. A file that is new, was lost, or is from before the machine started answers as a store that was just made:
    messages of sessions opened before are refused with SESSION_NOT_FOUND for a minute. The file must lie on a local
    disk in a folder that others cannot write to; it is made with mode 0600 and refused when others may write to it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        capacity: int = 500_000,
        per_session: int = 50_000,
        now: float | None = None,
    ) -> None:
        """Opens the file, or makes it.

        capacity: messages remembered at one time; when it is full, new ones are refused. All processes should give the
            same.
        per_session: share of one session.
        now: creation time of a file that is made, in place of the clock.

        SMCPError CONFIG_INVALID for a file that cannot be used.
        """
        self.path = Path(os.path.abspath(path))
        self._native = _native.NativeFileReplayStore(self.path, capacity, per_session, now)
        FILES.add(self._native)

    def check_and_insert(self, entry: ReplayEntry, /) -> ReplayAnswer:
        """Says whether the message is new and remembers it if so.

        SMCPError OVERLOADED when another process holds the file for seconds, INTERNAL_ERROR when it cannot be used.
        """
        return ReplayAnswer(self._native.check_and_insert(entry))

    def close(self) -> None:
        """Closes the file; the next message opens it again."""
        self._native.close()

    def __len__(self) -> int:
        return self._native.len(None)

    def __repr__(self) -> str:
        return f"<FileReplayStore {str(self.path)!r}>"
