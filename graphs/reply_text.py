"""Write a model's Markdown in WhatsApp's own notation: *bold*, _italics_, ~strike~, and links as `text (url)`.

What WhatsApp shows as it is stays: single marks, lists with dashes, quotes, and code between backquotes.
"""

import html
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from graphs.reply_marks import with_whatsapp_marks

NOTATION = re.compile(r"[*_~#|\[<>&\\+`]|^[ \t]*(?:-{3,}|={3,})[ \t]*$", re.MULTILINE)
"""A text without any of these is in WhatsApp's notation already."""

MARKDOWN_FENCE = re.compile(
    r"^[ \t]*```(?:markdown|md)[ \t]*\n(.*?)\n[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE | re.I
)
FENCE = re.compile(r"\s*(`{3,}|~{3,})([^`]*)")
LANGUAGE = re.compile(
    r"\s*(?:text|txt|plain|plaintext|json|ya?ml|xml|html|css|csv|ini|toml|sql|python|py|javascript|js|typescript|ts|java"
    r"|kotlin|swift|c|c\+\+|cpp|c#|csharp|go|rust|php|ruby|bash|sh|shell|console|powershell|diff|latex|mermaid)?\s*",
    re.IGNORECASE,
)
HEADING = re.compile(r"(\s*(?:>\s?|[-*+]\s+|\d+[.)]\s+)*)(?:#{1,6}\s+|#{2,6}(?=[^\s#]))(.*?)\s*#*\s*")
EMPTY_HEADING = re.compile(r"\s*#{1,6}\s*")
LONGEST_TITLE = 60
UNDERLINE = re.compile(r"\s{0,3}(?:={3,}|-{3,})\s*")
RULE = re.compile(r"\s{0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,}|={3,}\s*)")
BULLET = re.compile(r"^(\s*(?:>\s?)*)[*+]\s+(?=\S)")
TASK = re.compile(r"^(\s*(?:>\s?)*(?:[-•]|\d+[.)])\s+)\[([ xX])\]\s+")
TABLE_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
PIPED = re.compile(r"\s*\|.*\|.*\|\s*")
REFERENCE = re.compile(
    r"\s{0,3}\[([^\[\]^][^\[\]]*)\]:\s*<?((?:https?://|www\.|mailto:|tel:)\S+?)>?(?:\s+[\"'(].*)?\s*", re.I
)
FOOTNOTE = re.compile(r"\[\^([\w-]{1,40})\]")

