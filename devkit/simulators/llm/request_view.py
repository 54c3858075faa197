"""Read a request as scripts do: by their conditions and template variables."""

import re
from collections.abc import Callable, Iterable
from functools import cached_property

from devkit.simulators.llm import codec
from devkit.simulators.llm.chat import ChatMessage, ChatRequest

type MatchedGroups = dict[int | str, str | None]
"""The groups of a match by number and by name. 0 is the whole match."""


class RequestView:
    """A request with the properties that scripts use.

    `users` are the human texts that are not answered yet, and `user` is the same as one text. `trailing_results` are
    the names of the tools whose results end the request.
    """

    def __init__(self, chat: ChatRequest) -> None:
        self.chat = chat
        self.system = "\n".join(message.text for message in chat.messages if message.role == "system")
        self.users = _unanswered(chat.messages)
        self.user = "\n".join(self.users)
        self.trailing_results = _trailing_results(chat.messages)

    @cached_property
    def has_results(self) -> bool:
        """Whether there is a tool result after the last human message."""
        for message in reversed(self.chat.messages):
            if message.role == "user":
                return False
            if message.role == "tool":
                return True
        return False

    def result(self, names: Iterable[str]) -> object:
        """Return the last result of the named tools, or of any tool without names. None if there is none."""
        wanted = tuple(names)
        for message in reversed(self.chat.messages):
            if message.role == "tool" and (not wanted or message.name in wanted):
                return codec.parse_or_text(message.text)
        return None

    def results(self) -> dict[str, object]:
        """Return the last result of each tool."""
        return {m.name: codec.parse_or_text(m.text) for m in self.chat.messages if m.role == "tool"}

    def humans(self) -> list[str]:
        """Return all human texts."""
        return [message.text for message in self.chat.messages if message.role == "user"]

    def history(self) -> list[dict[str, str]]:
        """Return role, text and name of all messages but the system prompt."""
        spoken = (message for message in self.chat.messages if message.role != "system")
        return [{"role": message.role, "text": message.text, "name": message.name} for message in spoken]


def _unanswered(messages: list[ChatMessage]) -> list[str]:
    """Return the human texts that are not answered yet. During tool calls these are the texts before the first call."""
    texts: list[str] = []
    for message in reversed(messages):
        if message.role == "user":
            texts.append(message.text)
        elif message.role == "assistant" and (texts or not message.calls):
            break
    texts.reverse()
    return texts


def _trailing_results(messages: list[ChatMessage]) -> list[str]:
    names: list[str] = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        names.append(message.name)
    return names


def matched_groups(match: re.Match[str] | None) -> MatchedGroups:
    """Return the groups of a match. Empty without a match."""
    found: MatchedGroups = {}
    if match is not None:
        found.update(enumerate((match[0], *match.groups())))
        found.update(match.groupdict())
    return found


VARIABLES: dict[str, Callable[[RequestView], object]] = {
    "user": lambda view: view.user,
    "users": lambda view: view.users,
    "last": lambda view: (view.humans() or [""])[-1],
    "system": lambda view: view.system,
    "results": lambda view: view.results(),
    "turn_count": lambda view: len(view.humans()),
    "history": lambda view: view.history(),
    "model": lambda view: view.chat.model,
    "provider": lambda view: view.chat.provider,
    "tools": lambda view: view.chat.tools,
}
"""The template variables that are the same for all rules. `result` and `m` depend on the rule."""
