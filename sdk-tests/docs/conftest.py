"""One test for each code block of the documentation, in the order of the page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from blocks import Block, read_blocks
from scene import Scene

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT: list[Block] = []


def documentation_pages() -> list[Path]:
    """Every Markdown file of the repository that is written for its users."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603
    names = listed.stdout.split("\0")
    return [ROOT / name for name in names if name and not name.startswith("sdk-tests/vectors/")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes the tests; a block that is left out with a reason is listed at the end instead."""
    if "block" not in metafunc.fixturenames:
        return
    blocks: list[Block] = []
    for page in documentation_pages():
        for block in read_blocks(page):
            if block.is_left_out:
                LEFT_OUT.append(block)
            elif block.kind not in ("text", "mermaid") or block.expects_output:
                blocks.append(block)
    names = [f"{block.page.relative_to(ROOT)}:{block.line}:{block.kind}" for block in blocks]
    metafunc.parametrize("block", blocks, ids=names)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Scene]]:
    """The scene of each page, made when its first block is run."""

    class Scenes(dict[Path, Scene]):
        def __missing__(self, page: Path) -> Scene:
            # Only one page plays at a time, so that a port in one page is free in the next.
            for other in self.values():
                other.close()
            self[page] = Scene(tmp_path_factory.mktemp(page.stem))
            return self[page]

    made = Scenes()
    yield made
    for scene in made.values():
        scene.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names every block that was left out, with its reason."""
    for block in LEFT_OUT:
        reason = block.directives.get("skip") or f"run by {block.directives['by']}"
        terminalreporter.write_line(f"left out {block.page.relative_to(ROOT)}:{block.line}: {reason}")