CODE = re.compile(r"(`+)(?!`)(.{1,2000}?)(?<!`)\1(?!`)", re.DOTALL)
WORDS = r"((?:[^\[\]]|\[[^\[\]]*\](?:\([^()\s]*\))?){0,500}?)"
TARGET = r"(<[^<>\n]*>|[^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?"
LINK = re.compile(rf"!?\[{WORDS}\]\(\s*{TARGET}\s*\)")
LOOSE_LINK = re.compile(r"!?\[([^\[\]\n]{0,500})\] ?\(\s*(https?://[^()\n]*?)\s*\)", re.I)
"""A link that Markdown does not accept: with a space before its address, or within it."""
IMAGE = re.compile(r"!\[([^\[\]\n]*)\]\([^()\n]*\)")
NAMED_LINK = re.compile(r"\[([^\[\]\n]+)\](?:\[([^\[\]\n]*)\])?(?![(:\[])")
HTML_LINK = re.compile(r"<a\b[^<>]*?\bhref\s*=\s*[\"']([^\"'<>]*)[\"'][^<>]*>(.{0,500}?)</a\s*>", re.DOTALL | re.I)
HTML_IMAGE = re.compile(r"<img\b([^<>]*)>", re.IGNORECASE)
ATTRIBUTE = re.compile(r"\b(alt|src)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
AUTOLINK = re.compile(r"<((?:https?://|mailto:|tel:)[^\s<>]+|[^\s<>@]+@[^\s<>@]+\.[A-Za-z]{2,})>")
URL = re.compile(r"(?:https?://|www\.)[^\s<>*~]+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
MASKED = re.compile(
    r"(?<![^\s(])\*{2,}\.\S+|(?<=[.\-/])\*{3,}[.\-/]\S*|\d\*{2,}\d\S*|\d\*{3,}\S*|(?<!\S)\*{4,}(?=[\s\d.]|$)\S*"
    r"|(?<![\w.+*-])[\w.+-]{1,64}\*[\w.+*-]{0,64}@\S+|(?<![\w.+-])[\w.+-]{1,64}@[\w.-]{0,64}\*{2,}[\w.*-]*\.\w+"
)
"""A number or an address of which a part is hidden by stars, such as ***.456.789-** or an***@exemplo.com."""

COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
HTML_CODE = re.compile(
    r"(?:(<pre\b[^<>]*>)\s*)?<(code|kbd|samp|tt|pre)\b[^<>]*>(.{0,4000}?)</\2\s*>(?:\s*</pre\s*>)?", re.DOTALL | re.I
)
NEXT_CELL = re.compile(r"</t[dh]\s*>\s*(?=<t[dh]\b)", re.IGNORECASE)
TAGS = (
    (re.compile(r"\s*</(h[1-6]|summary|dt)\s*>\s*", re.IGNORECASE), "**\n"),
    (re.compile(r"(?:<br\s*/?>|</(?:p|div|li|tr|dd|blockquote|section|caption)\s*>)[ \t]*\n?", re.IGNORECASE), "\n"),
    (re.compile(r"\n*[ \t]*<(?:ul|ol|hr)\b[^<>]*>\s*", re.IGNORECASE), "\n"),
    (re.compile(r"<li\b[^<>]*>\s*", re.IGNORECASE), "- "),
    (re.compile(r"<blockquote\b[^<>]*>\s*(?:<p>)?", re.IGNORECASE), "> "),
    (re.compile(r"</(b|strong)\s*>(\s*)<(b|strong)\b[^<>]*>", re.IGNORECASE), r"\2"),
    (re.compile(r"</?(?:b|strong|h[1-6]|summary|dt|mark)(?:\s[^<>]*)?>", re.IGNORECASE), "**"),
    (re.compile(r"</?(?:i|em|cite|dfn|var)(?:\s[^<>]*)?>", re.IGNORECASE), "_"),
    (re.compile(r"</?(?:s|del|strike)(?:\s[^<>]*)?>", re.IGNORECASE), "~~"),
    (
        re.compile(
            r"</?(?:p|div|span|ul|ol|li|dl|dd|table|thead|tbody|tfoot|tr|td|th|caption|colgroup|col|u|ins|a|font|small"
            r"|big|sup|sub|center|hr|blockquote|details|section|article|header|footer|main|nav|label|abbr|q|figure"
            r"|figcaption|html|body|wbr|pre|code)\b[^<>]*>",
            re.IGNORECASE,
        ),
        "",
    ),
)
ENTITY = re.compile(r"&(?:#\d{2,6}|#[xX][0-9a-fA-F]{2,5}|[A-Za-z]{2,8});")
ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+.!~|<>$-])")
KEPT = re.compile("[\ue000\ue002](\\d+)\ue001")
PRIVATE = re.compile("[\ue000-\ue002]")

Keep = Callable[[str], str]
"""Replaces a text by a sign, so that nothing within it is read as notation."""


def for_whatsapp(text: str) -> str:
    """Return the text as WhatsApp shows it rightly."""
    if not NOTATION.search(text):
        return text
    kept: list[str] = []

    def keep(value: str) -> str:
        kept.append(value)
        # A mark before a letter or a digit does not count, so it has to be seen what follows.
        return f"{'\ue002' if value[:1].isalnum() else '\ue000'}{len(kept) - 1}\ue001"

    plain = MARKDOWN_FENCE.sub(r"\1", PRIVATE.sub("", text.replace("\r\n", "\n")))
    written = _inline("\n".join(_blocks(_references(plain.split("\n")), keep)), keep)
    while KEPT.search(written):
        written = KEPT.sub(lambda match: kept[int(match[1])], written)
    # What has nothing but notation, such as a line of stars, is said as it is.
    return re.sub(r"\n(?:[ \t]*\n){2,}", "\n\n", written).strip() or text.strip()


