"""Split a long text into messages, as a person would."""

import re
from collections.abc import Iterator

import regex

MAX_BODY = 1600
"""The length limit of an outgoing message, in UTF-16 code units."""

FENCE = "```"

# In the order in which cuts are tried: after a paragraph, a line, a sentence.
GAPS = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?\u2026\u3002\uff01\uff1f])[\"'\u201d\u2019)\]*_~]*\s+"),
)
SPACE = re.compile(r"\s+")
SPAN = re.compile(r"(?<![\w*_~])([*_~])(?=\S)[^\n]{0,400}?(?<=\S)\1(?![\w])")
GRAPHEME = regex.compile(r"\X")


def split_body(text: str, limit: int = MAX_BODY) -> list[str]:
    """Split a text into parts of at most `limit` UTF-16 code units, as Twilio counts.

    Splits between paragraphs, lines or sentences where no short part results, else between words. Only a word longer
    than a part is split, between characters as people see them. A marked span that is split stays marked.
    """
    parts: list[str] = []
    rest = text.strip()
    while _length(rest) > limit:
        part, rest = _cut(rest, limit)
        parts.append(part)
    return [*parts, rest] if rest else parts


def _length(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def _fitting(text: str, limit: int) -> int:
    """Return the number of characters that fit into `limit` UTF-16 code units."""
    head = text[:limit]
    while len(head) + (wide := sum(character > "\uffff" for character in head)) > limit:
        head = head[: len(head) - max(1, (len(head) + wide - limit) // 2)]
    return len(head)


def _cut(text: str, limit: int) -> tuple[str, str]:
    """Return the first part and the rest."""
    fits = _fitting(text, limit)
    end, begin = next(_gaps(text, fits), None) or _forced(text, fits)
    part, rest = text[:end].rstrip(), text[begin:].lstrip()
    if part.count(FENCE) % 2:
        # A line of code keeps its fences in each part.
        return _fenced(text, limit)
    mark = next((match[1] for match in SPAN.finditer(text) if match.start() < end < match.end()), "")
    if mark and part != mark:
        marked = f"{part}{mark}"
        return (marked, f"{mark}{rest}") if _length(marked) <= limit else _cut(text, limit - 1)
    return part, rest


def _gaps(text: str, fits: int) -> Iterator[tuple[int, int]]:
    """Yield the gaps at which the text may be cut, the best first, as (end of the part, begin of the rest)."""
    spans = [match.span() for match in SPAN.finditer(text, 0, min(len(text), fits * 2))]
    words = [match.span() for match in SPACE.finditer(text, 0, fits + 1) if match.start() > 0]
    for gap in (*GAPS, SPACE):
        near = gap.finditer(text, 0, min(len(text), fits + 2))
        ends = [(match.start() + len(match[0].rstrip()), match.end()) for match in near]
        for end, begin in reversed(ends):
            within = any(first < end < last for first, last in spans)
            if 0 < end <= fits and begin > fits // 2 and not within:
                yield end, begin
    yield from reversed(words)


def _forced(text: str, fits: int) -> tuple[int, int]:
    """Return a cut within a word: after the last whole character that people see."""
    end = 0
    for match in GRAPHEME.finditer(text, 0, min(len(text), fits + 64)):
        if match.end() > fits:
            break
        end = match.end()
    return (end or fits,) * 2


def _fenced(text: str, limit: int) -> tuple[str, str]:
    """Cut within a block of code: close the block, and open it again in the rest."""
    fits = _fitting(text, limit - 2 * len(FENCE))
    begin = text.rfind(FENCE, 0, fits)
    line = text.rfind("\n", begin + len(FENCE) + 1, fits)
    end = line if line > begin + len(FENCE) else _forced(text, fits)[0]
    if begin > fits // 2:
        return text[:begin].rstrip(), text[begin:]
    return f"{text[:end].rstrip()}\n{FENCE}", f"{FENCE}\n{text[end:].lstrip(chr(10))}"
