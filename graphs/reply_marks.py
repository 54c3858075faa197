"""Write the marks of Markdown within a line as WhatsApp's: `**a**` as *a*, `~~a~~` as ~a~, `***a***` as *_a_*.

A mark counts in WhatsApp only at the edge of a word, and within one line. Single marks are WhatsApp's already.
"""

import re
from functools import partial

# Marks within marks. Here a single star means italics, as in Markdown.
NESTED = (
    (re.compile(r"(?<![\w*])\*\*\*(?=[^\s*])([^*\n]{1,500}?)\*\*\*(?!\*)"), r"*_\1_*"),
    (re.compile(r"(?<![\w*])\*\*\*(?=[^\s*])([^*\n]{1,500})\*\*(?!\*)([^*\n]{1,500})(?<=\S)\*(?!\*)"), r"_*\1*\2_"),
    (re.compile(r"(?<![\w*])\*\*\*(?=[^\s*])([^*\n]{1,500})\*(?!\*)([^*\n]{1,500})(?<=\S)\*\*(?!\*)"), r"*_\1_\2*"),
    (
        re.compile(
            r"(?<![\w*])\*(?=[^\s*])([^*\n]{1,500})\*\*(?=[^\s*])([^*\n]{1,500})(?<=\S)\*\*([^*\n]{0,500})(?<=\S)\*(?!\*)"
        ),
        r"_\1*\2*\3_",
    ),
)
BOLD = re.compile(r"(?<![\d*])\*\*(?=[^\s*])((?:[^*\n]|\*(?!\*)){0,500}?[^\s*]\*?)\*\*(?!\*)")
LOW_BOLD = re.compile(r"(?<![\w_])__(?=[^\s_])(.{1,500}?)(?<=[^\s_])__(?![\w_(]|\.\w)")
STRIKE = re.compile(r"(?<!~)~~(?=[^\s~])(.{1,500}?)(?<=[^\s~])~~(?!~)")
SPACED_BOLD = (
    re.compile(r"(?<![\w*])\*\*(?=[^\s*])([^*\n]{1,500}?)([ \t]+)\*\*(?!\*)"),
    re.compile(r"(?<![\w*])\*\*([ \t]+)([^\s*][^*\n]{0,500}?)(?<=\S)\*\*(?![\w*])"),
)
"""Bold with a space within its marks, which Markdown does not accept."""
BOLD_LINES = re.compile(r"(?<![\w*])\*\*(?=[^\s*])((?:[^*\n]|\n(?![ \t]*\n)){1,500})(?<=\S)\*\*(?![\w*])")
LINE = re.compile(r"^([ \t]*(?:(?:[-•>]|\d+[.)])[ \t]+)?)(\S.*?)[ \t]*$", re.MULTILINE)
ITALICS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]{1,500}?)(?<=\S)\*(?![\w*])")
UNPAIRED = re.compile(
    r"(?<![\w*])\*\*(?=[^\W\d_])|(?<=[^\W\d_])(?<![\d])\*\*(?![\w*])|(?<=[.:!?])\*\*(?=\s|$)", re.MULTILINE
)
"""Two stars at a word without their pair."""


def with_whatsapp_marks(text: str) -> str:
    """Return the text with WhatsApp's marks in place of Markdown's."""
    if "**" in text:
        for pattern, written in NESTED:
            text = pattern.sub(written, text)
        text = BOLD.sub(partial(_marked, "*"), text)
        for pattern in SPACED_BOLD:
            text = pattern.sub(_without_space, text)
        text = BOLD_LINES.sub(_each_line, text)
    if "__" in text:
        text = LOW_BOLD.sub(partial(_marked, "*"), text)
    if "~~" in text:
        text = STRIKE.sub(partial(_marked, "~"), text)
    return UNPAIRED.sub("", text)


def _marked(mark: str, match: re.Match[str]) -> str:
    """Return the words with WhatsApp's mark. Within a word it would not count."""
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    words = match[1]
    if mark == "*":
        if words.startswith("*") and words.endswith("*"):
            # Bold already, as in __**a**__.
            return words
        words = ITALICS.sub(r"_\1_", words.replace("__", ""))
    joined_before, joined_after = before.isalnum(), after.isalnum() or after == "\ue002"
    if joined_before and joined_after:
        return words
    return f"{' ' if joined_before else ''}{mark}{words}{mark}{' ' if joined_after else ''}"


def _without_space(match: re.Match[str]) -> str:
    before, after = (match[1], "") if match[1].isspace() else ("", match[2])
    return f"{before}*{match[2] if before else match[1]}*{after}"


def _each_line(match: re.Match[str]) -> str:
    return LINE.sub(r"\1*\2*", match[1])
