"""What a graph is built from: a tenant's YAML, checked and resolved. Durations are in seconds."""

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
    """Which model answers, and how long one call may take."""

    provider: str
    model: str
    timeout: float = 20.0
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class Price:
    """What a model costs for each million tokens."""

    input: Decimal
    output: Decimal
    currency: str = "USD"


@dataclass(frozen=True)
class Agent:
    """An LLM agent. `description` is what the router reads; `prompt` is what the agent is told.

    `models` are asked in order, each when those before it failed; without any, the assistant's are. `transfers` are the
    agents and flows that it may hand the contact over to. `language`: its own, in place of the assistant's.
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
    """What a rule looks at: the contact's words, a pressed button's payload, and the circumstances."""

    text: str
    button: str | None = None
    language: str | None = None
    outside_hours: bool = False
    first_message: bool = False
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rule:
    """A deterministic route. Every condition that it names must hold; of `words`, any one in the text."""

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
        """Whether this rule decides. For `words`, case and accents do not matter; for `regex`, case."""
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
"""A field in a text of a flow, or a part of one: `{order}`, `{order.id}`."""

Expected = Literal["text", "number", "date", "email", "phone", "cpf", "choice"]


@dataclass(frozen=True)
class Ask:
    """Asks the contact, and keeps what fits as `field`. After `tries` answers that do not fit, a human takes over."""

    field: str
    question: str
    expect: Expected = "text"
    choices: tuple[str, ...] = ()
    error: str | None = None
    tries: int = 3


@dataclass(frozen=True)
class Assign:
    """Sets fields to texts, in which `{field}` stands for a field's value."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Call:
    """Calls a tool with arguments in which `{field}` stands for a field's value; `into` keeps its result.

    `on_error` is the step to go on with when the call fails; without it a human takes over.
    """

    tool: str
    arguments: Mapping[str, object]
    into: str | None = None
    on_error: str | None = None


@dataclass(frozen=True)
class Branch:
    """Goes on with the step `to` of the first case whose field has that value; otherwise with the next one."""

    cases: tuple[tuple[str, str, str], ...]
    otherwise: str | None = None


@dataclass(frozen=True)
class Say:
    """Says something, in which `{field}` stands for a field's value."""

    text: str


@dataclass(frozen=True)
class End:
    """Ends the flow; `to` an agent, the handoff or the close, if it names one."""

    to: str | None = None


@dataclass(frozen=True)
class Step:
    """One step of a flow, under a name that is unique in it."""

    name: str
    does: Ask | Assign | Call | Branch | Say | End


@dataclass(frozen=True)
class Flow:
    """What must not be left to a model: questions with answers that are checked, calls, texts.

    `questions`: the agent that answers what the contact asks in between; the flow then asks again. `language`: how
    numbers and dates are written. `cancel`: which answers end it, and `cancelled` what is said then.
    """

    name: str
    description: str
    steps: tuple[Step, ...]
    questions: str | None = None
    language: str = "en"
    cancel: Rule | None = None
    cancelled: str = ""


@dataclass(frozen=True)
class Hours:
    """When the tenant is open, in its time zone. Without any weekdays it always is, but for the holidays."""

    weekdays: Mapping[int, Sequence[tuple[time, time]]] = field(default_factory=dict)
    holidays: frozenset[date] = frozenset()

    def open_at(self, now: datetime) -> bool:
        """Whether the tenant is open; `now` is in its time zone."""
        if now.date() in self.holidays:
            return False
        return not self.weekdays or any(
            opens <= now.time() < closes for opens, closes in self.weekdays.get(now.weekday(), ())
        )


@dataclass(frozen=True)
class Handoff:
    """How the assistant hands over to an operator. `timeout` None waits for as long as it takes.

    `asked`: the router may choose a human. `sla`: how soon an operator should answer.
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
    """How tool calls wait for an operator's approval. `timeout` None waits for as long as it takes."""

    queue: str = "default"
    message: str | None = None
    timeout: float | None = None


@dataclass(frozen=True)
class Csat:
    """How contacts are asked to rate the conversation from 1 to 5, when it ends."""

    question: str
    thanks: str | None = None


@dataclass(frozen=True)
class Lifecycle:
    """When a conversation's turn is due, and when the conversation ends.

    After `idle` the contact is reminded, if there is an `idle_message`, and after as much again the conversation ends.
    `expire` ends without a word what nothing else ends.

    `while_running`: what comes while a turn is at work waits for the next one, or is folded in: the turn begins again
    with both, if nothing of it was committed yet.
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
    """What the assistant may use up before humans go on; None is no limit."""

    turns_per_day: int | None = None
    model_tokens_per_month: int | None = None


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
    """A tenant's assistant. `models` are asked in order, each when those before it failed.

    `sticky`: the agent in charge answers without the router being asked, until a rule decides or the agent transfers
    the contact. `tools` are all that its agents and flows may name. `prices` are by `provider/model`. `facts`:
    agents keep what they learn of contacts. `knowledge` are the files that may be looked up.
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
    """The language without its country: pt of pt-BR."""
    return language.partition("-")[0]


def plain(text: str) -> str:
    """The text without case and accents, for matching."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
