"""What a tool is given: who it acts for, and ports to the world."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

JSON = Mapping[str, Any]


@dataclass(frozen=True)
class Slot:
    """A time that may be booked. `id` is what the booking must name."""

    id: str
    calendar: str
    starts_at: datetime


class SlotUnavailable(Exception):
    """The slot does not exist, or somebody has it. The text is for the model."""


class ToolFailed(Exception):
    """A tool failed; nothing of what it began remains. `model_message`: what the model may read of it, if anything."""

    def __init__(self, reason: str, *, model_message: str | None = None) -> None:
        super().__init__(reason)
        self.model_message = model_message


@runtime_checkable
class Appointments(Protocol):
    """The tenant's calendars."""

    async def free_slots(self, first: date, days: int, limit: int) -> list[Slot]:
        """Free slots from the day `first` on, over `days` days, earliest first, in the tenant's time zone."""
        ...

    async def book(self, slot_id: str, patient: str) -> Slot:
        """Books a slot for the contact. Raises SlotUnavailable."""
        ...


@runtime_checkable
class Facts(Protocol):
    """What is known of the contact, from conversation to conversation."""

    async def remember(self, fact: str, replaces: str | None) -> None:
        """Keeps a fact in place of another one. Only the newest facts are kept."""
        ...


@dataclass(frozen=True)
class Passage:
    """A part of a file of the tenant's knowledge. `heading`: the headings above it, outermost first."""

    source: str
    heading: str
    text: str


@runtime_checkable
class Knowledge(Protocol):
    """What the tenant has written down for its agents."""

    async def search(self, query: str, limit: int) -> list[Passage]:
        """The passages that fit best, best first."""
        ...


class UnavailablePorts:
    """Fulfils the ports of our own database where there is none: for a tool that works elsewhere."""

    async def free_slots(self, first: date, days: int, limit: int) -> list[Slot]:
        """Raises ToolFailed."""
        raise ToolFailed("a tool that works elsewhere has no calendars")

    async def book(self, slot_id: str, patient: str) -> Slot:
        """Raises ToolFailed."""
        raise ToolFailed("a tool that works elsewhere has no calendars")

    async def remember(self, fact: str, replaces: str | None) -> None:
        """Raises ToolFailed."""
        raise ToolFailed("a tool that works elsewhere knows nothing of the contact")

    async def search(self, query: str, limit: int) -> list[Passage]:
        """Raises ToolFailed."""
        raise ToolFailed("a tool that works elsewhere has no knowledge")


@dataclass(frozen=True)
class HttpResponse:
    """What another system answered. `cut`: there was more than was read."""

    status: int
    content_type: str
    body: bytes
    cut: bool = False


class Unreachable(Exception):
    """No answer came. `sent`: the request may have arrived all the same. The text may be told to the model."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


@runtime_checkable
class HttpClient(Protocol):
    """The way out to other systems: every address is looked at before anything is sent to it."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpResponse:
        """One request, redirects followed for GET only and each looked at anew. Raises Unreachable."""
        ...


@dataclass(frozen=True)
class ToolContext:
    """One per tool call. `key` names the call, for ever; `secrets` are those that the tool named, by name."""

    now: datetime
    timezone: ZoneInfo
    http_client: HttpClient
    appointments: Appointments = field(default_factory=UnavailablePorts)
    facts: Facts = field(default_factory=UnavailablePorts)
    knowledge: Knowledge = field(default_factory=UnavailablePorts)
    key: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ToolCall:
    """A model's wish to call a tool. `id` is durable before the tool runs, so it can key the effect."""

    id: str
    name: str
    arguments: JSON
    secrets: frozenset[str] = frozenset()


Effect = Callable[[ToolContext], Awaitable[JSON]]


class OutcomeUnknown(Exception):
    """A write was begun elsewhere, and nobody can say whether it was done."""


@runtime_checkable
class ToolRunner(Protocol):
    """Where tools run: gives them their context, and makes effects happen once."""

    async def read(self, effect: Effect) -> JSON:
        """Runs a tool that changes nothing. Raises ToolFailed."""
        ...

    async def write_once(self, call: ToolCall, effect: Effect) -> JSON:
        """Runs a tool that changes something, together with its entry in the journal: wholly, once, or not at all.

        A call whose entry is already there is not run: its recorded result is returned. Raises ToolFailed.
        """
        ...

    async def read_remote(self, call: ToolCall, effect: Effect) -> JSON:
        """Runs a tool that asks another system, with no connection of ours held meanwhile. Raises ToolFailed."""
        ...

    async def write_remote(self, call: ToolCall, effect: Effect, *, idempotent: bool) -> JSON:
        """Runs a tool that changes something elsewhere: journaled before and after, so that no call is made twice.

        A call that was begun and never ended is made again only if `idempotent`. Raises OutcomeUnknown, ToolFailed.
        """
        ...
