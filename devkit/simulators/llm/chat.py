"""Represent requests and answers in a form that is the same for all providers."""

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from devkit.simulators.llm import codec

type Fault = int | str
"""An HTTP status, or one of the names in ANSWER_FAULTS and TRANSPORT_FAULTS."""

ANSWER_FAULTS = ("refuse", "empty", "bad_args", "length")
"""Faults that damage a valid answer."""
TRANSPORT_FAULTS = ("timeout", "drop", "garbage")
"""Faults instead of an answer."""


@dataclass(slots=True)
class ChatToolCall:
    """A tool call of a model."""

    id: str
    name: str
    arguments: object


@dataclass(slots=True)
class ChatMessage:
    """A message of a request. `name` is the tool's in a tool result."""

    role: str
    text: str
    name: str = ""
    calls: Sequence[ChatToolCall] = ()


@dataclass(slots=True)
class ChatRequest:
    """A parsed request. `tools` are the names of the offered tools. `structured` asks for JSON or forces a tool."""

    provider: str
    model: str
    messages: list[ChatMessage]
    tools: list[str]
    forced: str
    """The tool that the client forces with `tool_choice`, or ''."""
    structured: bool
    stream: bool
    usage_in_stream: bool
    prompt_tokens: int


@dataclass(slots=True)
class ChatAnswer:
    """An answer. `broken` cuts the arguments of its calls, or its JSON."""

    text: str = ""
    calls: list[ChatToolCall] = field(default_factory=list)
    structured: bool = False
    finish: str = "stop"
    """`stop`, `length` or `refusal`."""
    broken: bool = False

    @property
    def kind(self) -> str:
        """The kind of answer in the log: refusal, json, calls, text or empty."""
        if self.finish == "refusal":
            return "refusal"
        if self.structured:
            return "json"
        if self.calls:
            return "calls"
        return "text" if self.text else "empty"

    def damage(self, fault: Fault) -> bool:
        """Damage the answer. Return False when it has nothing that this fault can damage."""
        match fault:
            case "refuse":
                self.text = "" if self.structured else self.text
                self.text = self.text or "I'm sorry, but I can't help with that."
                self.calls, self.finish, self.structured = [], "refusal", False
            case "empty":
                self.text, self.calls, self.structured = "", [], False
            case "length":
                self.finish = "length"
                self.text = self.text[: len(self.text) // 2]
            case "bad_args" if self.structured and not self.calls:
                self.text, self.broken = truncate(self.text), True
            case "bad_args" if self.calls:
                self.broken = True
            case _:
                return False
        return True

    def arguments_text(self, call: ChatToolCall) -> str:
        """Return a call's arguments as JSON, cut if the answer is damaged."""
        arguments = codec.text(call.arguments)
        return truncate(arguments) if self.broken or self.finish == "length" else arguments

    def count_tokens(self) -> int:
        """Return the number of tokens."""
        if not self.text and not self.calls:
            return 0
        return count_tokens(
            len(self.text) + sum(len(call.name) + len(self.arguments_text(call)) for call in self.calls)
        )


class RequestRejected(Exception):
    """An error that is sent in the provider's format."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param


class WireFormat(Protocol):
    """The wire format of a provider."""

    provider: str

    def read(self, body: bytes, target: str) -> ChatRequest:
        """Parse a request. `target` is the last part of its path. Raises RequestRejected where the provider would."""

    def messages(self, body: bytes) -> list[ChatMessage]:
        """Return the messages of a request that may be invalid."""

    def reply(self, chat: ChatRequest, answer: ChatAnswer) -> bytes:
        """Return the body of an answer."""

    def events(self, chat: ChatRequest, answer: ChatAnswer) -> bytes:
        """Return the body of a streamed answer, as server-sent events."""

    def error(self, error: RequestRejected) -> bytes:
        """Return the body of an error."""


def truncate(document: str) -> str:
    """Return the first half of a JSON text, which is never valid."""
    return document[: max(1, len(document) // 2)]


def prompt_tokens(messages: list[ChatMessage], tools: object) -> int:
    """Return the number of tokens of a request."""
    characters = len(codec.dumps(tools)) if tools else 0
    for message in messages:
        characters += len(message.text)
        for call in message.calls:
            characters += len(call.name) + len(codec.dumps(call.arguments))
    return count_tokens(characters) + 4 * len(messages)


def count_tokens(characters: int) -> int:
    """Return the number of tokens of a text: its characters divided by four."""
    return max(1, (characters + 3) // 4)


_prefix = os.urandom(6).hex()
_numbers = itertools.count(1)


def new_id(kind: str) -> str:
    """Return a unique id that begins with `kind`."""
    return f"{kind}{_prefix}{next(_numbers):010x}"
