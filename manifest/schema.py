"""The shape of assistant.yaml. Durations are written as 2s, 30m, 24h or 7d and held in seconds."""

import re
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from graphs.patterns import Pattern
from graphs.providers import PROVIDERS
from manifest.fields import Count, Duration, Name, ProviderName, Section, Text
from manifest.flow_sections import FlowSection
from manifest.tool_sections import McpServerSection, ToolSection

LANGUAGE = r"^[a-z]{2,3}(-[A-Z]{2})?$"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected a time zone of the IANA database, such as America/Sao_Paulo") from None
    return value


def _weekdays(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("expected days such as mon-fri or mon,wed,sat")
    days: list[int] = []
    for part in value.lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
            raise ValueError("expected days such as mon-fri or mon,wed,sat")
        start, end = WEEKDAYS.index(first), WEEKDAYS.index(last if dash else first)
        if end < start:
            raise ValueError(f"expected days in the order of the week, such as {last}-sun or {first},{last}")
        days.extend(range(start, end + 1))
    return tuple(sorted(set(days)))


def _hours(value: Any) -> Any:
    match = (
        re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", value) if isinstance(value, str) else None
    )
    if match is None:
        raise ValueError('expected hours such as "08:00-18:00"')
    opens, closes = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    if opens >= closes:
        raise ValueError("closes before it opens")
    return opens, closes


class ModelChoice(Section):
    """A model of a provider."""

    provider: ProviderName
    model: Annotated[str, Field(min_length=1, max_length=100)]
    timeout: Annotated[Duration, Field(ge=1, le=60)] = 20.0
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=16, le=32_000)] | None = None


class PriceSection(Section):
    """What a model costs for each million tokens."""

    input: Annotated[Decimal, Field(ge=0, description="For a million tokens that the model reads.")]
    output: Annotated[Decimal, Field(ge=0, description="For a million tokens that the model writes.")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")] = "USD"


class ModelChoices(Section):
    """Which models answer."""

    default: Annotated[ModelChoice, Field(description="Asked first.")]
    fallbacks: Annotated[
        tuple[ModelChoice, ...], Field(max_length=5, description="Asked in this order when the default fails.")
    ] = ()
    prices: dict[Annotated[str, Field(pattern=rf"^({'|'.join(PROVIDERS)})/.+$")], PriceSection] = Field(
        default_factory=dict, description="By provider/model, such as `openai/gpt-5-mini`: for the turns' cost."
    )


def _regex(value: str | None) -> str | None:
    if value is not None:
        Pattern(value)
    return value


CONDITIONS = ("match", "regex", "button", "language", "outside_hours", "first_message", "tag")


class RouteRule(Section):
    """A route that needs no model. Every condition that it names must hold."""

    match: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=100)], ...],
        Field(description="Any of these words or phrases in the message; case and accents do not matter."),
    ] = ()
    regex: Annotated[
        str | None,
        Field(
            min_length=1, max_length=300, description="A regular expression found in the message; case does not matter."
        ),
        AfterValidator(_regex),
    ] = None
    button: Annotated[
        str | None,
        Field(min_length=1, max_length=256, description="The pressed button's payload; `*` stands for anything."),
    ] = None
    language: Annotated[
        str | None, Field(pattern=r"^[a-z]{2}$", description="The message's language, as two letters.")
    ] = None
    outside_hours: Annotated[bool | None, Field(description="Whether it is outside of `hours`.")] = None
    first_message: Annotated[bool | None, Field(description="Whether this is the first turn of the conversation.")] = (
        None
    )
    tag: Annotated[str | None, Field(min_length=1, max_length=60, description="A tag of the contact.")] = None
    to: Annotated[str, Field(description="An agent, a flow, `handoff` or `close`.")]

    @model_validator(mode="after")
    def _says_when(self) -> "RouteRule":
        if all(getattr(self, name) in (None, ()) for name in CONDITIONS):
            raise ValueError(f"a rule needs a condition: {', '.join(f'`{name}`' for name in CONDITIONS)}")
        return self


class Routing(Section):
    """Who answers."""

    rules: Annotated[tuple[RouteRule, ...], Field(max_length=200, description="The first that applies decides.")] = ()
    otherwise: Annotated[
        str, Field(description="`classify` asks a model; the name of an agent or a flow sends everything there.")
    ] = "classify"
    sticky: Annotated[
        bool,
        Field(
            description="The agent in charge answers until a rule decides or it transfers the contact: no router call."
        ),
    ] = False


class AgentSection(Section):
    """An LLM agent."""

    description: Annotated[str, Field(min_length=1, max_length=500, description="What the router reads.")]
    prompt: Annotated[str, Field(min_length=1, max_length=200, description="A file of the tenant's folder.")]
    tools: Annotated[tuple[str, ...], Field(description="Built-in tools, and those under `tools`.")] = ()
    language: Annotated[
        str | None, Field(pattern=LANGUAGE, description="That it writes, in place of the assistant's.")
    ] = None
    model: Annotated[ModelChoice | None, Field(description="In place of the default model.")] = None
    fallbacks: Annotated[
        tuple[ModelChoice, ...] | None, Field(max_length=5, description="In place of the assistant's fallbacks.")
    ] = None
    transfers: Annotated[
        tuple[str, ...] | None,
        Field(
            description="Agents and flows that it may hand the contact to. Default: all agents if routing is sticky."
        ),
    ] = None


class Triggers(Section):
    """What makes the assistant hand over."""

    tool_failures: Annotated[int, Field(ge=1, le=10, description="So many failed tool calls in one turn.")] = 2
    asked: Annotated[
        bool,
        Field(description="Whether the router may choose a human. Rules to `handoff` and agents' tools always may."),
    ] = True


