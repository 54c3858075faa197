"""What a tenant's agents may look up: its files, cut into passages."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

SUFFIXES = (".md", ".txt", ".pdf")
LONGEST = 1_200
"""Characters of a passage: as much as answers one question."""


@dataclass(frozen=True)
class Passage:
    """A part of a file. `heading`: those that it stands under, outermost first."""

    path: str
    heading: str
    body: str


def passages(files: Mapping[str, str], names: Iterable[str]) -> list[Passage]:
    """All of these files, in order."""
    return [
        Passage(name, heading, body)
        for name in names
        for heading, blocks in _sections(files[name])
        for body in _packed(blocks)
    ]


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """The blocks, which blank lines part, under each heading of Markdown."""
    trail: list[str] = []
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n|\n(?=#{1,6} )|(?<=\n)(?=#{1,6} )", text):
        marks, _, rest = block.strip().partition(" ")
        if re.fullmatch("#{1,6}", marks):
            yield " / ".join(trail), blocks
            title, _, below = rest.partition("\n")
            trail, blocks = [*trail[: len(marks) - 1], title.strip()], [below.strip()]
        else:
            blocks.append(block.strip())
    yield " / ".join(trail), blocks


def _packed(blocks: Iterable[str]) -> Iterator[str]:
    """As many blocks as fit together; one that is too long is cut between words."""
    held = ""
    for block in (piece for whole in blocks for piece in _cut(whole)):
        if held and len(held) + 2 + len(block) > LONGEST:
            yield held
            held = block
        else:
            held = f"{held}\n\n{block}" if held else block
    if held:
        yield held


def _cut(block: str) -> Iterator[str]:
    while len(block) > LONGEST:
        at = max(block.rfind(mark, LONGEST // 2, LONGEST) for mark in ("\n", ". ", " ")) + 1 or LONGEST
        yield block[:at].strip()
        block = block[at:].strip()
    if block:
        yield block
