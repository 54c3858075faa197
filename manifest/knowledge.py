"""Split the files that agents may search into passages."""

import re
from collections.abc import Iterable, Iterator, Mapping

from manifest.markdown import read_markdown
from tools.ports import Passage

SUFFIXES = (".md", ".txt", ".pdf")
LONGEST = 1_200
"""The length limit of a passage in characters: enough to answer one question."""


def passages(files: Mapping[str, str], names: Iterable[str]) -> list[Passage]:
    """Return the passages of all files, in order."""
    return [
        Passage(name, heading, body)
        for name in names
        for heading, blocks in _sections(_parts(name, files[name]))
        for body in _packed(blocks)
    ]


def _sections(parts: Iterable[tuple[int, str]]) -> Iterator[tuple[str, list[str]]]:
    """Return the blocks under each heading. A heading alone is a block."""
    trail: list[tuple[int, str]] = []
    blocks: list[str] = []
    for level, text in parts:
        if not level:
            blocks.append(text)
            continue
        yield _section(trail, blocks, last=not trail or trail[-1][0] >= level)
        trail = [*((above, title) for above, title in trail if above < level), (level, text)]
        blocks = []
    yield _section(trail, blocks, last=True)


def _parts(name: str, text: str) -> Iterable[tuple[int, str]]:
    if name.endswith(".md"):
        return read_markdown(text)
    return ((0, block.strip()) for block in re.split(r"\n\s*\n", text) if block.strip())


def _section(trail: list[tuple[int, str]], blocks: list[str], *, last: bool) -> tuple[str, list[str]]:
    titles = [title for _, title in trail]
    if last and titles and not any(blocks):
        return " / ".join(titles[:-1]), titles[-1:]
    return " / ".join(titles), blocks


def _packed(blocks: Iterable[str]) -> Iterator[str]:
    """Return blocks joined up to the length limit. A longer block is split between words."""
    held = ""
    for block in (piece for whole in blocks for piece in _cut(whole)):
        if held and len(held) + 2 + len(block) > LONGEST:
            yield held
            held = block
        else:
            held = f"{held}\n\n{block}" if held else block
    if held:
        yield held


def _unwrapped(block: str) -> str:
    """Return wrapped lines as one line each. Lists, tables and code keep their lines."""
    if block.startswith(("```", "~~~")):
        return block
    return re.sub(r"(?<![\n|:])\n(?=\w)(?!\d+[.)] )", " ", block)


def _cut(block: str) -> Iterator[str]:
    block = _unwrapped(block)
    while len(block) > LONGEST:
        at = max(block.rfind(mark, LONGEST // 2, LONGEST) for mark in ("\n", ". ", " ")) + 1 or LONGEST
        yield block[:at].strip()
        block = block[at:].strip()
    if block:
        yield block
