"""Write a model's Markdown in WhatsApp's own notation: *bold*, _italics_, ~strike~, and links as `text (url)`.

What WhatsApp shows as it is stays: single marks, lists with dashes, quotes, and code between backquotes.
"""

import html
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

NOTATION = re.compile(r"[*_~#|\[<>&\\+]|^\s*(?:-{3,}|={3,})\s*$", re.MULTILINE)
"""A text without any of these is in WhatsApp's notation already."""

FENCE = re.compile(r"\s*(```|~~~)")
HEADING = re.compile(r"\s{0,3}#{1,6}\s+(.*?)\s*#*\s*")
LONGEST_TITLE = 60
UNDERLINE = re.compile(r"\s{0,3}(?:={3,}|-{3,})\s*")
RULE = re.compile(r"\s{0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})")
BULLET = re.compile(r"^(\s*)[*+]\s+(?=\S)")
TASK = re.compile(r"^(\s*- )\[([ xX])\]\s+")
TABLE_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*")
REFERENCE = re.compile(r"\s{0,3}\[([^\[\]]+)\]:\s*<?(\S+?)>?(?:\s+[\"'(].*)?\s*")

CODE = re.compile(r"(`+)(?!`).{1,2000}?(?<!`)\1(?!`)", re.DOTALL)
TARGET = r"<?([^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?(?:\s+[\"'][^\"'\n]*[\"'])?"
LINK = re.compile(rf"!?\[((?:[^\[\]\n]|\[[^\[\]\n]*\])*)\]\(\s*{TARGET}\s*\)")
NAMED_LINK = re.compile(r"\[([^\[\]\n]+)\]\[([^\[\]\n]*)\]")
HTML_LINK = re.compile(r"<a\b[^<>]*?\bhref\s*=\s*[\"']([^\"'<>]*)[\"'][^<>]*>(.{0,500}?)</a\s*>", re.DOTALL | re.I)
AUTOLINK = re.compile(r"<((?:https?://|mailto:|tel:)[^\s<>]+|[^\s<>@]+@[^\s<>@]+\.[A-Za-z]{2,})>")
URL = re.compile(r"(?:https?://|www\.)[^\s<>*~]+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")

BREAK = re.compile(r"<br\s*/?>|</(?:p|div|li|tr|h[1-6])\s*>", re.IGNORECASE)
ITEM = re.compile(r"<li\b[^<>]*>\s*", re.IGNORECASE)
MARKED = (
    (re.compile(r"</?(?:b|strong|h[1-6])\s*>", re.IGNORECASE), "*"),
    (re.compile(r"</?(?:i|em)\s*>", re.IGNORECASE), "_"),
    (re.compile(r"</?(?:s|del|strike)\s*>", re.IGNORECASE), "~"),
    (
        re.compile(
            r"</?(?:p|div|span|ul|ol|table|thead|tbody|tr|td|th|u|a|font|small|sup|sub|center|hr)\b[^<>]*>", re.I
        ),
        "",
    ),
)
ENTITY = re.compile(r"&(?:#\d{2,6}|#x[0-9a-fA-F]{2,5}|[A-Za-z]{2,8});")

BOLD_ITALICS = re.compile(r"(?<!\*)\*\*\*(?=[^\s*])(.{1,500}?)(?<=[^\s*])\*\*\*(?!\*)")
BOLD = re.compile(r"(?<!\*)\*\*(?=[^\s*])(.{1,500}?)(?<=\S)\*\*(?!\*)")
LOW_BOLD = re.compile(r"(?<![\w_])__(?=[^\s_])(.{1,500}?)(?<=[^\s_])__(?![\w_(]|\.\w)")
STRIKE = re.compile(r"(?<!~)~~(?=[^\s~])(.{1,500}?)(?<=[^\s~])~~(?!~)")
UNPAIRED = re.compile(
    r"(?<![\w*])\*\*(?=[^\W\d_])|(?<=[^\W\d_])(?<![\d])\*\*(?![\w*])|(?<=[.:!?])\*\*(?=\s|$)", re.MULTILINE
)
"""Two stars at a word without their pair. Those in masked numbers, such as ***.456.789-**, are meant."""
ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+.!~|>-])")
KEPT = re.compile("\ue000(\\d+)\ue001")


def for_whatsapp(text: str) -> str:
    """Return the text as WhatsApp shows it rightly."""
    if not NOTATION.search(text):
        return text
    kept: list[str] = []

    def keep(value: str) -> str:
        kept.append(value)
        return f"\ue000{len(kept) - 1}\ue001"

    lines = "\n".join(_blocks(_references(text.replace("\ue000", "").replace("\ue001", "").split("\n")), keep))
    written = _inline(lines, keep)
    while KEPT.search(written):
        written = KEPT.sub(lambda match: kept[int(match[1])], written)
    return re.sub(r"\n{3,}", "\n\n", written).strip()


