"""Refuse the requests that OpenAI and Groq refuse, with their errors."""

import json
import re
from typing import Any

from devkit.simulators.llm.chat import RequestRejected
from devkit.simulators.llm.codec import Document
from devkit.simulators.llm.openai_schemas import check_parameters

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_SPEAKER = re.compile(r"[^\s<|\\/>]+")
_ONE_TEMPERATURE = re.compile(r"o\d|gpt-5(-mini|-nano)?(-\d|$)")
"""Models that take no temperature but the default."""
_PARTS = {
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
    "system": ("text",),
    "developer": ("text",),
    "tool": ("text",),
}
_CHOICES = ("none", "auto", "required")
_LONGEST_NAME, _LONGEST_ID, _LONGEST_DESCRIPTION, _MOST_TOOLS = 64, 40, 1024, 128


def check_history(raw: list[Document], *, groq: bool) -> None:
    """Refuse messages with names, ids or contents that are not valid, and calls and results that do not pair."""
    waiting: dict[str, None] = {}
    called: set[str] = set()
    answered: set[str] = set()
    for index, item in enumerate(raw):
        _check_content(index, item)
        if item["role"] == "tool":
            _check_result(index, item, called, answered)
            answered.add(item["tool_call_id"])
            waiting.pop(item["tool_call_id"], None)
            continue
        _check_answered(index, waiting)
        calls = _calls(index, item, groq)
        called, answered = {call["id"] for call in calls}, set()
        waiting = {call["id"]: None for call in calls}
    _check_answered(len(raw), waiting)


def check_tools(payload: Document, *, groq: bool) -> None:
    """Refuse tools, and a choice of a tool, that are not valid."""
    raw, choice = payload.get("tools"), payload.get("tool_choice")
    if raw is None:
        if choice not in (None, "none"):
            text = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
            raise RequestRejected(400, text, param="tool_choice")
        return
    if not raw:
        raise _invalid("tools", "empty array. Expected an array with minimum length 1, but got an empty array instead")
    if len(raw) > _MOST_TOOLS:
        text = f"array too long. Expected an array with maximum length {_MOST_TOOLS}, but got an array with length"
        raise _invalid("tools", f"{text} {len(raw)} instead", "array_above_max_length")
    for index, tool in enumerate(raw):
        if tool.get("type") != "function":
            text = f"Invalid value: '{tool.get('type')}'. Supported values are: 'function' and 'custom'."
            raise RequestRejected(400, text, "invalid_value", f"tools[{index}].type")
        function, where = tool["function"], f"tools[{index}].function"
        _check_name(f"{where}.name", function.get("name"))
        _check_length(f"{where}.description", function.get("description") or "", _LONGEST_DESCRIPTION)
        check_parameters(function["name"], where, function.get("parameters"), groq=groq)
    if isinstance(choice, str) and choice not in _CHOICES:
        text = f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'."
        raise RequestRejected(400, text, "invalid_value", "tool_choice")


def check_options(payload: Document, *, groq: bool) -> None:
    """Refuse numbers that are out of bounds."""
    temperature = payload.get("temperature")
    for name, low, high in (("temperature", 0, 2), ("top_p", 0, 1)):
        _check_bounds(name, payload.get(name), low, high)
    for name in ("max_tokens", "max_completion_tokens"):
        _check_bounds(name, payload.get(name), 1, None)
    if not groq and temperature not in (None, 1) and _ONE_TEMPERATURE.match(str(payload["model"])):
        text = f"'temperature' does not support {temperature} with this model. Only the default (1) value is supported."
        raise RequestRejected(400, f"Unsupported value: {text}", "unsupported_value", "temperature")


def _check_bounds(name: str, value: Any, low: int, high: int | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, "a decimal", value)
    kind = "integer" if isinstance(value, int) else "decimal"
    if value < low:
        text = f"{kind} below minimum value. Expected a value >= {low}, but got {value} instead"
        raise _invalid(name, text, f"{kind}_below_min_value")
    if high is not None and value > high:
        text = f"{kind} above maximum value. Expected a value <= {high}, but got {value} instead"
        raise _invalid(name, text, f"{kind}_above_max_value")


