"""What a script sees of a request: its conditions and its template variables read from here."""

import re
from collections.abc import Callable, Iterable
from functools import cached_property

from devkit.simulators.llm import codec
from devkit.simulators.llm.chat import Chat, Message

type Groups = dict[int | str, str | None]
"""What an expression found: 0 is the whole match, then its groups by number and by name."""


class Turn:
    """One request, as the words of a script name its parts."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.system = "\n".join(message.text for message in chat.messages if message.role == "system")
        self.users = _pending(chat.messages)
        self.user = "\n".join(self.users)
        self.fresh = _trailing_results(chat.messages)

    @cached_property
    def has_results(self) -> bool:
        """Whether a tool has answered since the last human message."""
        for message in reversed(self.chat.messages):
            if message.role == "user":
                return False
            if message.role == "tool":
                return True
        return False

    def result(self, names: Iterable[str]) -> object:
        wanted = tuple(names)
        for message in reversed(self.chat.messages):
            if message.role == "tool" and (not wanted or message.name in wanted):
                return codec.decoded(message.text)
        return None

    def results(self) -> dict[str, object]:
        return {m.name: codec.decoded(m.text) for m in self.chat.messages if m.role == "tool"}

    def humans(self) -> list[str]:
        return [message.text for message in self.chat.messages if message.role == "user"]

    def history(self) -> list[dict[str, str]]:
        spoken = (message for message in self.chat.messages if message.role != "system")
        return [{"role": message.role, "text": message.text, "name": message.name} for message in spoken]


def _pending(messages: list[Message]) -> list[str]:
    """The human texts not yet answered: after a tool round these are the ones that led to it."""
    texts: list[str] = []
    for message in reversed(messages):
        if message.role == "user":
            texts.append(message.text)
        elif message.role == "assistant" and (texts or not message.calls):
            break
    texts.reverse()
    return texts


def _trailing_results(messages: list[Message]) -> list[str]:
    names: list[str] = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        names.append(message.name)
    return names


def groups(match: re.Match[str] | None) -> Groups:
    found: Groups = {}
    if match is not None:
        found.update(enumerate((match[0], *match.groups())))
        found.update(match.groupdict())
    return found


VARIABLES: dict[str, Callable[[Turn], object]] = {
    "user": lambda turn: turn.user,
    "users": lambda turn: turn.users,
    "last": lambda turn: (turn.humans() or [""])[-1],
    "system": lambda turn: turn.system,
    "results": lambda turn: turn.results(),
    "turn_count": lambda turn: len(turn.humans()),
    "history": lambda turn: turn.history(),
    "model": lambda turn: turn.chat.model,
    "provider": lambda turn: turn.chat.provider,
    "tools": lambda turn: turn.chat.tools,
}
"""The variables that do not depend on the rule; `result` and `m` do."""
