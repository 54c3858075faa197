"""The compiled manifest, from which graphs are built. Durations are in seconds."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal
from zoneinfo import ZoneInfo

from graphs.patterns import Pattern
from tools.base import Tool
from tools.registry import BUILTIN

HANDOFF = "handoff"
CLOSE = "close"
CLASSIFY = "classify"


@dataclass(frozen=True)
class ModelSpec:
    """A model, and the time limit of one call."""

    provider: str
    model: str
    timeout: float = 20.0
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class Price:
    """The price of a million tokens."""

    input: Decimal
    output: Decimal
    currency: str = "USD"


@dataclass(frozen=True)
class Agent:
    """An LLM agent. The router reads `description`; the agent's model reads `prompt`.

    `models` are called in order until one answers; by default they are the assistant's. `transfers` are the agents
    and flows that it may transfer the contact to. `language` replaces the assistant's.
    """

    name: str
    description: str
    prompt: str
    tools: tuple[str, ...] = ()
    models: tuple[ModelSpec, ...] = ()
    transfers: tuple[str, ...] = ()
    language: str | None = None


@dataclass(frozen=True)
class RuleInput:
    """The input of routing rules: the contact's text, a pressed button's payload, and the circumstances."""

    text: str
    button: str | None = None
    language: str | None = None
    outside_hours: bool = False
    first_message: bool = False
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rule:
    """A deterministic route. Every condition that is set must hold; any one of `words` is enough."""

    to: str
    words: tuple[str, ...] = ()
    regex: str | None = None
    button: str | None = None
    language: str | None = None
    outside_hours: bool | None = None
    first_message: bool | None = None
    tag: str | None = None
    _words: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _regex: Pattern | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        choices = "|".join(re.escape(word) for word in map(plain, self.words) if word.strip())
        object.__setattr__(self, "_words", re.compile(rf"(?<!\w)(?:{choices})(?!\w)") if choices else None)
        object.__setattr__(self, "_regex", Pattern(self.regex) if self.regex else None)

    def applies(self, rule_input: RuleInput) -> bool:
        """Return whether the rule matches. `words` ignore case and accents; `regex` ignores case."""
        return (
            (not self.words or (self._words is not None and self._words.search(plain(rule_input.text)) is not None))
            and (self._regex is None or self._regex.is_in(rule_input.text))
            and (self.button is None or (rule_input.button is not None and fnmatchcase(rule_input.button, self.button)))
            and (self.language is None or self.language == rule_input.language)
            and (self.outside_hours is None or self.outside_hours == rule_input.outside_hours)
            and (self.first_message is None or self.first_message == rule_input.first_message)
            and (self.tag is None or self.tag in rule_input.tags)
        )

    @property
    def why(self) -> str:
        """The rule in a few words, for the turn's record."""
        named = {
            "words": ", ".join(self.words) or None,
            "regex": self.regex,
            "button": self.button,
            "language": self.language,
            "outside hours": self.outside_hours,
            "first message": self.first_message,
            "tag": self.tag,
        }
        return "; ".join(f"{name}: {value}" for name, value in named.items() if value is not None)


REFERENCE = re.compile(r"\{([a-z][a-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\}")
"""A reference to a field, or to a part of it, in a text of a flow: `{order}`, `{order.id}`."""

Expected = Literal["text", "number", "date", "email", "phone", "cpf", "choice"]


@dataclass(frozen=True)
class Ask:
    """A question whose valid answer is stored in `field`. After `tries` invalid answers a human takes over."""

    field: str
    question: str
    expect: Expected = "text"
    choices: tuple[str, ...] = ()
    error: str | None = None
    tries: int = 3


@dataclass(frozen=True)
class Assign:
    """Sets fields to texts, in which `{field}` is replaced by the field's value."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Call:
    """A tool call. In its arguments `{field}` is replaced by the field's value; `into` stores the result.

    The flow continues with the step `on_error` when the call fails. Without it a human takes over.
    """

    tool: str
    arguments: Mapping[str, object]
    into: str | None = None
    on_error: str | None = None


@dataclass(frozen=True)
class Branch:
    """Continues with the step of the first case whose field has that value, else with `otherwise` or the next step."""

    cases: tuple[tuple[str, str, str], ...]
    otherwise: str | None = None


@dataclass(frozen=True)
class Say:
    """A text, in which `{field}` is replaced by the field's value."""

    text: str


@dataclass(frozen=True)
class End:
    """Ends the flow. `to` names an agent, the handoff or the close."""

    to: str | None = None


