"""A request and its answer, free of any provider's wire format."""

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from devkit.simulators.llm import codec

type Fault = int | str
"""An HTTP status, or one of the names in SPOILING and BREAKING."""

SPOILING = ("refuse", "empty", "bad_args", "length")
BREAKING = ("timeout", "drop", "garbage")


@dataclass(slots=True)
class ToolCall:
    id: str
    name: str
    arguments: object


@dataclass(slots=True)
class Message:
    role: str
    text: str
    name: str = ""
    calls: Sequence[ToolCall] = ()


@dataclass(slots=True)
class Chat:
    provider: str
    model: str
    messages: list[Message]
    tools: list[str]
    forced: str
    """The one tool the client insists on, or nothing."""
    structured: bool
    stream: bool
    usage_in_stream: bool
    prompt_tokens: int


@dataclass(slots=True)
class Answer:
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    structured: bool = False
    finish: str = "stop"
    """stop, length or refusal."""
    broken: bool = False

    @property
    def kind(self) -> str:
        if self.finish == "refusal":
            return "refusal"
        if self.structured:
            return "json"
        if self.calls:
            return "calls"
        return "text" if self.text else "empty"

    def spoil(self, fault: Fault) -> bool:
        """Damage the answer; False when there is nothing in it that this fault could damage."""
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
                self.text, self.broken = cut(self.text), True
            case "bad_args" if self.calls:
                self.broken = True
            case _:
                return False
        return True

    def written(self, call: ToolCall) -> str:
        """The call's arguments as the wire carries them."""
        arguments = codec.text(call.arguments)
        return cut(arguments) if self.broken or self.finish == "length" else arguments

    def tokens(self) -> int:
        if not self.text and not self.calls:
            return 0
        return tokens(len(self.text) + sum(len(call.name) + len(self.written(call)) for call in self.calls))


class Rejected(Exception):
    """The request is answered with an error in the provider's shape."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param


class Wire(Protocol):
    """What the server asks of a provider's wire format."""

    provider: str

    def read(self, body: bytes, target: str) -> Chat:
        """The request as a chat; raises Rejected as the provider would."""

    def messages(self, body: bytes) -> list[Message]:
        """The messages of a request, valid or not, as far as they can be told."""

    def reply(self, chat: Chat, answer: Answer) -> bytes: ...

    def events(self, chat: Chat, answer: Answer) -> bytes: ...

    def error(self, error: Rejected) -> bytes: ...


def cut(document: str) -> str:
    """A JSON object or list cut short, and so never valid."""
    return document[: max(1, len(document) // 2)]


def prompt_tokens(messages: list[Message], tools: object) -> int:
    characters = len(codec.dumps(tools)) if tools else 0
    for message in messages:
        characters += len(message.text)
        for call in message.calls:
            characters += len(call.name) + len(codec.dumps(call.arguments))
    return tokens(characters) + 4 * len(messages)


def tokens(characters: int) -> int:
    return max(1, (characters + 3) // 4)


_prefix = os.urandom(6).hex()
_numbers = itertools.count(1)


def unique(kind: str) -> str:
    return f"{kind}{_prefix}{next(_numbers):010x}"