def _references(lines: Sequence[str]) -> list[str]:
    """Return the lines with links by name written out, and without the lines that say where these lead."""
    targets = {match[1].casefold(): match[2] for line in lines if (match := REFERENCE.fullmatch(line))}
    if not targets:
        return list(lines)
    used: set[str] = set()

    def written_out(match: re.Match[str]) -> str:
        name = (match[2] or match[1]).casefold()
        if name not in targets or (match[2] is None and name.isdigit()):
            # A number alone is the mark of a source in a list.
            return match[0]
        used.add(name)
        return f"[{match[1]}]({targets[name]})"

    written = [line if REFERENCE.fullmatch(line) else NAMED_LINK.sub(written_out, line) for line in lines]
    return [line for line in written if not (match := REFERENCE.fullmatch(line)) or match[1].casefold() not in used]


def _blocks(lines: Sequence[str], keep: Keep) -> Iterator[str]:
    """Yield the lines with headings, rules, bullets and tables rewritten. What is fenced is kept as it is."""
    number = 0
    while number < len(lines):
        line, after = lines[number], lines[number + 1] if number + 1 < len(lines) else ""
        starts = number == 0 or not lines[number - 1].strip()
        number += 1
        if fence := FENCE.fullmatch(line):
            code, number = _fenced(lines, number, fence)
            yield keep(code)
        elif "|" in line and "|" in after and TABLE_RULE.fullmatch(after):
            rows, number = _rows(lines, number + 1)
            yield from _table(_cells(line), rows)
        elif PIPED.fullmatch(line):
            if not TABLE_RULE.fullmatch(line):
                yield " - ".join(filter(None, _cells(line)))
        elif EMPTY_HEADING.fullmatch(line) and line.strip():
            yield ""
        elif match := HEADING.fullmatch(line):
            yield f"{BULLET.sub(r'\1- ', match[1])}{_bold_line(match[2])}"
        elif starts and _is_title(line) and UNDERLINE.fullmatch(after):
            yield _bold_line(line.strip())
            number += 1
        elif not RULE.fullmatch(line):
            yield TASK.sub(lambda match: f"{match[1]}{'☐' if match[2] == ' ' else '☑'} ", BULLET.sub(r"\1- ", line))


def _fenced(lines: Sequence[str], start: int, fence: re.Match[str]) -> tuple[str, int]:
    """Return a block of code in WhatsApp's fences, and the number of the line after it. The language is left out."""
    mark, first = fence[1], fence[2]
    code = [] if LANGUAGE.fullmatch(first) and start < len(lines) else [first]
    for number in range(start, len(lines)):
        line = lines[number].rstrip()
        if line.endswith(mark):
            code += [before] if (before := line.removesuffix(mark).rstrip("`~")).strip() else []
            return "\n".join(["```", *code, "```"]), number + 1
        code.append(lines[number])
    return "\n".join(["```", *code, "```"]), len(lines)


def _is_title(line: str) -> bool:
    words = line.strip()
    return 0 < len(words) <= LONGEST_TITLE and words[-1] not in ".!?;,:" and not re.match(r"[-*+>|•]\s|\d+[.)]", words)


def _bold_line(text: str) -> str:
    """Return a heading in bold. The marks within it would end the bold."""
    bare = re.sub(r"(?<![\w/=])(\*{1,3}|__)(?=\S)(.*?)(?<=\S)\1(?!\w)", r"\2", text).strip().strip("*").strip()
    return f"**{bare}**" if bare else ""


