"""What a graph is built from: a tenant's YAML, checked and resolved. Durations are in seconds."""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import time
from fnmatch import fnmatchcase
from typing import Literal
from zoneinfo import ZoneInfo

HANDOFF = "handoff"
CLOSE = "close"
CLASSIFY = "classify"


@dataclass(frozen=True)
class ModelSpec:
    """Which model answers, and how long one call may take."""

    provider: str
    model: str
    timeout: float = 20.0
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class Agent:
    """An LLM agent. `description` is what the router reads; `prompt` is what the agent is told."""

    name: str
    description: str
    prompt: str
    tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A deterministic route: any of the words in the text, or the payload of a pressed button."""

    to: str
    words: tuple[str, ...] = ()
    button: str | None = None
    _pattern: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        choices = "|".join(re.escape(word) for word in map(plain, self.words) if word.strip())
        object.__setattr__(self, "_pattern", re.compile(rf"(?<!\w)(?:{choices})(?!\w)") if choices else None)

    def applies(self, text: str, button: str | None) -> bool:
        """Whether this rule decides. Case and accents do not matter."""
        if self.button is not None and button is not None and fnmatchcase(button, self.button):
            return True
        return self._pattern is not None and self._pattern.search(plain(text)) is not None


@dataclass(frozen=True)
class Handoff:
    """How the assistant hands over to an operator. `timeout` None waits for as long as it takes."""

    queue: str = "default"
    message: str | None = None
    tool_failures: int = 2
    timeout: float | None = None
    on_timeout: Literal["return", "close"] = "return"


@dataclass(frozen=True)
class Lifecycle:
    """When a conversation's turn is due, and when the conversation ends."""

    debounce: float = 0.0
    debounce_cap: float = 0.0
    idle: float | None = None
    goodbye: str | None = None


@dataclass(frozen=True)
class Calendar:
    """Bookable times: a slot of `slot` seconds, one after another, from `opens` to `closes` on each of `weekdays`."""

    name: str
    weekdays: tuple[int, ...]
    opens: time
    closes: time
    slot: float


@dataclass(frozen=True)
class Assistant:
    """A tenant's assistant."""

    name: str
    language: str
    timezone: ZoneInfo
    model: ModelSpec
    agents: dict[str, Agent]
    apology: str
    rules: tuple[Rule, ...] = ()
    otherwise: str = CLASSIFY
    handoff: Handoff = Handoff()
    lifecycle: Lifecycle = Lifecycle()
    window: int = 20
    calendars: tuple[Calendar, ...] = ()


def plain(text: str) -> str:
    """The text without case and accents, for matching."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
