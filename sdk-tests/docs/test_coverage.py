# ruff: noqa: D103 - the names of these tests are sentences
"""`sdk-tests/coverage.md` names only vectors and tests that exist, `docs/security.md` only rules and tests."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "sdk-tests" / "coverage.md"
THREATS = ROOT / "docs" / "security.md"
FILES = {
    "checks": "smcp-envelope-checks",
    "py": "smcp-envelopes-py",
    "ts": "smcp-envelopes-ts",
    "ed25519": "smcp-ed25519-edge",
    "gateway": "smcp-gateway",
    "divergence": "smcp-divergence",
    "native": "smcp-native-values",
    "rfc": "smcp-rfc-examples",
    "http": "smcp-http",
    "keys": "smcp-keys",
    "jwt": "jwt",
    "policy": "policy",
}


def table_rows() -> list[list[str]]:
    """The cells of every row."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if row[0] not in ("rule", "file") and not row[0].startswith("---")]


def vector_patterns() -> list[tuple[str, str]]:
    """Pairs of file name and id pattern."""
    patterns = []
    for row in table_rows():
        for cell in (row[0], row[2]):
            for file, names in re.findall(r"(\w+): ((?:`[^`]+`(?:, )?)+)", cell):
                patterns += [(file, name) for name in re.findall(r"`([^`]+)`", names)]
    return patterns


def references() -> list[str]:
    """Every `path::name`."""
    found = [re.findall(r"`([\w./-]+::\w+)`", page.read_text(encoding="utf-8")) for page in (TABLE, THREATS)]
    return sorted({reference for references in found for reference in references})


@pytest.mark.parametrize(("file", "pattern"), vector_patterns())
def test_pattern_fits_a_vector(file: str, pattern: str) -> None:
    document = json.loads((ROOT / "sdk-tests" / "vectors" / f"{FILES[file]}.json").read_text(encoding="utf-8"))
    assert any(fnmatchcase(vector["id"], pattern) for vector in document["vectors"])


@pytest.mark.parametrize("reference", references())
def test_test_exists(reference: str) -> None:
    name, _, test = reference.partition("::")
    source = (ROOT / name).read_text(encoding="utf-8")
    assert re.search(rf"\b(?:fn|def) {test}\b|\b{test}:", source), f"{name} has no test `{test}`"


def test_no_vector_file_is_left_out() -> None:
    named = {FILES[file] for file, _ in vector_patterns()}
    there = {path.stem for path in (ROOT / "sdk-tests" / "vectors").glob("*.json") if not path.stem.startswith("mcps-")}
    assert there == named


def test_rule_names_are_unique() -> None:
    names = [row[0] for row in table_rows() if re.fullmatch(r"[A-Z0-9-]+", row[0])]
    assert len(names) == len(set(names)) > 60


def test_the_threat_model_names_rules_that_exist() -> None:
    rules = {row[0] for row in table_rows()}
    named = set(re.findall(r"\b[A-Z]{2,5}-[A-Z][A-Z0-9-]*\b", THREATS.read_text(encoding="utf-8")))
    assert len(named) > 30
    assert named <= rules
