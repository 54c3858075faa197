"""The shape of assistant.yaml. Durations are written as 2s, 30m, 24h or 7d and held in seconds."""

import re
from datetime import time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _duration(value: Any) -> Any:
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m|h|d)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a duration such as 500ms, 2s, 30m, 24h or 7d")
    return float(match[1]) * UNITS[match[2]]


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


Duration = Annotated[float, BeforeValidator(_duration)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Text = Annotated[str, Field(min_length=1, max_length=1600)]


class Section(BaseModel):
    """A mapping of the file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelChoice(Section):
    """A model of a provider."""

    provider: Literal["openai", "groq", "google"]
    model: Annotated[str, Field(min_length=1, max_length=100)]
    timeout: Annotated[Duration, Field(ge=1, le=60)] = 20.0
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=16, le=32_000)] | None = None


class ModelChoices(Section):
    """Which models answer."""

    default: ModelChoice


class RouteRule(Section):
    """A route that needs no model: words in the message, or a pressed button."""

    match: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    button: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    to: str

    @model_validator(mode="after")
    def _says_when(self) -> "RouteRule":
        if not self.match and self.button is None:
            raise ValueError("a rule needs `match` or `button`")
        return self


class Routing(Section):
    """Who answers. `otherwise`: `classify` asks a model; an agent's name sends everything there."""

    rules: tuple[RouteRule, ...] = ()
    otherwise: str = "classify"


class AgentSection(Section):
    """An LLM agent. `prompt` is a file of the tenant's folder."""

    description: Annotated[str, Field(min_length=1, max_length=500)]
    prompt: Annotated[str, Field(min_length=1, max_length=200)]
    tools: tuple[str, ...] = ()


class Triggers(Section):
    """What makes the assistant hand over without being asked."""

    tool_failures: Annotated[int, Field(ge=1, le=10)] = 2


class HandoffSection(Section):
    """How the assistant hands over to an operator."""

    queue: Name = "default"
    message: Text | None = None
    triggers: Triggers = Triggers()
    timeout: Annotated[Duration, Field(ge=1)] | None = None
    on_timeout: Literal["return", "close"] = "return"


class LifecycleSection(Section):
    """When turns are due and conversations end. `debounce_cap`: the longest wait, however fast the contact writes."""

    debounce: Annotated[Duration, Field(ge=0, le=60)] = 0.0
    debounce_cap: Annotated[Duration, Field(ge=0, le=300)] | None = None
    idle: Annotated[Duration, Field(ge=1)] | None = None
    goodbye: Text | None = None


class Memory(Section):
    """What models see of the conversation. `window`: messages."""

    window: Annotated[int, Field(ge=2, le=200)] = 20


class CalendarSection(Section):
    """Bookable times."""

    days: Annotated[tuple[int, ...], BeforeValidator(_weekdays)]
    hours: Annotated[tuple[time, time], BeforeValidator(_hours)]
    slot: Annotated[Duration, Field(ge=300, le=86_400)] = 3600.0


class Document(Section):
    """The whole file."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    models: ModelChoices
    routing: Routing = Routing()
    agents: Annotated[dict[Name, AgentSection], Field(min_length=1)]
    apology: Text
    handoff: HandoffSection = HandoffSection()
    lifecycle: LifecycleSection = LifecycleSection()
    memory: Memory = Memory()
    calendars: dict[Name, CalendarSection] = {}