def _rows(lines: Sequence[str], start: int) -> tuple[list[list[str]], int]:
    """Return the cells of a table's rows, and the number of the line after it."""
    end = start
    while end < len(lines) and "|" in lines[end]:
        end += 1
    return [_cells(line) for line in lines[start:end] if not TABLE_RULE.fullmatch(line)], end


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    inner = inner if inner.endswith("\\|") else inner.removesuffix("|")
    cells = re.split(r"(?<!\\)\|", inner)
    return [re.sub(r"\s*<br\s*/?>\s*", ", ", cell.strip().replace("\\|", "|"), flags=re.I) for cell in cells]


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a line for each row: its first cell, and the others with the names of their columns."""
    if not rows or len(names) == 1:
        yield " - ".join(filter(None, names))
    for row in rows:
        first, *others = row
        named = [
            f"{names[number]}: {cell}" if number < len(names) and names[number] else cell
            for number, cell in enumerate(others, 1)
            if cell
        ]
        if line := " - ".join(filter(None, [first, "; ".join(named)])):
            yield f"- {line}"


def _inline(text: str, keep: Keep) -> str:
    text = CODE.sub(lambda match: keep(_code(match[1], match[2])), text)
    text = ESCAPED.sub(lambda match: keep(match[1]), text)
    text = HTML_CODE.sub(lambda match: keep(_html_code(match)), COMMENT.sub("", text))
    text = HTML_LINK.sub(lambda match: _link(match, match[2], match[1], keep), text)
    text = HTML_IMAGE.sub(partial(_html_image, keep), text)
    for link in (LINK, LOOSE_LINK):
        text = link.sub(lambda match: _link(match, match[1], match[2], keep), text)
    text = AUTOLINK.sub(lambda match: keep(_shown(match[1])), text)
    text = MASKED.sub(lambda match: keep(match[0]), text)
    text = URL.sub(lambda match: keep(match[0].replace("&amp;", "&")), FOOTNOTE.sub(r"[\1]", text))
    if "<" in text:
        text = NEXT_CELL.sub(" - ", text)
        for tag, written in TAGS:
            text = tag.sub(written, text)
    text = ENTITY.sub(lambda match: keep(html.unescape(match[0]).replace("\xa0", " ")), text)
    return with_whatsapp_marks(text)


def _code(fence: str, code: str) -> str:
    return f"{fence}{code}{fence}" if "`" in code or len(fence) != 2 else f"`{code.strip()}`"


def _html_code(match: re.Match[str]) -> str:
    code = html.unescape(re.sub(r"</?(?:code|span)\b[^<>]*>", "", match[3]))
    return f"```\n{code.strip()}\n```" if match[1] or match[2].lower() == "pre" else f"`{code.strip()}`"


def _html_image(keep: Keep, match: re.Match[str]) -> str:
    found = {name.lower(): double or single for name, double, single in ATTRIBUTE.findall(match[1])}
    return _link(match, found.get("alt", ""), found.get("src", ""), keep)


def _link(match: re.Match[str], text: str, target: str, keep: Keep) -> str:
    """Return a link in words, with its address once."""
    shown, words = _shown(target), IMAGE.sub(r"\1", " ".join(text.split()))
    bare = re.sub(r"[*_~`]", "", words)
    if not shown or shown.startswith("#") or shown in bare:
        return words.replace(shown, keep(shown)) if shown and shown in words else words
    if not bare or _same(bare, shown):
        return keep(shown)
    following = match.string[match.end() : match.end() + len(shown) + 8]
    # The model has written the address again, as in [the site](https://a.com): https://a.com.
    twice = re.match(rf"\s*[:(<\u2013\u2014-]?\s*[(<]?{re.escape(shown)}(?![\w/])", following)
    return words if twice else f"{words} ({keep(shown)})"


def _shown(target: str) -> str:
    """Return an address as people read it."""
    written = ENTITY.sub(lambda match: html.unescape(match[0]), target.strip(" \n<>"))
    return re.sub(r"^(?:mailto:|tel:)", "", written, flags=re.I).replace(" ", "%20")


def _same(words: str, target: str) -> bool:
    def bare(text: str) -> str:
        return re.sub(r"^(?:https?://)?(?:www\.)?", "", text.casefold()).rstrip("/")

    return bare(words) == bare(target)