def _check_content(index: int, item: Document) -> None:
    content, role = item.get("content"), item["role"]
    name = item.get("name")
    if name is not None and not _SPEAKER.fullmatch(str(name)):
        text = r"string does not match pattern. Expected a string that matches the pattern '^[^\s<|\\/>]+$'"
        raise _invalid(f"messages[{index}].name", text)
    if content is None:
        if role == "assistant" and (item.get("tool_calls") or item.get("refusal")):
            return
        text = "Invalid value for 'content': expected a string, got null."
        raise RequestRejected(400, text, param=f"messages.[{index}].content")
    if isinstance(content, str):
        return
    where = f"messages[{index}].content"
    if not isinstance(content, list):
        raise _wrong_type(where, "one of a string or array of objects", content)
    if not content:
        raise _invalid(where, "empty array. Expected an array with minimum length 1, but got an empty array instead")
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in _PARTS[role]:
            supported = ", ".join(f"'{name}'" for name in _PARTS[role])
            text = f"Invalid value: '{kind}'. Supported values are: {supported}."
            raise RequestRejected(400, text, "invalid_value", f"{where}[{number}].type")
        if kind == "text" and not isinstance(part.get("text"), str):
            raise _missing(f"{where}[{number}].text")


def _calls(index: int, item: Document, groq: bool) -> list[Document]:
    calls = item.get("tool_calls")
    where = f"messages[{index}].tool_calls"
    if calls is None:
        return []
    if not calls:
        raise _invalid(where, "empty array. Expected an array with minimum length 1, but got an empty array instead")
    for number, call in enumerate(calls):
        _check_call(f"{where}[{number}]", call, groq)
    ids = [call["id"] for call in calls]
    for identity in ids:
        if ids.count(identity) > 1:
            text = f"Invalid parameter: Duplicate value for 'tool_call_id' of '{identity}' in message[{index}]."
            raise RequestRejected(400, text, param=f"messages.[{index}].tool_calls")
    return list(calls)


def _check_call(where: str, call: Document, groq: bool) -> None:
    if not isinstance(call.get("id"), str) or not call["id"]:
        raise _missing(f"{where}.id")
    _check_length(f"{where}.id", call["id"], _LONGEST_ID)
    if call.get("type") != "function":
        raise _missing(f"{where}.type")
    function = call["function"]
    _check_name(f"{where}.function.name", function.get("name"))
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        raise _wrong_type(f"{where}.function.arguments", "a string", arguments)
    if groq and not _is_object(arguments):
        raise RequestRejected(400, f"'{where}.function.arguments' : value must be the JSON of an object")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, parse_constant=_no_json), dict)
    except ValueError:
        return False


def _no_json(constant: str) -> Any:
    raise ValueError(constant)


def _check_name(where: str, name: Any) -> None:
    if not isinstance(name, str):
        raise _missing(where)
    if not name:
        text = "empty string. Expected a string with minimum length 1, but got an empty string instead"
        raise _invalid(where, text, "empty_string")
    _check_length(where, name, _LONGEST_NAME)
    if not _NAME.fullmatch(name):
        text = "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'"
        raise _invalid(where, text)


def _check_length(where: str, value: str, longest: int) -> None:
    if len(value) > longest:
        text = f"string too long. Expected a string with maximum length {longest}, but got a string with length"
        raise _invalid(where, f"{text} {len(value)} instead", "string_above_max_length")


def _check_result(index: int, item: Document, called: set[str], answered: set[str]) -> None:
    if not called:
        text = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
        raise RequestRejected(400, f"Invalid parameter: {text}", param=f"messages.[{index}].role")
    identity = item.get("tool_call_id")
    if identity is None:
        raise _missing(f"messages[{index}].tool_call_id")
    if identity not in called:
        text = f"'tool_call_id' of '{identity}' not found in 'tool_calls' of previous message."
        raise RequestRejected(400, f"Invalid parameter: {text}", param=f"messages.[{index}].tool_call_id")
    if identity in answered:
        text = f"Duplicate value for 'tool_call_id' of '{identity}' in message[{index}]."
        raise RequestRejected(400, f"Invalid parameter: {text}", param=f"messages.[{index}].tool_call_id")


def _check_answered(index: int, waiting: dict[str, None]) -> None:
    if waiting:
        text = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}"
        )
        raise RequestRejected(400, text, param=f"messages.[{index}].role")


def _invalid(where: str, text: str, code: str = "invalid_value") -> RequestRejected:
    return RequestRejected(400, f"Invalid '{where}': {text}.", code, where)


def _missing(where: str) -> RequestRejected:
    return RequestRejected(400, f"Missing required parameter: '{where}'.", "missing_required_parameter", where)


def _wrong_type(where: str, expected: str, value: Any) -> RequestRejected:
    kinds: dict[type, str] = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "an integer",
    }
    got = kinds.get(type(value), "null" if value is None else "a decimal")
    text = f"Invalid type for '{where}': expected {expected}, but got {got} instead."
    return RequestRejected(400, text, "invalid_type", where)
