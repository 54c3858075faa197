"""The shape of assistant.yaml. Durations are written as 2s, 30m, 24h or 7d and held in seconds."""

import unicodedata
from datetime import time
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

from graphs.fields import Duration, Name, Section, Text
from graphs.providers import PROVIDERS
from graphs.rules import Rule
from graphs.sections import Approvals, Handoff, Hours, Limits, ModelSpec, Price
from manifest.flow_sections import FlowSection
from manifest.opening_hours import hours_of_a_day, table_of_hours, weekdays
from manifest.tool_sections import McpServerSection, ToolSection

LANGUAGE = r"^[a-z]{2,3}(-[A-Z]{2})?$"


def _composed(path: str) -> str:
    """Return a path with each accent in its letter, as files are named here."""
    return unicodedata.normalize("NFC", path)


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected a time zone of the IANA database, such as America/Sao_Paulo") from None
    return value


class ModelsSection(Section):
    """Which models answer."""

    default: Annotated[ModelSpec, Field(description="Asked first.")]
    fallbacks: Annotated[
        tuple[ModelSpec, ...], Field(max_length=5, description="Asked in this order when the default fails.")
    ] = ()
    prices: dict[Annotated[str, Field(pattern=rf"^({'|'.join(PROVIDERS)})/.+$")], Price] = Field(
        default_factory=dict, description="By provider/model, such as `openai/gpt-5-mini`: for the turns' cost."
    )


class Routing(Section):
    """Who answers."""

    rules: Annotated[tuple[Rule, ...], Field(max_length=200, description="The first that applies decides.")] = ()
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
    prompt: Annotated[
        str,
        AfterValidator(_composed),
        Field(min_length=1, max_length=200, description="A file of the tenant's folder."),
    ]
    tools: Annotated[tuple[str, ...], Field(description="Built-in tools, and those under `tools`.")] = ()
    language: Annotated[
        str | None, Field(pattern=LANGUAGE, description="That it writes, in place of the assistant's.")
    ] = None
    model: Annotated[ModelSpec | None, Field(description="In place of the default model.")] = None
    fallbacks: Annotated[
        tuple[ModelSpec, ...] | None, Field(max_length=5, description="In place of the assistant's fallbacks.")
    ] = None
    transfers: Annotated[
        tuple[str, ...] | None,
        Field(
            description="Agents and flows that it may hand the contact to. Default: all agents if routing is sticky."
        ),
    ] = None


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


class CalendarSection(Section):
    """Bookable times."""

    days: Annotated[tuple[int, ...], BeforeValidator(weekdays)]
    hours: Annotated[tuple[time, time], BeforeValidator(hours_of_a_day)]
    slot: Annotated[Duration, Field(ge=300, le=86_400)] = 3600.0


class Manifest(Section):
    """The whole file."""

    name: Annotated[str, Field(min_length=1, max_length=100, description="What models are told that they write for.")]
    language: Annotated[str, Field(pattern=LANGUAGE, description="That it writes, such as pt-BR.")]
    timezone: Annotated[str, AfterValidator(_timezone), Field(description="Of hours, calendars and days.")] = "UTC"
    models: ModelsSection
    routing: Routing = Routing()
    agents: Annotated[dict[Name, AgentSection], Field(min_length=1)]
    apology: Annotated[Text, Field(description="Said when a model or a tool failed; then a human is called.")]
    handoff: Handoff = Handoff()
    lifecycle: LifecycleSection = LifecycleSection()
    memory: Memory = Memory()
    knowledge: Annotated[
        tuple[Annotated[str, AfterValidator(_composed), Field(min_length=1, max_length=200)], ...],
        Field(
            max_length=100,
            description="Files of the tenant's folder, such as `knowledge/*.md`, that agents may look up with "
            "`search_knowledge`: .md, .txt and .pdf.",
        ),
    ] = ()
    limits: Limits = Limits()
    calendars: dict[Name, CalendarSection] = Field(default_factory=dict)
    hours: Annotated[Hours | None, BeforeValidator(table_of_hours)] = None
    approvals: Approvals = Approvals()
    tools: dict[Name, ToolSection] = Field(default_factory=dict)
    mcp: dict[Name, McpServerSection] = Field(default_factory=dict, description="MCP servers that tools name.")
    flows: dict[Name, FlowSection] = Field(default_factory=dict)
