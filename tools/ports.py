"""What a tool receives: the context of one call, and Protocols for the systems it may use.

The app implements the ports. Tests implement only the ports that the tested tool needs.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

JSON = Mapping[str, Any]


class Need(StrEnum):
    """A part of the manifest that a tool cannot work without. Each grants one port of LocalPorts."""

    CALENDARS = "calendars"
    FACTS = "facts"
    KNOWLEDGE = "knowledge"


@dataclass(frozen=True)
class Slot:
    """A bookable time in a calendar. A booking refers to it by `id`."""

    id: str
    calendar: str
    starts_at: datetime


class SlotUnavailable(Exception):
    """The slot does not exist or is already booked. The model reads the text."""


class ToolFailed(Exception):
    """A tool failed and changed nothing. `model_message` is the text for the model, if there is one."""

    def __init__(self, reason: str, *, model_message: str | None = None) -> None:
        super().__init__(reason)
        self.model_message = model_message


@runtime_checkable
class Appointments(Protocol):
    """The tenant's calendars."""

    async def free_slots(self, first: date, days: int, limit: int) -> list[Slot]:
        """Return free slots of `days` days from `first` on, earliest first, in the tenant's time zone."""
        ...

    async def book(self, slot_id: str, patient: str) -> Slot:
        """Book a slot for the contact. Raises SlotUnavailable."""
        ...


@runtime_checkable
class Facts(Protocol):
    """Facts about the contact that outlive a conversation."""

    async def remember(self, fact: str, replaces: str | None) -> None:
        """Store a fact, and delete the one that it replaces. Only the newest facts are kept."""
        ...


@dataclass(frozen=True)
class Passage:
    """A part of one file of the tenant's knowledge. `heading` joins the headings above it, outermost first."""

    source: str
    heading: str
    text: str


@runtime_checkable
class Knowledge(Protocol):
    """The tenant's knowledge files."""

    async def search(self, query: str, limit: int) -> list[Passage]:
        """Return the passages that match best, best first."""
        ...


@dataclass(frozen=True)
class LocalPorts:
    """Ports to Recado's database. A remote tool runs outside of a transaction and has none of them."""

    appointments: Appointments | None = None
    facts: Facts | None = None
    knowledge: Knowledge | None = None


@dataclass(frozen=True)
class HttpResponse:
    """The answer of another system. `cut`: the body was longer than what was read."""

    status: int
    content_type: str
    body: bytes
    cut: bool = False


class Unreachable(Exception):
    """No answer arrived. `sent`: the request may have been received. The model may read the text."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


@runtime_checkable
class HttpClient(Protocol):
    """An HTTP client that checks the address of every connection before it sends anything."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpResponse:
        """Send one request; only a GET follows redirects, and each target is checked. Raises Unreachable."""
        ...


@dataclass(frozen=True)
class ToolContext:
    """The context of one tool call.

    `key` identifies the call for deduplication. `begun_before`: an earlier attempt may have been received.
    `secrets` maps the names that the tool declares to their values. `trusted` has what Recado knows of the
    conversation, such as `contact.phone`: no model can set it (tools/kinds/trusted_values.py lists the names).
    `granted` is set to the tool's needs before it runs, so that a tool cannot use a port without declaring it.
    """

    now: datetime
    timezone: ZoneInfo
    http_client: HttpClient
    local: LocalPorts = LocalPorts()
    key: str = ""
    begun_before: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    trusted: Mapping[str, Any] = field(default_factory=dict, repr=False)
    granted: frozenset[Need] = frozenset(Need)

    @property
    def appointments(self) -> Appointments:
        """The tenant's calendars. Raises ToolFailed if the tool cannot use them."""
        return self._port(Need.CALENDARS, self.local.appointments)

    @property
    def facts(self) -> Facts:
        """The facts of the contact. Raises ToolFailed if the tool cannot use them."""
        return self._port(Need.FACTS, self.local.facts)

    @property
    def knowledge(self) -> Knowledge:
        """The tenant's knowledge. Raises ToolFailed if the tool cannot use it."""
        return self._port(Need.KNOWLEDGE, self.local.knowledge)

    def _port[T](self, need: Need, port: T | None) -> T:
        if need not in self.granted:
            raise ToolFailed(f"the tool uses {need} but does not declare it in `needs`")
        if port is None:
            raise ToolFailed(f"{need}: not available where this tool runs")
        return port


@dataclass(frozen=True)
class ToolCall:
    """A tool call of a model, or of a flow's step.

    `id` is committed before the tool runs, so that it can serve as idempotency key. `trusted` are the names of the
    trusted values that the tool uses, and `verified` those that flows have kept in this conversation.

    `one_of_several`: the model's answer has more calls. Results of reads are then kept, too, so that after a crash only
    the calls without a result run.
    """

    id: str
    name: str
    arguments: JSON
    secrets: frozenset[str] = frozenset()
    one_of_several: bool = False
    trusted: frozenset[str] = frozenset()
    verified: Mapping[str, str] = field(default_factory=dict)


Effect = Callable[[ToolContext], Awaitable[JSON]]


class OutcomeUnknown(Exception):
    """A remote write started, and it is not known whether it was done."""


@runtime_checkable
class ToolRunner(Protocol):
    """Runs tools for the graph, in their context.

    A write is repeated only if it was certainly not done, or if its tool is idempotent.
    """

    async def read(self, call: ToolCall, effect: Effect) -> JSON:
        """Run a tool that changes nothing. Raises ToolFailed."""
        ...

    async def write_once(self, call: ToolCall, effect: Effect) -> JSON:
        """Run a tool and write its journal entry in one transaction. Raises ToolFailed.

        If the journal already has an entry for the call, return the recorded result instead.
        """
        ...

    async def read_remote(self, call: ToolCall, effect: Effect) -> JSON:
        """Run a tool that reads from another system, while no database connection is held. Raises ToolFailed."""
        ...

    async def write_remote(self, call: ToolCall, effect: Effect, *, idempotent: bool) -> JSON:
        """Run a tool that writes to another system, with a journal commit before and after.

        A call that has an entry without a result is repeated only if `idempotent`. Raises OutcomeUnknown, ToolFailed.
        """
        ...
