"""Adapt a history written by one provider's model for another provider. The stored history does not change."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from graphs.model_text import spoken_text
from graphs.providers import PROVIDERS
from graphs.sections import ModelSpec

SIGNATURES = "__gemini_function_call_thought_signatures__"
"""The field in which Google's client stores the signatures of its own calls, by call id."""

WRITER = "model"
"""The metadata field that names the model whose private data a message carries."""

LOST = "The call was interrupted and its outcome is not known."
BEFORE = "(What came before is left out.)"
GO_ON = "(Go on.)"
NO_TEXT = "(No text.)"

LONGEST_TEXT = 32_000
"""The number of characters of an answer that are kept. A contact reads them as 20 messages."""
LONGEST_ID = 64

ACCEPTED_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""The call ids that OpenAI and Groq accept."""


def adapt(messages: Sequence[BaseMessage], spec: ModelSpec) -> Sequence[BaseMessage]:
    """Return the messages as the model accepts them: the same list if nothing has to change.

    Every call is followed by its result, no message carries another model's private data, and the order is valid
    for the provider.
    """
    whole = messages if _paired(messages) else _repaired(messages)
    reader = name_of(spec)
    if any(_private(message, reader) for message in whole):
        whole = [_public(message) if _private(message, reader) else message for message in whole]
    if PROVIDERS[spec.provider].dialect == "gemini":
        # Gemini has no ids for calls, but rules for the order.
        return whole if _in_gemini_order(whole) else _ordered_for_gemini(whole)
    return whole if _ids_accepted(whole) else [_with_accepted_ids(message) for message in whole]


def name_of(spec: ModelSpec) -> str:
    """Return the model with its provider, as usage and prices name it."""
    return f"{spec.provider}/{spec.model}"


def strip_metadata(message: AIMessage, spec: ModelSpec) -> AIMessage:
    """Return a model's answer without the provider's metadata: logs, ratings, fingerprints, thoughts.

    Private data that the same model needs later is marked with the model's name. Texts and ids are bounded: they
    become keys in Postgres and messages to the contact.
    """
    signatures = message.additional_kwargs.get(SIGNATURES)
    extras = {SIGNATURES: signatures} if signatures else {}
    content = message.content if _signed(message.content) else spoken_text(str(message.text))[:LONGEST_TEXT]
    stripped = AIMessage(
        content=_storable(content),
        tool_calls=_storable(message.tool_calls),
        additional_kwargs=extras,
        response_metadata={WRITER: name_of(spec)} if extras or not isinstance(content, str) else {},
        id=_bounded(message.id) if message.id else None,
    )
    return with_call_ids(stripped, [_bounded(str(call["id"])) for call in stripped.tool_calls])


def with_call_ids(message: AIMessage, ids: Sequence[str]) -> AIMessage:
    """Return the message with these ids for its calls, in order."""
    old = [str(call["id"]) for call in message.tool_calls]
    if old == list(ids):
        return message
    calls = [{**call, "id": new} for call, new in zip(message.tool_calls, ids, strict=True)]
    extras = dict(message.additional_kwargs)
    if SIGNATURES in extras:
        extras[SIGNATURES] = {
            new: extras[SIGNATURES][was] for was, new in zip(old, ids, strict=True) if was in extras[SIGNATURES]
        }
    return message.model_copy(update={"tool_calls": calls, "additional_kwargs": extras})


def _ids_accepted(messages: Sequence[BaseMessage]) -> bool:
    return all(
        ACCEPTED_ID.fullmatch(str(call["id"]))
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    )


def _with_accepted_ids(message: BaseMessage) -> BaseMessage:
    if isinstance(message, AIMessage):
        return with_call_ids(message, [_accepted(str(call["id"])) for call in message.tool_calls])
    if isinstance(message, ToolMessage):
        return message.model_copy(update={"tool_call_id": _accepted(message.tool_call_id)})
    return message


def _accepted(identity: str) -> str:
    # Always the same for the same id, so that the provider can recognise what it has read before.
    if ACCEPTED_ID.fullmatch(identity):
        return identity
    return _short(identity)


def _bounded(identity: str) -> str:
    """Return the id of a message or a call in a length that keys can have. A server sets no limit."""
    return identity if len(identity) <= LONGEST_ID else _short(identity)


def _short(identity: str) -> str:
    return f"call_{hashlib.sha256(identity.encode()).hexdigest()[:24]}"


def _paired(messages: Sequence[BaseMessage]) -> bool:
    waiting: set[str | None] = set()
    for message in messages:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in waiting:
                return False
            waiting.remove(message.tool_call_id)
            continue
        if waiting:
            return False
        if isinstance(message, AIMessage):
            waiting = {call["id"] for call in message.tool_calls}
    return not waiting


def _repaired(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages with one result after each call: its own, or that it is lost.

    Results without a call are dropped.
    """
    results: defaultdict[str, list[ToolMessage]] = defaultdict(list)
    for message in messages:
        if isinstance(message, ToolMessage):
            results[message.tool_call_id].append(message)
    whole: list[BaseMessage] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            continue
        whole.append(message)
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            found = results[str(call["id"])]
            whole.append(found.pop(0) if found else ToolMessage(LOST, tool_call_id=str(call["id"]), name=call["name"]))
    return whole


