"""The code blocks of the documentation do what the pages say."""

from __future__ import annotations

from pathlib import Path

from blocks import Block
from scene import Scene


def test_block(block: Block, scenes: dict[Path, Scene]) -> None:
    """Runs, loads or compares one block."""
    scenes[block.page].play(block)
