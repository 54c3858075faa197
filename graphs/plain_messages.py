"""Make one message acceptable to every provider: its content, the names of its calls, and their arguments.

What a model wrote is stored as it was. Older checkpoints hold such messages too, so they are mended when they are read.
"""

import math
import re
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

SIGNATURES = "__gemini_function_call_thought_signatures__"
"""The field in which Google's client stores the signatures of its own calls, by call id."""

WRITER = "model"
"""The metadata field that names the model whose private data a message carries."""

NO_TEXT = "(No text.)"

ACCEPTED_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""The names of tools that all providers accept. One other name in a history makes them refuse the whole request."""

MOST_LEVELS = 40
"""The levels of a call's arguments that are sent. Gemini's messages have at most 100."""


def plain(message: BaseMessage, reader: str | None) -> BaseMessage | None:
    """Return the message as every provider accepts it, or None if there is nothing to send.

    `reader` is the model that will read it, if it reads private data of its own. That of other models is removed. A
    message that is accepted as it is, is returned itself.
    """
    match message:
        case AIMessage():
            return _plain_answer(message, reader)
        case ToolMessage():
            return _plain_result(message)
        case SystemMessage():
            return _with_text(message) if _text(message).strip() else None
        case HumanMessage():
            return _with_text(message)
        case FunctionMessage():
            # The result of a kind of call that no provider has any more.
            return None
        case ChatMessage():
            return _of_role(message, reader)
    return _with_text(HumanMessage(_text(message)))


def accepted_name(name: Any) -> str:
    """Return a name that all providers accept, as near to the given one as possible.

    It is the same for the same name, so that a call and its result agree.
    """
    if isinstance(name, str) and ACCEPTED_NAME.fullmatch(name):
        return name
    mended = re.sub(r"[^A-Za-z0-9_-]+", "_", str(name or "")).strip("_-") or "unknown"
    return (mended if mended[0].isalpha() else f"_{mended}")[:64]


def _plain_answer(message: AIMessage, reader: str | None) -> AIMessage | None:
    calls = [_plain_call(call) for call in message.tool_calls]
    own = reader is not None and message.response_metadata.get(WRITER) == reader
    # Only its own model understands the parts of a list.
    content = _own_parts(message.content) if own else message.content
    content = content if own or isinstance(content, str) else _text(message)
    if not calls and not _text(message).strip():
        return None
    extras = (
        {SIGNATURES: message.additional_kwargs[SIGNATURES]} if own and SIGNATURES in message.additional_kwargs else {}
    )
    changes: dict[str, Any] = {}
    if content is not message.content:
        changes["content"] = content
    if extras != message.additional_kwargs:
        changes["additional_kwargs"] = extras
    if calls != message.tool_calls:
        changes["tool_calls"] = calls
    if message.invalid_tool_calls:
        # The clients send them as calls, which nobody answers.
        changes["invalid_tool_calls"] = []
    if message.name is not None:
        changes["name"] = None
    if not own and message.response_metadata:
        changes["response_metadata"] = {}
    return message.model_copy(update=changes) if changes else message


def _own_parts(content: str | list[Any]) -> str | list[Any]:
    """Return the texts and thoughts of a model. Its client would fetch the images that it names."""
    if isinstance(content, str) or all(_is_said(part) for part in content):
        return content
    return [part for part in content if _is_said(part)]


def _is_said(part: Any) -> bool:
    kind = part.get("type") if isinstance(part, dict) else None
    return kind in ("text", "thinking") and isinstance(part.get(kind), str)


def _plain_call(call: ToolCall) -> ToolCall:
    name, arguments, identity = accepted_name(call["name"]), sendable(call["args"]), str(call["id"])
    if not isinstance(arguments, dict):
        arguments = {}
    if name == call["name"] and arguments is call["args"] and identity == call["id"]:
        return call
    return ToolCall(name=name, args=arguments, id=identity, type="tool_call")


def _plain_result(message: ToolMessage) -> ToolMessage:
    text = _text(message)
    content = text if text.strip() else NO_TEXT
    name = None if message.name is None else accepted_name(message.name)
    if content == message.content and name == message.name:
        return message
    return message.model_copy(update={"content": content, "name": name})


def _with_text(message: BaseMessage) -> BaseMessage:
    text = _text(message)
    content = text if text.strip() else NO_TEXT
    if content == message.content and message.name is None:
        return message
    # OpenAI accepts no spaces in the name of a speaker.
    return message.model_copy(update={"content": content, "name": None})


def _of_role(message: ChatMessage, reader: str | None) -> BaseMessage | None:
    kinds: dict[str, type[BaseMessage]] = {"assistant": AIMessage, "system": SystemMessage, "developer": SystemMessage}
    return plain(kinds.get(message.role, HumanMessage)(_text(message)), reader)


def _text(message: BaseMessage) -> str:
    return message.content if isinstance(message.content, str) else str(message.text)


def sendable(value: Any, level: int = 0) -> Any:
    """Return a call's arguments as JSON can carry them: finite numbers, and not more than MOST_LEVELS levels.

    The same value is returned if nothing has to change.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if not isinstance(value, dict | list):
        return value
    if level >= MOST_LEVELS:
        return "…"
    if isinstance(value, list):
        items = [sendable(item, level + 1) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    entries = {key: sendable(item, level + 1) for key, item in value.items()}
    return value if all(entries[key] is item for key, item in value.items()) else entries
