"""The sections of the manifest that graphs read as they are written. Durations are held in seconds."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from graphs.fields import Count, Duration, Name, ProviderName, Section, Text, json_values


class ModelSpec(Section):
    """A model of a provider."""

    provider: ProviderName
    model: Annotated[str, Field(min_length=1, max_length=100)]
    timeout: Annotated[Duration, Field(ge=1, le=60)] = 20.0
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=16, le=32_000)] | None = None


class Price(Section):
    """What a model costs for each million tokens."""

    input: Annotated[Decimal, Field(ge=0, description="For a million tokens that the model reads.")]
    output: Annotated[Decimal, Field(ge=0, description="For a million tokens that the model writes.")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")] = "USD"


Expected = Literal[
    "text",
    "number",
    "date",
    "time",
    "email",
    "phone",
    "cpf",
    "cnpj",
    "cpf_cnpj",
    "cep",
    "choice",
    "image",
    "audio",
    "file",
    "location",
]


class Ask(Section):
    """A question to the contact, and the answer that it accepts."""

    field: Annotated[Name, Field(description="The field that keeps the answer.")]
    question: Text
    expect: Annotated[
        Expected,
        Field(
            description="What the answer must be. The table of answers shows what is understood, and how it is kept. "
            "`image`, `audio` and `file` (any media) keep `url` and `content_type`; `location` keeps `latitude`, "
            "`longitude`, and perhaps `label` and `address`. A voice note, a photo or a place answers no other."
        ),
    ] = "text"
    choices: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=60)], ...],
        Field(
            max_length=20,
            description="Of `choice`. Their words or how they begin, their number in the list, and yes and no in other "
            "words do.",
        ),
    ] = ()
    error: Annotated[
        Text | None,
        Field(description="Said before the question is asked again. Default: what is expected, with an example."),
    ] = None
    tries: Annotated[int, Field(ge=1, le=10, description="The number of tries. After them a human takes over.")] = 3

    @model_validator(mode="after")
    def _choices_are_for_a_choice(self) -> "Ask":
        if (self.expect == "choice") != bool(self.choices):
            raise ValueError("`choices` and `expect: choice` belong together")
        return self


class Call(Section):
    """A tool call, without a model."""

    tool: str
    arguments: Annotated[dict[str, Any], AfterValidator(json_values)] = Field(
        default_factory=dict, alias="with", description="Arguments; `{field}` stands for a field's value."
    )
    into: Annotated[Name | None, Field(description="The field that keeps the result.")] = None
    on_error: Annotated[
        str | None, Field(description="The step to continue with when the call fails. Without it, a human takes over.")
    ] = None


class Triggers(Section):
    """When the assistant hands over."""

    tool_failures: Annotated[int, Field(ge=1, le=10, description="The number of failed tool calls in one turn.")] = 2
    asked: Annotated[
        bool,
        Field(description="Whether the router may choose a human. Rules to `handoff` and agents' tools always may."),
    ] = True


class Handoff(Section):
    """How the assistant hands over to an operator."""

    queue: Annotated[Name, Field(description="The name under which operators find it.")] = "default"
    message: Annotated[Text | None, Field(description="What the contact is told while waiting.")] = None
    triggers: Triggers = Triggers()
    sla: Annotated[
        Duration | None, Field(ge=1, description="How soon an operator should answer. Later it is shown as overdue.")
    ] = None
    timeout: Annotated[
        Duration | None, Field(ge=1, description="How long to wait for an operator. Without it, until `expire`.")
    ] = None
    on_timeout: Annotated[
        Literal["return", "close"], Field(description="After the timeout the assistant continues, or says goodbye.")
    ] = "return"


class Approvals(Section):
    """What happens while a tool call waits for an operator's approval."""

    queue: Name = "default"
    message: Annotated[Text | None, Field(description="What the contact is told while waiting.")] = None
    timeout: Annotated[Duration, Field(ge=1, description="After this time the call is refused.")] | None = None


class Limits(Section):
    """Limits of use. When one is reached, messages go to an operator until the hour, the day or the month is over."""

    turns_per_day: (
        Annotated[Count, Field(ge=1, description="Turns of every kind, reminders and goodbyes too.")] | None
    ) = None
    model_tokens_per_month: (
        Annotated[Count, Field(ge=1, description="Tokens read and written, by all models.")] | None
    ) = None
    model_calls_per_turn: Annotated[
        int,
        Field(
            ge=2,
            le=100,
            description="Calls of models in one turn. What needs more goes to an operator, with what was done.",
        ),
    ] = 25
    model_tokens_per_turn: (
        Annotated[Count, Field(ge=1_000, description="Tokens read and written in one turn, likewise.")] | None
    ) = None
    contact_turns_per_hour: Annotated[
        Count,
        Field(
            ge=1,
            description="Turns of one contact. Beyond, its messages go to an operator: nobody uses up the day for the "
            "others, and two programs do not answer each other for ever.",
        ),
    ] = 60


Span = tuple[time, time]
"""From and to. Hours that end at 00:00, or before they begin, end at midnight or on the next day."""
ALL_DAY: tuple[Span, ...] = ((time(), time()),)
DayOfYear = tuple[int, int]
"""Month and day."""


@dataclass(frozen=True)
class SpecialDays:
    """Days with hours of their own, from `first` to `last`, both included. Without spans they are closed.

    Both are dates, or both are days of each year, which may go on into the next.
    """

    first: date | DayOfYear
    last: date | DayOfYear
    spans: tuple[Span, ...] = ()

    def includes(self, day: date) -> bool:
        """Return whether the day is one of them."""
        if isinstance(self.first, date) and isinstance(self.last, date):
            return self.first <= day <= self.last
        assert not isinstance(self.first, date), "both are dates, or neither is"
        assert not isinstance(self.last, date), "both are dates, or neither is"
        of_year = (day.month, day.day)
        if self.first <= self.last:
            return self.first <= of_year <= self.last
        return of_year >= self.first or of_year <= self.last


class Hours(Section):
    """When the tenant is open: weekdays with hours, `holidays` that are closed, and days with hours of their own.

    Hours such as 18:00-02:00 belong to the day on which they begin, also where the next day is a holiday.
    """

    days: dict[int, tuple[Span, ...]] = Field(default_factory=dict)
    holidays: frozenset[date] = frozenset()
    special: tuple[SpecialDays, ...] = ()

    def open_at(self, now: datetime) -> bool:
        """Return whether the tenant is open at `now`, in its time zone. Without `days` only special days close it."""
        today, clock = now.date(), now.time()
        if any(clock >= opens and (clock < closes or closes <= opens) for opens, closes in self._spans(today)):
            return True
        yesterday = self._spans(today - timedelta(days=1))
        return any(clock < closes <= opens for opens, closes in yesterday)

    def _spans(self, day: date) -> tuple[Span, ...]:
        """Return the spans that begin on a day. The first of the special days that include it decides."""
        if day in self.holidays:
            return ()
        special = next((days.spans for days in self.special if days.includes(day)), None)
        if special is not None:
            return special
        return self.days.get(day.weekday(), ()) if self.days else ALL_DAY
