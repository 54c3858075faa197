"""Split the files that agents may search into passages."""

import re
from collections.abc import Iterable, Iterator, Mapping

from tools.ports import Passage

SUFFIXES = (".md", ".txt", ".pdf")
LONGEST = 1_200
"""The length limit of a passage in characters: enough to answer one question."""


def passages(files: Mapping[str, str], names: Iterable[str]) -> list[Passage]:
    """Return the passages of all files, in order."""
    return [
        Passage(name, heading, body)
        for name in names
        for heading, blocks in _sections(files[name])
        for body in _packed(blocks)
    ]


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Return the blocks between blank lines under each Markdown heading. A heading alone is a block."""
    trail: list[tuple[int, str]] = []
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n|\n(?=#{1,6} )", text):
        marks, _, rest = block.strip().partition(" ")
        if not re.fullmatch("#{1,6}", marks):
            blocks.append(block.strip())
            continue
        yield _section(trail, blocks, last=not trail or trail[-1][0] >= len(marks))
        title, _, below = rest.partition("\n")
        trail = [*((level, above) for level, above in trail if level < len(marks)), (len(marks), title.strip())]
        blocks = [below.strip()]
    yield _section(trail, blocks, last=True)


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
    """Return wrapped lines as one line each. Lists, tables and headings keep their lines."""
    return re.sub(r"(?<![\n|:])\n(?=\w)(?!\d+[.)] )", " ", block)


def _cut(block: str) -> Iterator[str]:
    block = _unwrapped(block)
    while len(block) > LONGEST:
        at = max(block.rfind(mark, LONGEST // 2, LONGEST) for mark in ("\n", ". ", " ")) + 1 or LONGEST
        yield block[:at].strip()
        block = block[at:].strip()
    if block:
        yield block