@dataclass(frozen=True)
class FlowStep:
    """A step of a flow. Its name is unique in the flow."""

    name: str
    does: Ask | Assign | Call | Branch | Say | End


@dataclass(frozen=True)
class Flow:
    """Steps that no model decides: questions with checked answers, tool calls, texts.

    `questions` is the agent that answers the contact's own questions; the flow then repeats its question.
    `language` formats numbers and dates. `cancel` matches answers that end the flow, with the text `cancelled`.
    """

    name: str
    description: str
    steps: tuple[FlowStep, ...]
    questions: str | None = None
    language: str = "en"
    cancel: Rule | None = None
    cancelled: str = ""


@dataclass(frozen=True)
class Hours:
    """The tenant's opening hours, in its time zone. Without weekdays it is always open, except on holidays."""

    weekdays: Mapping[int, Sequence[tuple[time, time]]] = field(default_factory=dict)
    holidays: frozenset[date] = frozenset()

    def open_at(self, now: datetime) -> bool:
        """Return whether the tenant is open at `now`, in its time zone."""
        if now.date() in self.holidays:
            return False
        return not self.weekdays or any(
            opens <= now.time() < closes for opens, closes in self.weekdays.get(now.weekday(), ())
        )


@dataclass(frozen=True)
class Handoff:
    """How the assistant hands over to an operator. Without `timeout` it waits without limit.

    With `asked` the router may choose a human. `sla` is the time in which an operator should answer.
    """

    queue: str = "default"
    message: str | None = None
    tool_failures: int = 2
    asked: bool = True
    sla: float | None = None
    timeout: float | None = None
    on_timeout: Literal["return", "close"] = "return"


@dataclass(frozen=True)
class Approvals:
    """How tool calls wait for an operator's approval. Without `timeout` they wait without limit."""

    queue: str = "default"
    message: str | None = None
    timeout: float | None = None


@dataclass(frozen=True)
class Csat:
    """How contacts are asked to rate the conversation from 1 to 5 when it ends."""

    question: str
    thanks: str | None = None


@dataclass(frozen=True)
class Lifecycle:
    """When a turn is due, and when the conversation ends.

    After `idle` the contact is reminded, if there is an `idle_message`, and after the same time again the
    conversation ends. `expire` closes without a message what nothing else closes.

    `while_running` decides about messages that arrive during a turn: they wait for the next turn, or they are
    folded in, which starts the turn again if no leg of it is committed.
    """

    debounce: float = 0.0
    debounce_cap: float = 0.0
    idle: float | None = None
    idle_message: str | None = None
    expire: float | None = None
    goodbye: str | None = None
    csat: Csat | None = None
    while_running: Literal["queue", "fold"] = "queue"


@dataclass(frozen=True)
class Limits:
    """The limits after which humans answer. None is no limit."""

    turns_per_day: int | None = None
    model_tokens_per_month: int | None = None


@dataclass(frozen=True)
class Calendar:
    """Bookable times: slots of `slot` seconds from `opens` to `closes` on each of `weekdays`."""

    name: str
    weekdays: tuple[int, ...]
    opens: time
    closes: time
    slot: float


@dataclass(frozen=True)
class Assistant:
    """A tenant's assistant. `models` are called in order until one answers.

    With `sticky` the agent in charge answers without the router, until a rule matches or the agent transfers.
    `tools` are all that agents and flows may name. `prices` are keyed by `provider/model`. With `facts` agents
    store facts about contacts. `knowledge` are the files that agents may search.
    """

    name: str
    language: str
    timezone: ZoneInfo
    models: tuple[ModelSpec, ...]
    agents: dict[str, Agent]
    apology: str
    rules: tuple[Rule, ...] = ()
    otherwise: str = CLASSIFY
    sticky: bool = False
    hours: Hours = Hours()
    tools: Mapping[str, Tool] = field(default_factory=lambda: BUILTIN, compare=False)
    flows: Mapping[str, Flow] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    handoff: Handoff = Handoff()
    approvals: Approvals = Approvals()
    lifecycle: Lifecycle = Lifecycle()
    window: int = 20
    calendars: tuple[Calendar, ...] = ()
    limits: Limits = Limits()
    facts: bool = False
    knowledge: tuple[str, ...] = ()


def language_code(language: str) -> str:
    """Return the language without its country: pt for pt-BR."""
    return language.partition("-")[0]


def plain(text: str) -> str:
    """Return the text without case and accents, for matching."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