class HandoffSection(Section):
    """How the assistant hands over to an operator."""

    queue: Annotated[Name, Field(description="Under which operators find it.")] = "default"
    message: Annotated[Text | None, Field(description="What the contact is told meanwhile.")] = None
    triggers: Triggers = Triggers()
    sla: Annotated[
        Duration | None, Field(ge=1, description="How soon an operator should answer: later it is shown as overdue.")
    ] = None
    timeout: Annotated[
        Duration | None, Field(ge=1, description="How long to wait for an operator. Without it: for ever, or `expire`.")
    ] = None
    on_timeout: Annotated[
        Literal["return", "close"], Field(description="Then the assistant goes on, or says goodbye.")
    ] = "return"


class LifecycleSection(Section):
    """When turns are due and conversations end."""

    debounce: Annotated[
        Duration, Field(ge=0, le=60, description="How long to wait for more before all is answered together.")
    ] = 0.0
    debounce_cap: Annotated[
        Duration | None, Field(ge=0, le=300, description="The longest such wait. Default: five times `debounce`.")
    ] = None
    idle: Annotated[
        Duration | None, Field(ge=1, description="After so much silence the assistant says goodbye and closes.")
    ] = None
    idle_message: Annotated[
        Text | None, Field(description="Said after `idle`; the goodbye then comes after as much silence again.")
    ] = None
    expire: Annotated[
        Duration | None,
        Field(
            ge=60,
            description="What still waits after so much silence, for an operator too, is closed without a word. "
            "24h is WhatsApp's: later it lets nobody write freely.",
        ),
    ] = None
    goodbye: Annotated[Text | None, Field(description="Said when the conversation ends.")] = None
    csat: Annotated[bool, Field(description="Whether contacts are asked, after the goodbye, to rate from 1 to 5.")] = (
        False
    )
    csat_question: Annotated[Text | None, Field(description="What they are asked.")] = None
    csat_thanks: Annotated[Text | None, Field(description="Said to those who rate.")] = None
    while_running: Annotated[
        Literal["queue", "fold"],
        Field(description="What comes while a turn is at work waits for the next, or the turn begins again with both."),
    ] = "queue"


class Memory(Section):
    """What models see of the conversation, and of the contact."""

    window: Annotated[int, Field(ge=2, le=200, description="So many messages of the conversation.")] = 20
    facts: Annotated[
        bool,
        Field(description="Whether agents keep facts of the contact, with `remember_fact`, and are told them later."),
    ] = False


class LimitsSection(Section):
    """What the assistant may use up. Then every message goes to an operator, until the day or the month is over."""

    turns_per_day: Annotated[Count, Field(ge=1, description="Of every kind, reminders and goodbyes too.")] | None = None
    model_tokens_per_month: Annotated[Count, Field(ge=1, description="Read and written, by all models.")] | None = None


class CalendarSection(Section):
    """Bookable times."""

    days: Annotated[tuple[int, ...], BeforeValidator(_weekdays)]
    hours: Annotated[tuple[time, time], BeforeValidator(_hours)]
    slot: Annotated[Duration, Field(ge=300, le=86_400)] = 3600.0


class ApprovalsSection(Section):
    """What happens while a tool call waits for an operator's approval."""

    queue: Name = "default"
    message: Annotated[Text | None, Field(description="What the contact is told meanwhile.")] = None
    timeout: Annotated[Duration, Field(ge=1, description="Then the call is refused.")] | None = None


def _table_of_hours(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError('expected days and hours, such as {mon-fri: "08:00-18:00", holidays: [2026-12-25]}')
    table: dict[int, list[tuple[time, time]]] = {}
    for key, spans in value.items():
        if key == "holidays":
            continue
        for day in _weekdays(key):
            table.setdefault(day, []).extend(_hours(span) for span in (spans if isinstance(spans, list) else [spans]))
    return {"days": table, "holidays": value.get("holidays", [])}


class HoursSection(Section):
    """When the tenant is open: days such as `mon-fri`, with hours such as "08:00-18:00", or several; and `holidays`."""

    days: dict[int, tuple[tuple[time, time], ...]]
    holidays: tuple[date, ...]


class Manifest(Section):
    """The whole file."""

    name: Annotated[str, Field(min_length=1, max_length=100, description="What models are told that they write for.")]
    language: Annotated[str, Field(pattern=LANGUAGE, description="That it writes, such as pt-BR.")]
    timezone: Annotated[str, AfterValidator(_timezone), Field(description="Of hours, calendars and days.")] = "UTC"
    models: ModelChoices
    routing: Routing = Routing()
    agents: Annotated[dict[Name, AgentSection], Field(min_length=1)]
    apology: Annotated[Text, Field(description="Said when a model or a tool failed; then a human is called.")]
    handoff: HandoffSection = HandoffSection()
    lifecycle: LifecycleSection = LifecycleSection()
    memory: Memory = Memory()
    knowledge: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
        Field(
            max_length=100,
            description="Files of the tenant's folder, such as `knowledge/*.md`, that agents may look up with "
            "`search_knowledge`: .md, .txt and .pdf.",
        ),
    ] = ()
    limits: LimitsSection = LimitsSection()
    calendars: dict[Name, CalendarSection] = Field(default_factory=dict)
    hours: Annotated[HoursSection | None, BeforeValidator(_table_of_hours)] = None
    approvals: ApprovalsSection = ApprovalsSection()
    tools: dict[Name, ToolSection] = Field(default_factory=dict)
    mcp: dict[Name, McpServerSection] = Field(default_factory=dict, description="MCP servers that tools name.")
    flows: dict[Name, FlowSection] = Field(default_factory=dict)
