# ruff: noqa: D103 - the names of these tests are sentences
"""The runner of the documentation's blocks notices what it must notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from blocks import Block, MarkupError, read_blocks
from scene import BlockFailure, Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """An empty scene."""
    made = Scene(tmp_path)
    yield made
    made.close()


def page(tmp_path: Path, text: str) -> list[Block]:
    """The blocks of a page with this text."""
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    return read_blocks(path)


def play(scene: Scene, text: str) -> None:
    """Plays a whole page."""
    for block in page(scene.folder, text):
        scene.play(block)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```rust\nfn main() {}\n```\n", "kind `rust` is not tested"),
        ("```\nplain\n```\n", "kind `` is not tested"),
        ("```python\nprint(1)\n", "without end"),
        ("<!-- test: ignore -->\n```sh\ntrue\n```\n", "unknown directive `ignore`"),
        ("<!-- test: skip -->\n```sh\ntrue\n```\n", "needs a reason"),
        ("<!-- test: skip later -->\n```sh\ntrue\n```\n", "needs a reason"),
        ("<!-- test: fails -->\n\nProse.\n\n```sh\nfalse\n```\n", "no block"),
        ("<!-- test: fails -->\n", "before no block"),
        ("<!-- test: fails -->\n<!-- test: output -->\n```text\n```\n", "two directives"),
        ("<!-- test: background ready -->\n```python\nprint(1)\n```\n", "only a `sh` block"),
        ("<!-- test: output -->\n```sh\ntrue\n```\n", "only a `text` block"),
        ("<!-- test: file ../out -->\n```sh\ntrue\n```\n", "outside"),
        ("<!-- test: by gateway/src/lib.rs::no_such_test -->\n```yaml\na: 1\n```\n", "no test"),
        ("<!-- test: by nowhere.rs::it -->\n```yaml\na: 1\n```\n", "no test"),
        ("<!-- test: file -->\n```sh\ntrue\n```\n", "needs an argument"),
    ],
)
def test_markup_that_is_not_understood_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(MarkupError, match=complaint):
        page(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nraise SystemExit(1)\n```\n",
        "```sh\nfalse\ntrue\n```\n",
        "```sh\nfalse | true\n```\n",
        "```sh\necho $unset_variable\n```\n",
        "```json\n{'a': 1}\n```\n",
        "```yaml\na: [\n```\n",
        "```toml\na =\n```\n",
        "```dockerfile\nRUN true\n```\n",
        "<!-- test: fails -->\n```sh\ntrue\n```\n",
        "```sh\necho one\n```\n\n<!-- test: output -->\n```text\ntwo\n```\n",
        "```sh\necho one two\n```\n\n<!-- test: output -->\n```text\none\n```\n",
        "<!-- test: output -->\n```text\ntwo\n```\n",
        "<!-- test: background ready -->\n```sh\necho no\n```\n",
    ],
)
def test_a_wrong_block_fails(scene: Scene, text: str) -> None:
    with pytest.raises(BlockFailure):
        play(scene, text)


def test_blocks_of_a_page_share_a_folder(scene: Scene) -> None:
    play(
        scene,
        "<!-- test: file name.txt -->\n```text\nworld\n```\n"
        '```python\nprint("hello", open("name.txt").read().strip(), 17)\n```\n\n'
        "<!-- test: output -->\n```text\nhello world ...\n```\n"
        "<!-- test: fails -->\n```sh\ntest -e missing\n```\n",
    )


def test_a_background_command_is_there_until_the_page_ends(scene: Scene) -> None:
    play(
        scene,
        "<!-- test: background ready -->\n```sh\necho $$ >pid; echo ready; sleep 600\n```\n"
        "```sh\nkill -0 $(cat pid)\n```\n",
    )
    scene.close()
    with pytest.raises(BlockFailure):
        play(scene, "```sh\nkill -0 $(cat pid) 2>&1\n```\n")


def test_our_documents_go_through_our_own_checks(scene: Scene) -> None:
    """A context is more than YAML: an unknown member must be noticed."""
    with pytest.raises(BlockFailure, match=r"(?s)printed.*tool_patern"):
        play(scene, "```yaml\nname: typo\ncapabilities:\n  - tool_patern: fs.*\n```\n")


def test_an_indented_block_loses_its_indentation(tmp_path: Path) -> None:
    (block,) = page(tmp_path, "1. Step\n\n   ```python\n   if True:\n       print(1)\n   ```\n")
    assert block.text == "if True:\n    print(1)\n"