def _private(message: BaseMessage, reader: str) -> bool:
    """Return whether the message carries private data of another model."""
    if not isinstance(message, AIMessage | ToolMessage):
        return False
    if isinstance(message.content, str) and not message.additional_kwargs:
        return False
    return message.response_metadata.get(WRITER) != reader


def _public(message: BaseMessage) -> BaseMessage:
    return message.model_copy(update={"content": str(message.text), "additional_kwargs": {}, "response_metadata": {}})


def _signed(content: str | list[str | dict[str, Any]]) -> bool:
    return isinstance(content, list) and any(
        isinstance(block, dict) and ("signature" in block or "signature" in (block.get("extras") or ()))
        for block in content
    )


def _in_gemini_order(messages: Sequence[BaseMessage]) -> bool:
    spoken = [message for message in messages if message.type != "system"]
    if not spoken or isinstance(spoken[0], AIMessage) or isinstance(spoken[-1], AIMessage):
        return False
    return not any(_silent(message) for message in spoken) and not any(
        _joins(before, after) for before, after in pairwise(spoken)
    )


def _ordered_for_gemini(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the order that Gemini accepts: a user message or a result first and last, and no empty text."""
    system = [message for message in messages if message.type == "system"]
    ordered: list[BaseMessage] = []
    for message in messages:
        if message.type == "system":
            continue
        if not ordered and isinstance(message, AIMessage):
            ordered.append(HumanMessage(BEFORE))
        if ordered and _joins(ordered[-1], message):
            ordered[-1] = _joined(ordered[-1], message)
        elif _silent(message):
            ordered.append(message.model_copy(update={"content": NO_TEXT}))
        else:
            ordered.append(message)
    if not ordered or isinstance(ordered[-1], AIMessage):
        ordered.append(HumanMessage(GO_ON))
    return [*system, *ordered]


def _silent(message: BaseMessage) -> bool:
    if isinstance(message, AIMessage) and message.tool_calls:
        return False
    return isinstance(message.content, str) and not message.content.strip() and not isinstance(message, ToolMessage)


def _joins(before: BaseMessage, after: BaseMessage) -> bool:
    if not isinstance(before, AIMessage) or not isinstance(after, AIMessage):
        return False
    return bool(after.tool_calls) and not before.tool_calls


def _joined(before: BaseMessage, after: BaseMessage) -> BaseMessage:
    words: list[str | dict[str, Any]] = [{"type": "text", "text": str(before.text)}]
    if isinstance(after.content, list):
        return after.model_copy(update={"content": [*words, *after.content]})
    return after.model_copy(update={"content": "\n\n".join(filter(None, (str(before.text), after.content)))})


def _storable[T](value: T) -> T:
    """Return the value without what Postgres cannot store: NUL characters and lone surrogates."""
    cleaned: Any = value
    if isinstance(value, str):
        cleaned = value.replace("\x00", "").encode("utf-8", "replace").decode()
    elif isinstance(value, list):
        cleaned = [_storable(item) for item in value]
    elif isinstance(value, dict):
        cleaned = {_storable(key): _storable(item) for key, item in value.items()}
    return cleaned  # type: ignore[no-any-return]
