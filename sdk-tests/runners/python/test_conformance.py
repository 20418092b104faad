"""Every vector of every file through the Python package; ``VECTORS`` names another folder of the same format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from files import FILES
from vectors import FOLDER, Mismatch, Vector, compare, read

from smcp.errors import SMCPError


@pytest.mark.parametrize("name", FILES)
def test_file(name: str) -> None:
    document = read(name)
    failures = []
    for vector in document["vectors"]:
        try:
            FILES[name](document, vector)
        except Mismatch as mismatch:
            failures.append(f"{vector['id']}: {mismatch}")
    assert len(document["vectors"]) == document["count"] > 0
    assert not failures, f"{len(failures)} of {document['count']}\n" + "\n".join(failures)


def test_every_file_is_registered() -> None:
    ours = {path.name for path in FOLDER.glob("*.json") if not path.name.startswith("mcps-")}
    assert ours == FILES.keys(), "a file nobody runs, or one that is not there"


def test_the_comparison_can_fail() -> None:
    refusal = SMCPError("m", 1001)
    wrong: list[tuple[Vector, Any]] = [
        ({"expect": "accept"}, refusal),
        ({"expect": "reject"}, {}),
        ({"expect": "reject", "stage": ["timestamp-window"]}, refusal),
        ({"expect": "something else"}, {}),
    ]
    for vector, result in wrong:
        with pytest.raises(Mismatch):
            compare(vector, result)
    assert compare({"expect": "accept"}, {})
    assert not compare({"expect": "reject", "stage": ["signature"]}, refusal)
    with pytest.raises(KeyError):
        compare({"expect": "reject", "stage": ["unknown"]}, refusal)