def _references(lines: Sequence[str]) -> list[str]:
    """Return the lines with links by name written out, and without the lines that say where they lead."""
    targets = {match[1].casefold(): match[2] for line in lines if (match := REFERENCE.fullmatch(line))}
    if not targets:
        return list(lines)

    def written_out(match: re.Match[str]) -> str:
        target = targets.get((match[2] or match[1]).casefold())
        return f"[{match[1]}]({target})" if target else match[0]

    return [NAMED_LINK.sub(written_out, line) for line in lines if not REFERENCE.fullmatch(line)]


def _blocks(lines: Sequence[str], keep: Callable[[str], str]) -> Iterator[str]:
    """Yield the lines with headings, rules, bullets and tables rewritten. What is fenced is kept as it is."""
    fenced: list[str] | None = None
    number = 0
    while number < len(lines):
        line, after = lines[number], lines[number + 1] if number + 1 < len(lines) else ""
        number += 1
        if fenced is not None or FENCE.match(line):
            if fenced is None:
                fenced = []
            elif FENCE.match(line):
                yield keep("\n".join(["```", *fenced, "```"]))
                fenced = None
            else:
                fenced.append(line)
        elif "|" in line and "|" in after and TABLE_RULE.fullmatch(after):
            rows = _while_table(lines, number + 1)
            yield from _table(_cells(line), [_cells(row) for row in rows])
            number += 1 + len(rows)
        elif match := HEADING.fullmatch(line):
            yield _bold_line(match[1])
        elif _is_title(line) and UNDERLINE.fullmatch(after):
            yield _bold_line(line.strip())
            number += 1
        elif not RULE.fullmatch(line):
            yield TASK.sub(lambda match: f"{match[1]}{'☐' if match[2] == ' ' else '☑'} ", BULLET.sub(r"\1- ", line))
    if fenced is not None:
        yield keep("\n".join(["```", *fenced, "```"]))


def _is_title(line: str) -> bool:
    words = line.strip()
    return 0 < len(words) <= LONGEST_TITLE and not re.match(r"[-*+>|]|\d+[.)]", words)


def _bold_line(text: str) -> str:
    bare = re.sub(r"\*+|__", "", text).strip()
    return f"*{bare}*" if bare else ""


def _while_table(lines: Sequence[str], start: int) -> list[str]:
    end = start
    while end < len(lines) and "|" in lines[end]:
        end += 1
    return list(lines[start:end])


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a line for each row: its first cell, and the others with the names of their columns."""
    for row in rows:
        first, *others = row
        named = [
            f"{names[number]}: {cell}" if number < len(names) and names[number] else cell
            for number, cell in enumerate(others, 1)
            if cell
        ]
        yield f"- {' - '.join(filter(None, [first, '; '.join(named)]))}"


def _inline(text: str, keep: Callable[[str], str]) -> str:
    text = CODE.sub(lambda match: keep(match[0]), text)
    text = ESCAPED.sub(lambda match: keep(match[1]), text)
    text = HTML_LINK.sub(lambda match: _link(match[2], match[1], keep), text)
    text = LINK.sub(lambda match: _link(match[1], match[2], keep), text)
    text = AUTOLINK.sub(lambda match: keep(_shown(match[1])), text)
    text = URL.sub(lambda match: keep(match[0]), text)
    text = ITEM.sub("- ", BREAK.sub("\n", text))
    for pattern, mark in MARKED:
        text = pattern.sub(mark, text)
    text = ENTITY.sub(lambda match: html.unescape(match[0]).replace("\xa0", " "), text)
    for pattern, mark in ((BOLD_ITALICS, "*_"), (BOLD, "*"), (LOW_BOLD, "*"), (STRIKE, "~")):
        text = pattern.sub(partial(_marked, mark), text)
    return UNPAIRED.sub("", text)


def _marked(mark: str, match: re.Match[str]) -> str:
    """Return the words with WhatsApp's mark, which counts only at the end of a word."""
    following = match.string[match.end() : match.end() + 1]
    return f"{mark}{match[1]}{mark[::-1]}{' ' if following.isalnum() else ''}"


def _link(text: str, target: str, keep: Callable[[str], str]) -> str:
    """Return a link in words, with its address once."""
    shown, words = _shown(html.unescape(target)), text.strip()
    bare = re.sub(r"[*_~`]", "", words)
    if not shown or shown.startswith("#"):
        return words
    if not bare or _same(bare, shown):
        return keep(shown)
    return f"{words} ({keep(shown)})"


def _shown(target: str) -> str:
    return re.sub(r"^(?:mailto:|tel:)", "", target)


def _same(words: str, target: str) -> bool:
    def bare(text: str) -> str:
        return re.sub(r"^(?:https?://)?(?:www\.)?", "", text.casefold()).rstrip("/")

    return bare(words) == bare(target)
