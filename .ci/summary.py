"""Counts the tests of one run and fails when any failed, was skipped or did not run.

    summary.py REPORTS [--pending "PATH …"] --expect SUITE[:FOLDER[:GATE]] …   a run that went through
    summary.py REPORTS --failed                                          a run that stopped: count what there is

`REPORTS` holds one `NAME.log` of `cargo test` or `NAME.xml` (JUnit) of pytest for each suite.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

CARGO_RESULT = re.compile(
    r"^test result: \w+\. (?P<passed>\d+) passed; (?P<failed>\d+) failed; (?P<ignored>\d+) ignored;"
    r" \d+ measured; (?P<filtered>\d+) filtered out",
    re.MULTILINE,
)
CARGO_RUN_BY_ANOTHER = re.compile(r"^test \S+ \.\.\. ignored, .*run by another test$", re.MULTILINE)


@dataclass(frozen=True)
class Counts:
    """What one suite came to; a test left out counts as `skipped`, whatever its runner calls that."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)


def read_cargo_log(path: Path) -> Counts:
    """Adds up the result lines of every test binary in a log of `cargo test`."""
    log = path.read_text(encoding="utf-8", errors="replace")
    counts = Counts()
    for found in CARGO_RESULT.finditer(log):
        left_out = int(found["ignored"]) + int(found["filtered"])
        counts += Counts(int(found["passed"]), int(found["failed"]), left_out)
    # A test that needs a process of its own is started by another one, which reports for it.
    return counts + Counts(skipped=-len(CARGO_RUN_BY_ANOTHER.findall(log)))


def read_junit(path: Path) -> Counts:
    """Adds up the suites of a JUnit file; an expected failure is a skipped test there."""
    counts = Counts()
    root = ElementTree.parse(path).getroot()  # noqa: S314, our own pytest wrote it
    for suite in root.iter("testsuite"):
        tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        counts += Counts(max(tests - skipped - failed, 0), failed, skipped)
    return counts


def read_reports(folder: Path) -> dict[str, Counts]:
    """The counts of every report in `folder` by suite name."""
    counts = {path.stem: read_cargo_log(path) for path in sorted(folder.glob("*.log"))}
    counts.update({path.stem: read_junit(path) for path in sorted(folder.glob("*.xml"))})
    return counts


def find_faults(counts: dict[str, Counts], suites: list[str], pending: set[str]) -> list[str]:
    """What is wrong with a run of which every suite should be there."""
    faults = []
    for suite in suites:
        name, gate = suite.split(":")[0], suite.split(":")[-1]
        found = counts.get(name)
        if found is None:
            if gate not in pending:
                faults.append(f"suite `{name}` left no report")
        elif found.passed == 0:
            faults.append(f"suite `{name}` passed no test")
        elif found.skipped:
            faults.append(f"suite `{name}` left out {found.skipped} tests")
    return faults


def main() -> int:
    """Prints a table, what is wrong, and the closing line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path)
    parser.add_argument("--expect", nargs="*", default=[], metavar="SUITE[:FOLDER[:GATE]]")
    parser.add_argument("--pending", default="")
    parser.add_argument("--failed", action="store_true")
    arguments = parser.parse_args()

    counts = read_reports(arguments.reports)
    print()
    for name, found in counts.items():
        print(f"{name:16} {found.passed:6} passed {found.failed:4} failed {found.skipped:4} left out")
    faults = find_faults(counts, arguments.expect, set(arguments.pending.split()))
    for fault in faults:
        print(f"FAULT: {fault}")

    total = sum(counts.values(), Counts())
    # A run that stopped in a check, or whose suites are incomplete, has failed even if no test did.
    failed = max(total.failed, 1 if arguments.failed or faults else 0)
    print(f"{total.passed} passed, {failed} failed")
    return 1 if failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
