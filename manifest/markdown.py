"""Read Markdown for its headings and its text: without front matter and comments, and with code left alone."""

import re
from collections.abc import Iterator

FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})")
HEADING = re.compile(r"[ ]{0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*")
UNDERLINE = re.compile(r"[ ]{0,3}(=+|-{2,})[ \t]*")
RULE = re.compile(r"[ ]{0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})")


def read_markdown(text: str) -> Iterator[tuple[int, str]]:
    """Yield (level, title) of each heading and (0, block) of each block of text, in order.

    Blocks stand between blank lines and rules. A block of code is one, with its fences.
    """
    lines = COMMENT.sub("", FRONT_MATTER.sub("", text, count=1)).split("\n")
    block: list[str] = []
    fence = ""
    for line in lines:
        marks = FENCE.match(line)
        if fence or marks:
            block.append(line)
            # A fence ends with one of the same kind that is at least as long.
            if not fence and marks:
                fence = marks[1]
            elif marks and marks[1].startswith(fence) and not line.strip().strip(marks[1][0]):
                fence = ""
        elif heading := HEADING.fullmatch(line):
            yield from _block(block)
            block = []
            yield len(heading[1]), heading[2].strip()
        elif len(block) == 1 and _is_title(block[0]) and (underline := UNDERLINE.fullmatch(line)):
            yield (1 if underline[1][0] == "=" else 2), block[0].strip()
            block = []
        elif line.strip() and not RULE.fullmatch(line):
            block.append(line)
        else:
            yield from _block(block)
            block = []
    yield from _block(block)


def _block(lines: list[str]) -> Iterator[tuple[int, str]]:
    text = "\n".join(lines).strip()
    if text:
        yield 0, text


def _is_title(line: str) -> bool:
    """Return whether a line that is underlined is a heading: a list's last entry above a rule is none."""
    return not re.match(r"\s*(?:[-*+>|]|\d+[.)])\s", line) and not line.strip().startswith("|")
