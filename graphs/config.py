"""The compiled manifest, from which graphs are built. Durations are in seconds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import Literal
from zoneinfo import ZoneInfo

from graphs.rules import Rule
from graphs.sections import Approvals, Ask, Call, Handoff, Hours, Limits, ModelSpec, Price
from tools.base import Tool
from tools.registry import BUILTIN

HANDOFF = "handoff"
CLOSE = "close"
CLASSIFY = "classify"


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


REFERENCE = re.compile(r"\{([a-z][a-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\}")
"""A reference to a field, or to a part of it, in a text of a flow: `{order}`, `{order.id}`."""


@dataclass(frozen=True)
class Assign:
    """Sets fields to texts, in which `{field}` is replaced by the field's value."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Branch:
    """Continues with the step of the first case whose field has that value, else with `otherwise` or the next step."""

    cases: tuple[tuple[str, str, str], ...]
    otherwise: str | None = None


@dataclass(frozen=True)
class Verify:
    """Keeps texts for the rest of the conversation, for tools: no model can set them."""

    values: Mapping[str, str]


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
    does: Ask | Assign | Call | Branch | Verify | Say | End


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
class Calendar:
    """Bookable times: slots of `slot` seconds from `opens` to `closes` on each of `weekdays`.

    Slots until 00:00 end at midnight.
    """

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
    hours: Hours = field(default_factory=Hours)
    tools: Mapping[str, Tool] = field(default_factory=lambda: BUILTIN, compare=False)
    flows: Mapping[str, Flow] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    handoff: Handoff = field(default_factory=Handoff)
    approvals: Approvals = field(default_factory=Approvals)
    lifecycle: Lifecycle = Lifecycle()
    window: int = 20
    calendars: tuple[Calendar, ...] = ()
    limits: Limits = field(default_factory=Limits)
    facts: bool = False
    knowledge: tuple[str, ...] = ()


def language_code(language: str) -> str:
    """Return the language without its country: pt for pt-BR."""
    return language.partition("-")[0]
