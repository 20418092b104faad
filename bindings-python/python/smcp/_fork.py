"""What has to be done around a fork, registered once when this module is imported."""

from __future__ import annotations

import os
import weakref
from typing import Final

from . import _native

FILES: Final[weakref.WeakSet[_native.NativeFileReplayStore]] = weakref.WeakSet()
"""Stores in files; a child must not keep its parent's handles, whose locks it would share."""


def _in_child() -> None:
    for store in list(FILES):
        store.close_inherited()
    _native.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_native.before_fork, after_in_parent=_native.after_fork, after_in_child=_in_child)
