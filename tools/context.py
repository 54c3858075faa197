"""What a tool is given: who it acts for, and ports to the world."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
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


class ToolBroke(Exception):
    """A tool failed in a way that it did not foresee; nothing of what it began remains."""


@runtime_checkable
class Appointments(Protocol):
    """The tenant's calendars."""

    async def free_slots(self, first: date, days: int, limit: int) -> list[Slot]:
        """Free slots from the day `first` on, over `days` days, earliest first, in the tenant's time zone."""
        ...

    async def book(self, slot_id: str, patient: str) -> Slot:
        """Books a slot for the contact. Raises SlotUnavailable."""
        ...


@dataclass(frozen=True)
class ToolContext:
    """One per tool call."""

    now: datetime
    timezone: ZoneInfo
    appointments: Appointments


@dataclass(frozen=True)
class ToolCall:
    """A model's wish to call a tool. `id` is durable before the tool runs, so it can key the effect."""

    id: str
    name: str
    arguments: JSON


Effect = Callable[[ToolContext], Awaitable[JSON]]


@runtime_checkable
class ToolRunner(Protocol):
    """Where tools run: gives them their context, and makes effects happen once."""

    async def read(self, effect: Effect) -> JSON:
        """Runs a tool that changes nothing. Raises ToolBroke."""
        ...

    async def write_once(self, call: ToolCall, effect: Effect) -> JSON:
        """Runs a tool that changes something, together with its entry in the journal: wholly, once, or not at all.

        A call whose entry is already there is not run: its recorded result is returned. Raises ToolBroke.
        """
        ...
