"""Writes the seeds of the fuzz targets: everything of the shared vectors that a target can be given.

    seeds.py VECTORS CORPUS

Each seed is a file named by its content, so that running it again changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Larger inputs slow a fuzzer down and teach it nothing that smaller ones do not.
LARGEST = 16 * 1024
PATH_NAMES = ("path", "paths", "file", "uri", "destination", "dir")
COMMAND_NAMES = ("command", "cmd", "argv")
DOMAIN_NAMES = ("url", "uri", "host", "domain", "endpoint", "href")


def read_vectors(path: Path) -> dict[str, Any]:
    """One vector file."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def exact_bytes(vector: dict[str, Any], name: str) -> bytes | None:
    """A member's bytes, from its `_b64` twin when there is one."""
    if encoded := vector.get(f"{name}_b64"):
        return base64.b64decode(encoded)
    text = vector.get(name)
    return text.encode() if isinstance(text, str) else None


def arguments_named(value: object, names: tuple[str, ...]) -> Iterator[str]:
    """Every string under one of these names, at any depth; arrays as the JSON text the target reads."""
    if isinstance(value, dict):
        for name, member in value.items():
            if name.lower().replace("_", "").replace("-", "") in names:
                yield member if isinstance(member, str) else json.dumps(member)
            yield from arguments_named(member, names)
    elif isinstance(value, list):
        for element in value:
            yield from arguments_named(element, names)


def make_seeds(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Pairs of target and input."""
    for path in sorted(folder.glob("smcp-*.json")):
        for vector in read_vectors(path)["vectors"]:
            for name in ("wire", "payload_source", "canonical"):
                if found := exact_bytes(vector, name):
                    yield "scan", found
                    yield "envelope", found
    tokens = read_vectors(folder / "jwt.json")
    for vector in tokens["vectors"]:
        yield "token", vector["token"].encode()
    yield "token", json.dumps({"keys": [key["jwk"] for key in tokens["keys"] if "jwk" in key]}).encode()
    for vector in read_vectors(folder / "policy.json")["vectors"]:
        arguments = vector.get("arguments")
        yield "scan", json.dumps(arguments).encode()
        for target, names in (("path", PATH_NAMES), ("command", COMMAND_NAMES), ("domain", DOMAIN_NAMES)):
            for text in arguments_named(arguments, names):
                yield target, text.encode("utf-8", "surrogatepass")


def main() -> int:
    """Writes the seeds and says how many."""
    vectors, corpus = Path(sys.argv[1]), Path(sys.argv[2])
    written: dict[str, set[str]] = {}
    for target, content in make_seeds(vectors):
        if len(content) > LARGEST:
            continue
        name = hashlib.sha256(content).hexdigest()[:20]
        if name in written.setdefault(target, set()):
            continue
        written[target].add(name)
        path = corpus / target / f"seed-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for target, names in sorted(written.items()):
        print(f"{target}: {len(names)} seeds")
    return 0 if all(written.get(target) for target in ("scan", "envelope", "token", "path", "command", "domain")) else 1


if __name__ == "__main__":
    sys.exit(main())
