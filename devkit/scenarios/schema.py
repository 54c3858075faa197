"""The schema of a scenario's file. Durations are written as 500ms, 2s, 30m, 24h or 7d, and parsed to seconds."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from app.telemetry import Milestone
from graphs.fields import Duration, Name, Section, Text
from graphs.providers import PROVIDERS

DURING_MODEL_CALL = "model"
"""The value of `during` for the time between a model's request and its answer. The other values are milestones."""

STEP_TIME = re.compile(r"(\+?)(\d.*)", re.DOTALL)
ACTIONS = ("say", "button", "redeliver", "operator", "worker", "provider", "twilio", "advance")
DURING = (
    DURING_MODEL_CALL,
    *(str(milestone) for milestone in Milestone if milestone is not Milestone.MESSAGE_STORED),
)


class StepTime(Section):
    """The time of a step. It counts from the beginning, or with `after_previous` from the step before."""

    seconds: Duration
    after_previous: bool

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        match = STEP_TIME.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(
                "expected a time since the beginning, such as 90s, or since the step before, such as +1.2s"
            )
        return {"seconds": match[2], "after_previous": bool(match[1])}


def _check_regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return value


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _as_contained(value: Any) -> Any:
    """Return a list in which a plain text stands for `contains`: a text that is never said is rarely a whole reply."""
    return [{"contains": item} if isinstance(item, str) else item for item in _as_list(value)]


Regex = Annotated[str, AfterValidator(_check_regex)]


class TextMatch(Section):
    """Conditions that a text must meet. A plain text stands for `is`. With the real model, `is` is not checked."""

    is_: Annotated[str | None, Field(alias="is")] = None
    regex: Regex | None = None
    contains: str | None = None
    without: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return {"is": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _require_a_condition(self) -> "TextMatch":
        if not self.model_fields_set:
            raise ValueError("expected a text, or one of `is`, `regex`, `contains`, `without`")
        return self

    def matches(self, text: str, *, exactly: bool = True) -> bool:
        """Return whether a text meets the conditions. Without `exactly`, `is` is not checked."""
        return (
            (self.is_ is None or not exactly or text == self.is_)
            and (self.regex is None or re.search(self.regex, text) is not None)
            and (self.contains is None or self.contains in text)
            and (self.without is None or self.without not in text)
        )

    def __str__(self) -> str:
        said = {"is": self.is_, "regex": self.regex, "contains": self.contains, "without": self.without}
        return ", ".join(f"{name} {value!r}" for name, value in said.items() if value is not None)


class ExpectedToolCall(Section):
    """A tool call of the model. `arguments` are those that are compared; the call may have others."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class ExpectedInterrupt(Section):
    """The interrupt that waits for an operator. The kind `none` expects that there is none."""

    kind: str = "handoff"
    queue: Name | None = None
    reason: TextMatch | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    def __str__(self) -> str:
        parts = [self.kind, f"queue {self.queue}" if self.queue else "", f"reason {self.reason}" if self.reason else ""]
        return ", ".join(part for part in parts if part)


class ExpectedModelUse(Section):
    """The model's requests since the last `expect`.

    `at_once` is the largest number at the same time. `sees` and `never_sees` are texts of the last request of an agent.
    """

    requests: Annotated[int, Field(ge=0)] | None = None
    at_once: Annotated[int, Field(ge=1)] | None = None
    sees: Annotated[tuple[TextMatch, ...], BeforeValidator(_as_list)] = ()
    never_sees: Annotated[tuple[TextMatch, ...], BeforeValidator(_as_list)] = ()


class Expect(Section):
    """The expectations of a step.

    Replies, tools and requests are those since the last `expect`. The others look at the present state.
    """

    reply: TextMatch | None = None
    replies: tuple[TextMatch, ...] | None = None
    reply_count: Annotated[int, Field(ge=0)] | None = None
    no_reply: Literal[True] | None = None
    never_said: Annotated[tuple[TextMatch, ...], BeforeValidator(_as_contained)] = ()
    tools: tuple[ExpectedToolCall, ...] | None = None
    effects: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    agent: str | None = None
    status: Literal["bot", "waiting", "human", "closed"] | None = None
    interrupt: ExpectedInterrupt | None = None
    messages: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    model: ExpectedModelUse | None = None
    within: Duration | None = None

    @model_validator(mode="after")
    def _require_an_expectation(self) -> "Expect":
        if not self.model_fields_set:
            raise ValueError("expected at least one of: " + ", ".join(type(self).model_fields))
        if sum(name in self.model_fields_set for name in ("reply", "replies", "reply_count", "no_reply")) > 1:
            raise ValueError("only one of `reply`, `replies`, `reply_count`, `no_reply` can be asked for at once")
        return self


class OperatorAction(Section):
    """An operator's action on the oldest interrupt. Without `action` the conversation is returned to the assistant.

    `return` and `close` take a `reply` to the contact. `reject` takes a `reason`, which the model sees.
    """

    action: Literal["return", "close", "approve", "reject"] = "return"
    reply: Text | None = None
    reason: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
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
    """A fault of Twilio from this step on.

    `post` makes the next `times` posts of a reply fail. With `refuse`, 429 and 500 Twilio does not accept the message.
    With `drop` and `hang` it accepts the message, and no answer arrives. With `500_after` it accepts the message, and
    the answer is an error. `callbacks: lost` drops all status callbacks.
    """

    post: Literal[429, 500, "500_after", "refuse", "drop", "hang"] | None = None
    times: Annotated[int, Field(ge=1, le=100)] = 1
    callbacks: Literal["lost"] | None = None

    @model_validator(mode="after")
    def _require_a_fault(self) -> "TwilioFault":
        if self.post is None and self.callbacks is None:
            raise ValueError("expected `post` or `callbacks`")
        return self


class Step(Section):
    """An action, an expectation, or both. Without `at` or `during`, the step waits until nothing is due."""

    at: StepTime | None = None
    during: str | None = None
    say: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], BeforeValidator(_as_list)] | None = None
    button: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    duplicate: bool | Annotated[int, Field(ge=1, le=20)] = False
    reorder: bool = False
    redeliver: Literal[True] | None = None
    operator: OperatorAction | None = None
    worker: Literal["kill"] | None = None
    provider: ProviderFault | None = None
    twilio: TwilioFault | None = None
    advance: Duration | None = None
    expect: Expect | None = None

    @model_validator(mode="after")
    def _check_action(self) -> "Step":
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
    """The contact of the scenario."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = "Ana"
    address: Annotated[str, Field(pattern=r"^whatsapp:\+[1-9][0-9]{6,14}$")] = "whatsapp:+5511990000001"

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class ScenarioFile(Section):
    """A scenario's file.

    `starts` is the first moment of the virtual clock. Without a time zone it is in the tenant's. `with` names simulated
    servers. They replace the demo's servers on 127.0.0.1 in the tenant's files.
    """

    name: Annotated[str, Field(min_length=1, max_length=120)]
    description: str = ""
    contact: Contact = Contact()
    starts: datetime = datetime(2026, 1, 5, 10, 0)  # noqa: DTZ001  # a Monday morning in the tenant's time zone
    model: Annotated[str, Field(min_length=1, max_length=200)] = "model.yaml"
    model_latency: Annotated[Duration, Field(ge=0.05, le=60)] = 0.8
    with_: Annotated[tuple[Literal["shop", "school"], ...], BeforeValidator(_as_list), Field(alias="with")] = ()
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
