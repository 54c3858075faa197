"""The shape of a scenario's file. Durations are written as 500ms, 2s, 30m, 24h or 7d and held in seconds."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from app.telemetry import Milestone
from graphs.fields import Duration, Name, Section, Text
from graphs.providers import PROVIDERS

MODEL = "model"
"""Stands for the moments between a model's request and its answer, where the other words are milestones."""

MOMENT = re.compile(r"(\+?)(\d.*)", re.DOTALL)
ACTIONS = ("say", "button", "redeliver", "operator", "worker", "provider", "twilio", "advance")
DURING = (
    MODEL,
    *(str(milestone) for milestone in Milestone if milestone is not Milestone.MESSAGE_STORED),
)


class At(Section):
    """When a step happens. `after_previous`: counted from the step before, not from the beginning."""

    seconds: Duration
    after_previous: bool

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        match = MOMENT.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(
                "expected a time since the beginning, such as 90s, or since the step before, such as +1.2s"
            )
        return {"seconds": match[2], "after_previous": bool(match[1])}


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return value


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Regex = Annotated[str, AfterValidator(_regex)]


class Words(Section):
    """What a text must be like. A plain text stands for `is`, and only the scripted model is held to that."""

    is_: Annotated[str | None, Field(alias="is")] = None
    regex: Regex | None = None
    contains: str | None = None
    without: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        return {"is": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _says_something(self) -> "Words":
        if not self.model_fields_set:
            raise ValueError("expected a text, or one of `is`, `regex`, `contains`, `without`")
        return self

    def fit(self, text: str, *, exactly: bool = True) -> bool:
        """Whether a text is like this; not `exactly`: `is` does not count."""
        return (
            (self.is_ is None or not exactly or text == self.is_)
            and (self.regex is None or re.search(self.regex, text) is not None)
            and (self.contains is None or self.contains in text)
            and (self.without is None or self.without not in text)
        )

    def __str__(self) -> str:
        said = {"is": self.is_, "regex": self.regex, "contains": self.contains, "without": self.without}
        return ", ".join(f"{name} {value!r}" for name, value in said.items() if value is not None)


class ToolUse(Section):
    """A tool that the model asked for. `arguments`: those that matter, the others may be anything."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class InterruptWanted(Section):
    """What waits for an operator, or, as `none`, that nothing does."""

    kind: str = "handoff"
    queue: Name | None = None
    reason: Words | None = None

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    def __str__(self) -> str:
        parts = [self.kind, f"queue {self.queue}" if self.queue else "", f"reason {self.reason}" if self.reason else ""]
        return ", ".join(part for part in parts if part)


class ModelUse(Section):
    """How the model was asked since the last look. `sees`, `never_sees`: in the last request to an agent's model."""

    requests: Annotated[int, Field(ge=0)] | None = None
    at_once: Annotated[int, Field(ge=1)] | None = None
    sees: Annotated[tuple[Words, ...], BeforeValidator(_listed)] = ()
    never_sees: Annotated[tuple[Words, ...], BeforeValidator(_listed)] = ()


class Expect(Section):
    """What must be so. Replies, tools and requests count from the last `expect`; the rest is as it is then."""

    reply: Words | None = None
    replies: tuple[Words, ...] | None = None
    reply_count: Annotated[int, Field(ge=0)] | None = None
    no_reply: Literal[True] | None = None
    never_said: Annotated[tuple[Words, ...], BeforeValidator(_listed)] = ()
    tools: tuple[ToolUse, ...] | None = None
    effects: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    agent: str | None = None
    status: Literal["bot", "waiting", "human", "closed"] | None = None
    interrupt: InterruptWanted | None = None
    messages: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    model: ModelUse | None = None
    within: Duration | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> "Expect":
        if not self.model_fields_set:
            raise ValueError("expected at least one of: " + ", ".join(type(self).model_fields))
        if sum(name in self.model_fields_set for name in ("reply", "replies", "reply_count", "no_reply")) > 1:
            raise ValueError("only one of `reply`, `replies`, `reply_count`, `no_reply` can be asked for at once")
        return self


class Decided(Section):
    """What an operator does about the conversation that waits. Words without an action give it back, too.

    `reply` goes to the contact, with `return` or `close`; `reason` to the model, with `reject`.
    """

    action: Literal["return", "close", "approve", "reject"] = "return"
    reply: Text | None = None
    reason: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        return {"action": value} if isinstance(value, str) else value


class ProviderFault(Section):
    """A fault of a model provider for its next `times` requests, written as `{openai: 429, times: 2}`."""

    provider: str
    fault: Literal[429, 500, 503, "timeout", "drop", "garbage", "empty"]
    times: Annotated[int, Field(ge=1, le=100)] = 1

    @model_validator(mode="before")
    @classmethod
    def _read_provider(cls, value: Any) -> Any:
        names = [key for key in value if key != "times"] if isinstance(value, dict) else []
        if len(names) != 1 or names[0] not in PROVIDERS:
            raise ValueError(f"expected one of {', '.join(f'`{name}`' for name in PROVIDERS)}")
        return {"provider": names[0], "fault": value[names[0]], **{k: v for k, v in value.items() if k == "times"}}


class TwilioFault(Section):
    """What goes wrong at Twilio from now on. `post`: when replies are posted, `times` posts long; `callbacks`: `lost`.

    `refuse`: no connection; `drop`, `hang`: taken, but the answer never comes; `500_after`: taken, and then an error.
    """

    post: Literal[429, 500, "500_after", "refuse", "drop", "hang"] | None = None
    times: Annotated[int, Field(ge=1, le=100)] = 1
    callbacks: Literal["lost"] | None = None

    @model_validator(mode="after")
    def _names_one(self) -> "TwilioFault":
        if self.post is None and self.callbacks is None:
            raise ValueError("expected `post` or `callbacks`")
        return self


class Step(Section):
    """One thing that happens, or is looked at, or both. Without `at` or `during` it waits until all is quiet."""

    at: At | None = None
    during: str | None = None
    say: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], BeforeValidator(_listed)] | None = None
    button: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    duplicate: bool | Annotated[int, Field(ge=1, le=20)] = False
    reorder: bool = False
    redeliver: Literal[True] | None = None
    operator: Decided | None = None
    worker: Literal["kill"] | None = None
    provider: ProviderFault | None = None
    twilio: TwilioFault | None = None
    advance: Duration | None = None
    expect: Expect | None = None

    @model_validator(mode="after")
    def _happens(self) -> "Step":
        actions = [name for name in ACTIONS if name in self.model_fields_set]
        if len(actions) > 1 and set(actions) != {"say", "button"}:
            raise ValueError(f"a step does one thing, not {len(actions)}: {', '.join(actions)}")
        if not actions and self.expect is None:
            raise ValueError(f"a step needs `expect`, or one of: {', '.join(ACTIONS)}")
        if self.at is not None and self.during is not None:
            raise ValueError("`at` and `during` exclude each other")
        if self.during is not None and self.during not in DURING:
            raise ValueError(f"`during` must be one of: {', '.join(DURING)}")
        if (self.duplicate or self.reorder) and not {"say", "button"} & set(actions):
            raise ValueError("`duplicate` and `reorder` go with `say` or `button`")
        return self


class Contact(Section):
    """Who writes."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = "Ana"
    address: Annotated[str, Field(pattern=r"^whatsapp:\+[1-9][0-9]{6,14}$")] = "whatsapp:+5511990000001"

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class ScenarioFile(Section):
    """The whole file. `starts`: the virtual clock's first moment, in the tenant's time zone unless it names its own.

    `with`: simulated servers for the tenant's tools, in place of what the tenant's files name on 127.0.0.1.
    """

    name: Annotated[str, Field(min_length=1, max_length=120)]
    description: str = ""
    contact: Contact = Contact()
    starts: datetime = datetime(2026, 1, 5, 10, 0)  # noqa: DTZ001  # a Monday morning, wherever the tenant is
    model: Annotated[str, Field(min_length=1, max_length=200)] = "model.yaml"
    model_latency: Annotated[Duration, Field(ge=0.05, le=60)] = 0.8
    with_: Annotated[tuple[Literal["shop", "school"], ...], BeforeValidator(_listed), Field(alias="with")] = ()
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
