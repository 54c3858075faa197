"""Tell what a model says to the contact from what it should not have written: reasoning, labels, calls as text."""

import json
import re
from collections.abc import Collection, Iterable
from typing import Any

THOUGHT = re.compile(
    r"(?:<|&lt;)\s*(?P<end>/?)\s*(?:\w+:)?(?:think|thinking|thoughts?|reasoning|reasoning_content|reflection|analysis"
    r"|scratchpad|inner_monologue|internal_monologue|pensamento|racioc[ií]nio|pensamiento|razonamiento)"
    r"(?:\s[^<>]{0,200})?(?P<empty>/?)(?:>|&gt;)"
    r"|(?P<begin_mark>◁think▷|\[think(?:ing)?\]|<\|(?:begin_of_thought|start_thinking)\|>|<unused94>)"
    r"|(?P<end_mark>◁/think▷|\[/think(?:ing)?\]|<\|(?:end_of_thought|end_thinking)\|>|<unused95>)",
    re.IGNORECASE,
)
FENCED_THOUGHT = re.compile(
    r"^[ \t]*```(?:think|thinking|thoughts?|reasoning)\s*\n.*?(?:\n\s*```|\Z)", re.M | re.S | re.I
)
PLAIN_THOUGHT = re.compile(r"\A\s*(?:thought:.*?\bfinal answer:|(?:analysis.*?)?assistantfinal\s*:?)", re.DOTALL | re.I)
"""Reasoning in words: of the ReAct form, and of a harmony answer whose server has removed the special tokens."""

CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)(?:(?!<\|message\|>).){0,200}?<\|message\|>(.*?)"
    r"(?=<\|(?:end|start|channel|return|call)\|>|\Z)",
    re.DOTALL,
)
"""A part of OpenAI's harmony format. Only the channel `final` is meant for the reader."""
START = re.compile(
    r"<\|(?:im_start|start|start_header_id)\|>\s*(?:assistant|model)?(?:<\|end_header_id\|>)?"
    r"|<start_of_turn>\s*(?:model)?|\A\s*assistant\s*\n",
    re.IGNORECASE,
)
OTHER_TURN = re.compile(
    r"(?:<\|(?:im_start|start_header_id)\|>|<start_of_turn>)\s*(?:user|system|tool)\b.*|\[INST\].*"
    r"|^(?:user|human)[ \t]*:.{0,2000}?^(?:assistant|ai)[ \t]*:.*",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
"""A further turn that the model has invented, up to the end."""
SPECIAL_TOKEN = re.compile(
    r"<\|(?!python_tag|tool|function)\w{1,40}\|>|<\uff5c(?!tool|DSML)[^\uff5c<>]{1,40}\uff5c>|<(?:end_of_turn|eos|bos|pad)>|\[/INST\]"
    r"|</?(?:answer|final_answer|final|response|reply|output|assistant|resposta|respuesta)>",
    re.IGNORECASE,
)
SENTENCE_TOKENS = re.compile(r"\A\s*(?:<s>)?((?:(?!</?s>).)*)(?:</s>\s*)*\Z", re.DOTALL)
"""A text with the tokens <s> and </s> around it. Elsewhere they are HTML's strike."""

LABEL = re.compile(
    r"\A\s*(?:[*_]{0,2}(?:\\?\[(?:operator|operadora?|assistant|assistente|asistente)\\?\]|"
    r"(?:assistant|assistente|asistente|bot|ai)(?=[*_]{0,2}[ \t]*:))[*_]{0,2}[ \t]*:?[*_]{0,2}\s*)+",
    re.IGNORECASE,
)
"""The beginning of a message that a model imitates from its history."""
NOTES = re.compile(
    r"^[ \t]*(?:[*_]{0,2}\\?\[(?:operator|operadora?)\\?\]:?[*_]{0,2}:?|\[empty message\]|\[sticker\]|\[attachment\]"
    r"|\[a contact was shared\]|\[forwarded\]|\[contact sent [^\]\n]*\]|\[answers an earlier message\]"
    r"|\[answers the message \"[^\n]*?\"\]|\[answers of a form: [^\n]*\]|\[came from an advertisement: [^\]\n]*\]"
    r"|\[location:? [^\]\n]*\]|\[(?:image|audio|video|application|text)/[\w.+-]+\])[ \t]*\n?"
    r"|\((?:No text|Go on|What came before is left out)\.\)[ \t]*\n?",
    re.MULTILINE | re.IGNORECASE,
)
"""Notes that our code writes into histories."""

CALL_MARKUP = re.compile(
    r"[<(]\s*/?\s*(?:\w+:)?(?:function(?:_?calls?|s)?|tool_?(?:calls?|code|uses?)|invoke|arg_key|arg_value)\s*[=>({]"
    r"|<(?:\w+:)?(?:invoke|function|parameter|tool_call)\s*(?:name)?\s*=|<(?:tool|call)>\s*\{"
    r"|<\|(?:python_tag|tool|function)[^|]{0,40}\|>|<\uff5c(?:tool|DSML)|<\|tool▁|\[/?TOOL_(?:CALLS?|REQUEST)\]"
    r"|```\s*tool_(?:code|call|use)|\bto=functions\.|\bfunctions\.\w+:\d|\baction input\s*:"
    r"|[\"'](?:tool_calls?|function_call|tool_uses)[\"']\s*:\s*[\[{]",
    re.IGNORECASE,
)

NAME = r"([A-Za-z_][\w.-]{0,99})"
NAMED_CALLS = (
    # A line that begins with a call, perhaps in code: find_slots(days=3), or find_slots {"days": 3}.
    re.compile(
        rf"^[^\w\n]{{0,6}}(?:(?:await|return)\s+|[A-Za-z_]\w*\s*=\s*|print\s*\(\s*)?{NAME}\s*:?\s*"
        r"(?:\(\s*(?:\)|[\"'\d{\[]|[A-Za-z_]\w*\s*[=:])|\{\s*[\"'}])",
        re.MULTILINE,
    ),
    # A call within a sentence: only with the names of its arguments, or without any.
    re.compile(rf"(?<![\w.-]){NAME}\(\s*(?:\)|[A-Za-z_]\w*\s*=|\{{)"),
    # Words that announce a call.
    re.compile(
        r"^\W{0,6}(?i:action|tool(?:[_ ]call)?|function(?:[_ ]call)?|(?:calling|chamando|llamando)(?:[ \t]+(?:the|a|la"
        rf"|tool|function|ferramenta|função|herramienta|función)){{0,2}})[ \t]*[:=]?[ \t]*[\"'`*]{{0,3}}{NAME}",
        re.MULTILINE,
    ),
    # JSON, perhaps cut or with single quotes: {"name": "find_slots", or {"find_slots": {
    re.compile(
        r"[\"'](?:name|tool|tool_name|function|function_name|action|recipient_name)[\"']\s*:\s*[\"']" + NAME + r"[\"']"
    ),
    re.compile(rf"\{{\s*[\"']{NAME}[\"']\s*:\s*\{{"),
    # An element with the tool's name.
    re.compile(rf"<\s*/?\s*{NAME}(?=[\s/>])"),
)
INVENTED_CALL = re.compile(r"\W{0,3}(?:print\s*\()?[\w.]{0,100}[a-z0-9]_[a-z0-9]\w{0,100}\s*\([^\n]*\)\W{0,3}")
"""A call alone, whatever its name: no word of a person looks like `find_slots(…)`."""
BARE_NAME = re.compile(rf"\W*{NAME}\W*")
FENCED = re.compile(r"```\w*\s*(.*?)\s*```", re.DOTALL)
ARGUMENT_KEYS = ("arguments", "parameters", "args", "tool_input", "action_input")

SENTENCE_END = re.compile(
    r"(?:[.!?\u2026\u3002\uff01\uff1f]|[\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?(?=\s+[A-ZÀ-Ý¡¿]))"
    r"[\"'\u201d\u2019)\]*_~]*(?=\s|$)"
)
NO_SENTENCE_END = re.compile(
    r"(?:\b(?:\w|dr|dra|drs|sr|sra|srs|srta|av|al|rod|prof|profa|profe|no|tel|cel|ex|obs|pág|art|apto?|ltda|cia|jr|mr"
    r"|mrs|ms|st|ud|uds|lic|ing|aprox|máx|mín|min|vs|ref|cód|end)|n[º°]|(?:\A|\n|[.!?:])\s*\d{1,3})\.$",
    re.IGNORECASE,
)
"""The end of a text whose last dot belongs to an abbreviation, or to the number of an item."""
LEAST_SENTENCE = 20
"""The number of characters that are left of a cut answer at least."""


def spoken_text(text: str) -> str:
    """Return the text without reasoning, special tokens and our own labels. Empty if nothing else is left."""
    if "<|channel|>" in text:
        text = _final_channel(text)
    text = PLAIN_THOUGHT.sub("", FENCED_THOUGHT.sub("", _without_thoughts(text)))
    text = START.sub("", OTHER_TURN.sub("", text))
    if "<" in text or "[" in text:
        text = SPECIAL_TOKEN.sub("", text)
    if whole := SENTENCE_TOKENS.match(text):
        text = whole[1]
    return LABEL.sub("", NOTES.sub("", text)).strip()


def _final_channel(text: str) -> str:
    """Return the parts of a harmony answer for the reader, or else what was written before the first channel."""
    final = [content for name, content in CHANNEL.findall(text) if name.lower() == "final"]
    return "\n".join(final) if final else text[: text.index("<|channel|>")]


def _without_thoughts(text: str) -> str:
    """Return what stands outside of reasoning. What comes before an end without a beginning is reasoning, too."""
    kept: list[str] = []
    at, thinking = 0, False
    for mark in THOUGHT.finditer(text):
        if not thinking:
            kept.append(text[at : mark.start()])
        if mark["end"] or mark["end_mark"]:
            if not thinking:
                kept.clear()
            thinking = False
        elif not mark["empty"]:
            thinking = True
        at = mark.end()
    return "".join(kept if thinking else [*kept, text[at:]])


def is_call(text: str, tools: Collection[str]) -> bool:
    """Return whether the text is, or contains, a tool call that the model has written out instead of making it."""
    if CALL_MARKUP.search(text):
        return True
    fenced = FENCED.fullmatch(text.strip())
    inner = (fenced[1] if fenced else text).strip()
    if inner[:1] in ("{", "[") and _is_json_call(inner):
        return True
    if INVENTED_CALL.fullmatch(inner):
        return True
    if not any(tool in text for tool in tools):
        return False
    if (bare := BARE_NAME.fullmatch(text)) and "_" in bare[1]:
        return _names_a_tool([bare[1]], tools)
    return any(_names_a_tool((match[1] for match in calls.finditer(text)), tools) for calls in NAMED_CALLS)


def _names_a_tool(names: Iterable[str], tools: Collection[str]) -> bool:
    """Return whether one of the names is a tool's, perhaps with a prefix as in `functions.find_slots`."""
    return any(
        written in tools or written.rpartition(".")[2] in tools
        for name in names
        for written in (name.rstrip(".-"), name.removesuffix(".call"))
    )


def _is_json_call(text: str) -> bool:
    """Return whether the text is a call in JSON, whatever its name. The model may have invented a tool."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    calls = found if isinstance(found, list) else [found]
    return bool(calls) and all(isinstance(call, dict) and _has_arguments(call) for call in calls)


def _has_arguments(call: dict[str, Any]) -> bool:
    function = call.get("function")
    if isinstance(function, dict):
        call = function
    named = any(isinstance(call.get(key), str) for key in ("name", "tool", "tool_name", "function", "action"))
    return named and len(call) <= 4 and any(key in call for key in ARGUMENT_KEYS)


def whole_sentences(text: str) -> str | None:
    """Return a text that was cut up to its last full sentence or line, or None if nothing useful is left.

    What comes last may be cut itself: a number such as 1.500, or an address, at its dot.
    """
    sentences = (match.end() for match in SENTENCE_END.finditer(text) if match.end() < len(text))
    ends = [end for end in sentences if not NO_SENTENCE_END.search(text[max(0, end - 16) : end])]
    ends += [at for at, character in enumerate(text) if character == "\n"]
    # A line that ends with a colon announces what was cut.
    kept = (text[:end].rstrip() for end in sorted(ends, reverse=True))
    last = next((part for part in kept if not part.endswith(":")), "")
    return last if len(last) >= LEAST_SENTENCE else None
