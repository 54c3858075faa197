"""The outcomes of an attempt to take a turn."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.outbox.queries import OutboxRow
from app.turns.claim import Unclaimed


@dataclass(frozen=True)
class Committed:
    """The turn is durable. `head` is a reply that this worker has claimed and may post at once."""

    contact_id: UUID
    pending: int
    due_at: datetime | None
    head: OutboxRow | None
    has_replies: bool


@dataclass(frozen=True)
class Folded:
    """A message arrived during the attempt. The next attempt, due at once, answers it together with the others."""


@dataclass(frozen=True)
class Fenced:
    """Another worker owns the conversation. Nothing of this attempt is durable, except its committed legs."""


@dataclass(frozen=True)
class Released:
    """The attempt failed, and the conversation may be claimed again at `retry_at`."""

    retry_at: datetime


Outcome = Committed | Folded | Fenced | Released | Unclaimed
