"""Adapt a history written by one provider's model for another provider. The stored history does not change."""

import hashlib
import json
import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from graphs.model_text import spoken_text
from graphs.plain_messages import MOST_LEVELS, SIGNATURES, WRITER, plain
from graphs.providers import PROVIDERS
from graphs.sections import ModelSpec

__all__ = ["LOST", "SIGNATURES", "adapt", "name_of", "strip_metadata", "with_call_ids"]

LOST = "The call was interrupted and its outcome is not known."
BEFORE = "(What came before is left out.)"
GO_ON = "(Go on.)"

LONGEST_TEXT = 32_000
"""The number of characters of an answer that are kept. A contact reads them as 20 messages."""
LONGEST_ID = 64
LONGEST_NAME = 200
"""The number of characters of a call's name that are kept. No tool has so long a name."""

BRACKET = re.compile(r"[][{}]")
ACCEPTED_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""The call ids that OpenAI and Groq accept."""


def adapt(messages: Sequence[BaseMessage], spec: ModelSpec) -> Sequence[BaseMessage]:
    """Return the messages as the model accepts them: the same list if nothing has to change.

    Every message is one that all providers accept, every call is followed by its only result, no two calls have the
    same id, no message carries another model's private data, and the order is valid for the provider.
    """
    gemini = PROVIDERS[spec.provider].dialect == "gemini"
    # Only Gemini's messages carry data that their model reads again.
    reader = name_of(spec) if gemini else None
    accepted: Sequence[BaseMessage] = [kept for message in messages if (kept := plain(message, reader)) is not None]
    if len(accepted) == len(messages) and all(new is old for new, old in zip(accepted, messages, strict=True)):
        accepted = messages
    whole = accepted if _paired(accepted) else _repaired(accepted)
    if gemini:
        # Gemini has no ids for calls, but rules for the order.
        return whole if _in_gemini_order(whole) else _ordered_for_gemini(whole)
    if not whole:
        return [HumanMessage(GO_ON)]
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
        tool_calls=[{**call, "name": call["name"][:LONGEST_NAME]} for call in _storable(message.tool_calls)],
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
    """Return whether each call has an id of its own, and its result follows at once."""
    waiting: set[str | None] = set()
    called: set[str | None] = set()
    for message in messages:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in waiting:
                return False
            waiting.remove(message.tool_call_id)
            continue
        if waiting:
            return False
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                if call["id"] in called:
                    return False
                called.add(call["id"])
                waiting.add(call["id"])
    return not waiting


def _repaired(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages with one result after each call: its own, or that it is lost.

    Results without a call are dropped. A call with the id of an earlier one gets another id.
    """
    answered = _results(messages)
    called: set[str] = set()
    whole: list[BaseMessage] = []
    for number, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            continue
        if not isinstance(message, AIMessage):
            whole.append(message)
            continue
        ids: list[str] = []
        for place, call in enumerate(message.tool_calls):
            identity = str(call["id"])
            ids.append(identity if identity not in called else _short(f"{identity} {number} {place}"))
            called.add(ids[-1])
        whole.append(with_call_ids(message, ids))
        for place, (call, identity) in enumerate(zip(message.tool_calls, ids, strict=True)):
            found = answered.get((number, place)) or ToolMessage(LOST, tool_call_id=identity, name=call["name"])
            whole.append(found.model_copy(update={"tool_call_id": identity}))
    return whole


def _results(messages: Sequence[BaseMessage]) -> dict[tuple[int, int], ToolMessage]:
    """Return the result of each call that has one, by the place of the message and of the call in it.

    A result belongs to the last message before it that called with its id.
    """
    answered: dict[tuple[int, int], ToolMessage] = {}
    waiting: dict[str, list[tuple[int, int]]] = {}
    for number, message in enumerate(messages):
        if isinstance(message, AIMessage):
            calls: dict[str, list[tuple[int, int]]] = {}
            for place, call in enumerate(message.tool_calls):
                calls.setdefault(str(call["id"]), []).append((number, place))
            waiting |= calls
        elif isinstance(message, ToolMessage) and waiting.get(message.tool_call_id):
            answered[waiting[message.tool_call_id].pop(0)] = message
    return answered


def _signed(content: str | list[str | dict[str, Any]]) -> bool:
    return isinstance(content, list) and any(
        isinstance(block, dict) and ("signature" in block or "signature" in (block.get("extras") or ()))
        for block in content
    )


def _in_gemini_order(messages: Sequence[BaseMessage]) -> bool:
    spoken = [message for message in messages if not isinstance(message, SystemMessage)]
    if not spoken or isinstance(spoken[0], AIMessage) or isinstance(spoken[-1], AIMessage):
        return False
    if any(isinstance(message, SystemMessage) for message in messages[len(messages) - len(spoken) :]):
        return False
    return not any(isinstance(message, ToolMessage) and _misread(message) for message in spoken) and not any(
        _joins(before, after) for before, after in pairwise(spoken)
    )


def _ordered_for_gemini(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the order that Gemini accepts: instructions, then a user message or a result first and last."""
    # The client drops instructions that do not stand at the beginning.
    system = [message for message in messages if isinstance(message, SystemMessage)]
    ordered: list[BaseMessage] = []
    for message in messages:
        if isinstance(message, SystemMessage):
            continue
        if not ordered and isinstance(message, AIMessage):
            ordered.append(HumanMessage(BEFORE))
        if isinstance(message, ToolMessage) and _misread(message):
            output = json.dumps({"output": message.content}, ensure_ascii=False)
            message = message.model_copy(update={"content": output})
        # An operator may have written several messages before the call.
        while ordered and _joins(ordered[-1], message):
            message = _joined(ordered.pop(), message)
        ordered.append(message)
    if not ordered or isinstance(ordered[-1], AIMessage):
        ordered.append(HumanMessage(GO_ON))
    return [*system, *ordered]


def _misread(message: ToolMessage) -> bool:
    """Return whether Google's client would make something of the result that Gemini refuses.

    It reads results as JSON, in which Python accepts NaN and any number of levels.
    """
    text = str(message.content)
    return "NaN" in text or "Infinity" in text or _levels(text) > MOST_LEVELS


def _levels(text: str) -> int:
    """Return the most brackets that are open at one place of the text, which JSON of as many levels has."""
    if text.count("[") + text.count("{") <= MOST_LEVELS:
        return 0
    return max(accumulate(1 if bracket in "[{" else -1 for bracket in BRACKET.findall(text)))


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
