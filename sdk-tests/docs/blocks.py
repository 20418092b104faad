"""Reads the fenced code blocks of a Markdown file and the directive before each.

A directive is an HTML comment on the line before the fence (blank lines between them do not matter):

    <!-- test: skip REASON -->           leave the block out; the reason is printed at the end of the run
    <!-- test: by PATH::NAME -->         leave it out because this test of the repository runs it, which must exist
    <!-- test: file NAME -->             save the block under this name for the blocks that follow on the page
    <!-- test: background TEXT -->       start a `sh` block, go on once it printed TEXT; it ends with the page
    <!-- test: fails -->                 the block must exit with a code other than 0
    <!-- test: output -->                a `text` block: what the block before printed, `...` standing for anything

Directives may be joined by `;`, for instance `<!-- test: file agent.py; fails -->`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$")
DIRECTIVE = re.compile(r"^\s*<!--\s*test:\s*(?P<text>.*?)\s*-->\s*$")

# Kinds that are run or loaded, and kinds that only show something.
TESTED = ("python", "sh", "yaml", "json", "toml", "dockerfile")
SHOWN = ("text", "mermaid")
WORDS = ("skip", "by", "file", "background", "fails", "output")
# A reason shorter than this says nothing.
SHORTEST_REASON = 12


class MarkupError(ValueError):
    """A block or directive that the runner does not understand; it fails rather than being passed over."""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    kind: str
    text: str
    directives: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where to look."""
        return f"{self.page.name}:{self.line}"

    @property
    def is_left_out(self) -> bool:
        """Whether this runner does not run the block, with a reason."""
        return "skip" in self.directives or "by" in self.directives

    @property
    def expects_output(self) -> bool:
        """Whether this is the output of the block before."""
        return "output" in self.directives


def parse_directive(text: str, place: str) -> dict[str, str]:
    """The words of a directive with their arguments."""
    directives = {}
    for part in text.split(";"):
        word, _, argument = part.strip().partition(" ")
        if word not in WORDS:
            raise MarkupError(f"{place}: unknown directive `{word}`, known are {', '.join(WORDS)}")
        directives[word] = argument.strip()
    if "skip" in directives and len(directives["skip"]) < SHORTEST_REASON:
        raise MarkupError(f"{place}: `skip` needs a reason")
    for word in ("by", "file", "background"):
        if word in directives and not directives[word]:
            raise MarkupError(f"{place}: `{word}` needs an argument")
    name = directives.get("file", "")
    if name.startswith("/") or ".." in Path(name).parts:
        raise MarkupError(f"{place}: `{name}` is outside the page's folder")
    return directives


def check_block(block: Block) -> None:
    """Refuses what could be passed over without anybody noticing."""
    if "by" in block.directives:
        check_test_exists(block.directives["by"], block.place)
    if block.expects_output and block.kind != "text":
        raise MarkupError(f"{block.place}: only a `text` block can be the output of another")
    if "background" in block.directives and block.kind != "sh":
        raise MarkupError(f"{block.place}: only a `sh` block can run in the background")
    if block.kind not in TESTED + SHOWN and not block.is_left_out:
        kinds = ", ".join(TESTED + SHOWN)
        raise MarkupError(f"{block.place}: a block of kind `{block.kind}` is not tested; known kinds are {kinds}")


def check_test_exists(reference: str, place: str) -> None:
    """Refuses the name of a test, `path::name` from the root, that is not there."""
    name, _, test = reference.partition("::")
    path = ROOT / name
    if not path.is_file() or not re.search(rf"\b(?:fn|def) {re.escape(test)}\(", path.read_text(encoding="utf-8")):
        raise MarkupError(f"{place}: there is no test `{reference}`")


def read_blocks(page: Path) -> list[Block]:
    """Every fenced block of `page` in order."""
    blocks: list[Block] = []
    directives: dict[str, str] = {}
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if directive := DIRECTIVE.match(line):
            if directives:
                raise MarkupError(f"{page.name}:{number}: two directives for one block")
            directives = parse_directive(directive["text"], f"{page.name}:{number}")
            continue
        opening = FENCE.match(line)
        if opening is None:
            if line.strip() and directives:
                raise MarkupError(f"{page.name}:{number}: a directive stands before something that is no block")
            continue
        start = number
        closing = re.compile(rf"^ {{0,3}}{re.escape(opening['fence'][0])}{{{len(opening['fence'])},}}\s*$")
        while number < len(lines) and not closing.match(lines[number]):
            number += 1
        if number == len(lines):
            raise MarkupError(f"{page.name}:{start}: block without end")
        indent = len(opening["indent"])
        text = "".join(f"{inner[indent:] if inner[:indent].isspace() else inner}\n" for inner in lines[start:number])
        number += 1
        kind = (opening["info"].split() or [""])[0].lower()
        block = Block(page, start, kind, text, directives)
        check_block(block)
        blocks.append(block)
        directives = {}
    if directives:
        raise MarkupError(f"{page.name}: a directive at the end stands before no block")
    return blocks
