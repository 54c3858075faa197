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
WORD_GAP = re.compile(r"(?<![$€£\d\s])\s+|(?<=\d)\s+(?![\d\s])")
"""A gap between words. A price such as R$ 10 and a number in groups are one word."""
SPACE = re.compile(r"\s+")
LONGEST_SPAN = 2000
SPAN = re.compile(rf"(?<!\w)([*_~`])(?!\1)(?=\S)[^\n]{{0,{LONGEST_SPAN}}}?(?<=\S)\1(?!\w)")
"""Words with a mark of WhatsApp: bold, italics, strike or code."""
MOST_MARKS = 4
"""The number of marks around one word: *_~`a`~_*."""
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


def _cut(text: str, limit: int, room: int = 0) -> tuple[str, str]:
    """Return the first part and the rest. `room` is kept free for the marks of a span that is cut."""
    fits = _fitting(text, limit - room)
    end, begin = next(_gaps(text, fits), None) or _forced(text, fits)
    part, rest = text[:end].rstrip(), text[begin:].lstrip()
    if part.count(FENCE) % 2:
        # A line of code keeps its fences in each part.
        return _fenced(text, limit)
    marks = _open_marks(text, end)
    if marks and begin > 2 * len(marks):
        if _length(part) + len(marks) <= limit:
            return f"{part}{marks[::-1]}", f"{marks}{rest}"
        if room < MOST_MARKS:
            return _cut(text, limit, room + 1)
    return part, rest


def _open_marks(text: str, end: int) -> str:
    """Return the marks of the spans that are cut at `end`, the outermost first."""
    marks, start, stop = "", 0, min(len(text), end + LONGEST_SPAN)
    while span := _span_around(end, SPAN.finditer(text, start, stop)):
        marks, start, stop = marks + span[1], span.start() + 1, span.end() - 1
    return marks


def _span_around(end: int, spans: Iterator[re.Match[str]]) -> re.Match[str] | None:
    for span in spans:
        if span.start() >= end:
            return None
        if span.end() > end:
            return span
    return None


def _gaps(text: str, fits: int) -> Iterator[tuple[int, int]]:
    """Yield the gaps at which the text may be cut, the best first, as (end of the part, begin of the rest)."""
    spans = [match.span() for match in SPAN.finditer(text, 0, min(len(text), fits * 2))]
    for gap in (*GAPS, WORD_GAP):
        near = gap.finditer(text, 0, min(len(text), fits + 2))
        ends = [(match.start() + len(match[0].rstrip()), match.end()) for match in near]
        for end, begin in reversed(ends):
            within = any(first < end < last for first, last in spans)
            if 0 < end <= fits and begin > fits // 2 and not within:
                yield end, begin
    for gap in (WORD_GAP, SPACE):
        yield from reversed([match.span() for match in gap.finditer(text, 0, fits + 1) if match.start() > 0])


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
