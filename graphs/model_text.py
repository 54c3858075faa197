"""Tell what a model says to the contact from what it should not have written: reasoning, labels, calls as text."""

import json
import re
from collections.abc import Collection
from typing import Any

_TAGS = "think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad|inner_monologue"
THOUGHT = re.compile(rf"<({_TAGS})\b[^<>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
THOUGHT_BEGUN = re.compile(rf"<(?:{_TAGS})\b[^<>]*>.*", re.DOTALL | re.IGNORECASE)
THOUGHT_ENDED = re.compile(rf".*</(?:{_TAGS})\s*>", re.DOTALL | re.IGNORECASE)
OTHER_THOUGHTS = (
    re.compile(r"◁think▷.*?(?:◁/think▷|\Z)", re.DOTALL),
    re.compile(r"\[THINK\].*?(?:\[/THINK\]|\Z)", re.DOTALL),
)
CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|start|channel|return|call)\|>|\Z)", re.DOTALL
)
"""A part of OpenAI's harmony format. Only the channel `final` is meant for the reader."""
SPECIAL_TOKEN = re.compile(r"<\|[a-z_]{1,30}\|>|</?s>|<(?:end_of_turn|start_of_turn|eos|bos)>")

LABEL = re.compile(r"^\s*(?:(?:\[operator\]|(?:assistant|model|bot|ai)\s*:)\s*)+", re.IGNORECASE)
"""The beginning of a message that a model imitates from its history."""
NOTES = re.compile(
    r"^\s*(?:\[operator\]|\(No text\.\)|\(Go on\.\)|\(What came before is left out\.\)|\[empty message\]|\[sticker\]"
    r"|\[a contact was shared\]|\[forwarded\]|\[answers an earlier message\])[ \t]*",
    re.MULTILINE,
)
"""Notes that our code writes into histories."""

CALL_MARKUP = re.compile(
    r"<function=|<function_calls?>|<tool_calls?>|<tool_code>|<tool>\s*\{|<invoke\b|<\|python_tag\|>|<\|tool_calls?[^|]*\|>"
    r"|\[TOOL_CALLS\]|```\s*(?:tool_code|tool_call)|<\|tool▁calls?▁begin\|>|functions\.\w+:\d+",
    re.IGNORECASE,
)
FENCED = re.compile(r"```\w*\s*(.*?)\s*```", re.DOTALL)
SPOKEN_CALL = re.compile(
    r"(?:print\()?(?:functions\.|default_api\.|tools\.)?([A-Za-z_][\w.-]{0,63})\s*\(([^()]*)\)\)?;?", re.DOTALL
)
ARGUMENT_KEYS = ("arguments", "parameters", "args", "input", "tool_input")

SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]*_~]*(?=\s|$)")
LEAST_SENTENCE = 20
"""The number of characters that are left of a cut answer at least."""


def spoken_text(text: str) -> str:
    """Return the text without reasoning, special tokens and our own labels. Empty if nothing else is left."""
    channels = CHANNEL.findall(text)
    if channels:
        text = "\n".join(content for name, content in channels if name.lower() == "final")
    if "<" in text or "◁" in text or "[" in text:
        if "</" in text:
            text = THOUGHT.sub("", text)
        text = THOUGHT_BEGUN.sub("", THOUGHT_ENDED.sub("", text))
        for pattern in OTHER_THOUGHTS:
            text = pattern.sub("", text)
        text = SPECIAL_TOKEN.sub("", text)
    return LABEL.sub("", NOTES.sub("", text)).strip()


def is_call(text: str, tools: Collection[str]) -> bool:
    """Return whether the text is a tool call that the model has written out instead of making it."""
    if CALL_MARKUP.search(text):
        return True
    fenced = FENCED.fullmatch(text.strip())
    inner = (fenced[1] if fenced else text).strip()
    if inner[:1] in ("{", "["):
        return _is_json_call(inner, tools)
    spoken = SPOKEN_CALL.fullmatch(inner)
    # No word of a person looks like `find_slots(…)`.
    return spoken is not None and (_plain_name(spoken[1]) in tools or "_" in spoken[1])


def _is_json_call(text: str, tools: Collection[str]) -> bool:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    calls = found if isinstance(found, list) else [found]
    return bool(calls) and all(isinstance(call, dict) and _names_a_tool(call, tools) for call in calls)


def _names_a_tool(call: dict[str, Any], tools: Collection[str]) -> bool:
    function = call.get("function")
    if isinstance(function, dict):
        call = function
    name = next((call[key] for key in ("name", "tool", "tool_name", "function", "action") if key in call), None)
    has_arguments = any(key in call for key in ARGUMENT_KEYS)
    if isinstance(name, str):
        return _plain_name(name) in tools or (has_arguments and len(call) <= 4)
    return len(call) == 1 and next(iter(call)) in tools


def _plain_name(name: str) -> str:
    return name.rpartition(".")[2]


def whole_sentences(text: str) -> str | None:
    """Return a text that was cut up to its last full sentence or line, or None if nothing useful is left."""
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    lines = [text.rfind("\n")] if "\n" in text else []
    # A number such as 1.500 or an address may have been cut at its dot.
    whole = [end for end in ends if end < len(text)]
    end = max([*whole, *lines], default=0)
    kept = text[:end].rstrip()
    return kept if len(kept) >= LEAST_SENTENCE and (whole or lines) else None
