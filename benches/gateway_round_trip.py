"""One signed call through a real gateway and back, beside a plain HTTP round trip and raw Ed25519 in the same rounds.

    python benches/gateway_round_trip.py [--rounds N] [--calls N]

Starts `smcp gateway` (the command named by SMCP_BIN, else the one on the path) on a free loopback port with the
built-in filesystem connector over a temporary folder.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from smcp import SMCPClient

READY_SECONDS = 20


def free_port() -> int:
    """A loopback port that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settings(folder: Path, port: int) -> dict[str, object]:
    """A gateway for one context that reads the files of one folder."""
    root = str(folder / "files")
    return {
        "listen": f"127.0.0.1:{port}",
        "operator": {"enabled": False},
        "state_folder": str(folder / "state"),
        "contexts": {
            "inline": [
                {
                    "name": "bench",
                    "description": "Reads the files of one folder.",
                    "capabilities": [{"tool_pattern": "fs.read", "path_allowlist": [root]}],
                }
            ]
        },
        "grants": {"*": ["bench"]},
        "attestation": {"verifier": "allow_all"},
        "upstreams": [{"name": "files", "filesystem": {"roots": [root]}}],
    }


def is_ready(url: str) -> bool:
    """Whether the gateway answers that it is ready."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def running_gateway(folder: Path) -> Iterator[str]:
    """The URL of a gateway that is ready."""
    (folder / "files").mkdir()
    (folder / "files" / "note.txt").write_text("a small file\n" * 10, encoding="utf-8")
    port = free_port()
    config = folder / "gateway.json"
    config.write_text(json.dumps(settings(folder, port)), encoding="utf-8")
    command = os.environ.get("SMCP_BIN") or shutil.which("smcp")
    if command is None:
        raise SystemExit("no `smcp` command: set SMCP_BIN")
    log = folder / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            [command, "gateway", "--config", str(config)], stdout=output, stderr=output
        )
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + READY_SECONDS
        while not is_ready(url):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the gateway did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


def time_each(operation: Callable[[], object], count: int) -> list[float]:
    """Seconds of each operation."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        operation()
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=50)
    arguments = parser.parse_args()

    private = Ed25519PrivateKey.generate()
    public, message = private.public_key(), b"m" * 700
    signature = private.sign(message)
    with tempfile.TemporaryDirectory() as name, running_gateway(Path(name)) as url:
        path = str(Path(name) / "files" / "note.txt")
        client = SMCPClient(url, "bench-workload", "bench")
        client.attest()
        plain = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)

        def plain_round_trip() -> None:
            plain.request("GET", "/healthz")
            plain.getresponse().read()

        cases: dict[str, Callable[[], object]] = {
            "raw verify": lambda: public.verify(signature, message),
            "plain HTTP, GET /healthz": plain_round_trip,
            "signed call of fs.read": lambda: client.call_tool("fs.read", {"path": path}),
        }
        times: dict[str, list[list[float]]] = {case: [] for case in cases}
        for _ in range(arguments.rounds):
            for case, operation in cases.items():
                times[case].append(time_each(operation, arguments.calls))
        plain.close()
        client.close()

    print("\ngateway round trip on loopback, one call at a time: ratio to raw Ed25519 of `cryptography`")
    for case, rounds in times.items():
        raw = times["raw verify"]
        ratios = sorted(
            statistics.median(ours) / statistics.median(reference) for ours, reference in zip(rounds, raw, strict=True)
        )
        every = sorted(single for one in rounds for single in one)
        print(
            f"{case:28} p50 {every[len(every) // 2] * 1e6:9.1f} µs  p99 {every[len(every) * 99 // 100] * 1e6:9.1f} µs"
            f" {statistics.median(ratios):8.2f} x [{ratios[0]:.2f}-{ratios[-1]:.2f}]"
        )


if __name__ == "__main__":
    main()
