"""The ``smcp`` command: ``python -m smcp``."""

from __future__ import annotations

import signal
import sys

from . import _native


def main() -> int:
    """Runs the command line and returns its exit status."""
    if not _native.HAS_GATEWAY:
        sys.stderr.write("smcp: this build has no gateway and no command\n")
        return 2
    # Python's own handlers would only take note of a signal, and the interpreter does not run while the command does.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Writing to a closed pipe is an error that the command deals with itself.
    sys.stdout.flush()
    return _native.run_command(["smcp", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
