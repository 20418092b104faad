"""Checks of the whole tree that no other tool makes: links between documents, traces of the machine it was made on."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^(`{3,}).*?^\1`*\s*$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def tracked_files() -> list[Path]:
    """Every file that is committed or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return [ROOT / name for name in output.split("\0") if name and (ROOT / name).is_file()]


def heading_anchors(text: str) -> set[str]:
    """The anchors of a Markdown file, as the usual renderers make them."""
    headings = re.findall(r"^#{1,6}\s+(.+?)\s*#*$", CODE.sub(lambda found: found[0].strip("`"), text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    """Relative links of a Markdown file that lead nowhere."""
    faults = []
    for found in LINK.finditer(CODE.sub("", path.read_text(encoding="utf-8"))):
        target = unquote(found[1] or found[2])
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists():
            faults.append(f"{path.relative_to(ROOT)}: link to missing `{target}`")
        elif anchor and file.suffix == ".md" and anchor not in heading_anchors(file.read_text(encoding="utf-8")):
            faults.append(f"{path.relative_to(ROOT)}: no heading for `{target}`")
    return faults


def machine_traces() -> list[str]:
    """Texts that can only come from this machine: its name, and the folder this checkout lies in."""
    traces = [str(ROOT), str(Path.home() / ".cargo"), str(Path.home() / ".cache")]
    host = socket.gethostname()
    # A short or plain name would be found in ordinary words.
    if len(host) >= 8 and not host.isalpha():
        traces.append(host)
    return traces


def main() -> int:
    """Prints every fault."""
    traces = machine_traces()
    faults = []
    files = tracked_files()
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            faults.append(f"{path.relative_to(ROOT)}: not UTF-8")
            continue
        faults += [f"{path.relative_to(ROOT)}: names this machine, `{trace}`" for trace in traces if trace in text]
        if re.search(r"^(<{7}|>{7}) ", text, re.MULTILINE):
            faults.append(f"{path.relative_to(ROOT)}: unresolved merge")
        if path.suffix == ".md":
            faults += broken_links(path)
    print("\n".join(faults) or f"{len(files)} files: no broken link, no trace of a machine")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
