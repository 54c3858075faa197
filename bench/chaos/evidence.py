"""What a chaos run leaves: Twilio's log, and the rows that must not be there."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

from bench.chaos.oracle import Delivered, Violation
from bench.chaos.store import UNFINISHED, Store
from bench.control import Control

CHECKS: dict[str, LiteralString] = {
    "inbox rows without a disposition": """
        select c.address, i.id, i.body, i.turn from inbox i
        join conversations v on v.id = i.conversation_id join contacts c on c.id = v.contact_id
        where i.disposition is null""",
    "conversations not given back": """
        select c.address, v.id, v.pending, v.owner, v.due_at, v.last_error from conversations v
        join contacts c on c.id = v.contact_id where v.pending <> 0 or v.owner is not null""",
    "outbox rows not final": """
        select c.address, o.id, o.status, o.owner, o.attempts, o.due_at, o.held_for, o.updated_at from outbox o
        join conversations v on v.id = o.conversation_id join contacts c on c.id = v.contact_id
        where o.status not in ('sent', 'delivered', 'read')""",
    "threads with more than one root checkpoint": """
        select c.address, k.thread_id, count(*) as checkpoints from checkpoints k
        join conversations v on v.id::text = k.thread_id join contacts c on c.id = v.contact_id
        where k.checkpoint_ns = '' group by c.address, k.thread_id having count(*) > 1""",
    "messages parked": """
        select c.address, i.id, i.body from inbox i
        join conversations v on v.id = i.conversation_id join contacts c on c.id = v.contact_id
        where i.disposition = 'parked'""",
    "messages left to a human": """
        select c.address, i.id, i.body, v.status from inbox i
        join conversations v on v.id = i.conversation_id join contacts c on c.id = v.contact_id
        where i.disposition = 'human'""",
    "apologies": """
        select c.address, o.id, o.turn from outbox o
        join conversations v on v.id = o.conversation_id join contacts c on c.id = v.contact_id
        where o.body like %(apology)s""",
}
"""Each must find nothing."""

OF_CONTACT: dict[str, LiteralString] = {
    "conversations": """select v.* from conversations v join contacts c on c.id = v.contact_id
        where c.address = %(address)s""",
    "inbox": """select i.id, i.provider_sid, i.body, i.received_at, i.turn, i.disposition from inbox i
        join conversations v on v.id = i.conversation_id join contacts c on c.id = v.contact_id
        where c.address = %(address)s order by i.id""",
    "turns": """select t.turn, t.attempts, t.error, t.claimed_at, t.finished_at from turns t
        join conversations v on v.id = t.conversation_id join contacts c on c.id = v.contact_id
        where c.address = %(address)s order by t.turn""",
    "outbox": """select o.* from outbox o
        join conversations v on v.id = o.conversation_id join contacts c on c.id = v.contact_id
        where c.address = %(address)s order by o.id""",
    "tool_calls": """select t.* from tool_calls t
        join conversations v on v.id = t.conversation_id join contacts c on c.id = v.contact_id
        where c.address = %(address)s order by t.called_at""",
    "appointments": """select a.* from appointments a join contacts c on c.id = a.contact_id
        where c.address = %(address)s""",
}

COMMITTED = "select id::text as row, extract(epoch from created_at)::float8 as at from outbox"
EXCUSED = "select body from inbox where disposition in ('parked', 'human')"
APPOINTMENTS = "select patient from appointments"
JOURNAL = "select arguments->>'patient' as patient from tool_calls where name = 'book_slot'"
TURNS = "select count(*)::int as turns, coalesce(max(attempts), 0)::int as attempts from turns"
RECOVERED = """
    select count(*) filter (where attempts > 1)::int as again from turns
"""


class Watcher:
    """Reads Twilio's log as it grows."""

    def __init__(self, twilio: Control) -> None:
        self._twilio = twilio
        self._index = 0
        self.delivered: list[Delivered] = []
        self._tokens: set[str] = set()

    def answered(self, token: str) -> bool:
        """Whether some reply names the token."""
        return token in self._tokens

    @property
    def answers(self) -> int:
        """How many tokens have been answered."""
        return len(self._tokens)

    async def look(self) -> None:
        """Takes in what Twilio has accepted since the last look."""
        page = await self._twilio.get("messages", since=self._index, direction="outbound")
        for message in page["messages"]:
            row = str(message.get("status_callback", "")).rpartition("o=")[2]
            reply = Delivered(message["to"], message["body"], message["sid"], row, message["accepted_at"])
            self.delivered.append(reply)
            self._tokens.update(reply.tokens)
        self._index = page["index"]

    async def watch(self) -> None:
        """Looks for ever."""
        while True:
            await self.look()
            await asyncio.sleep(0.3)


@dataclass
class Rows:
    """What the database says at the end."""

    wrong: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    excused: list[str] = field(default_factory=list)
    committed: dict[str, float] = field(default_factory=dict)
    appointments: list[str] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)
    turns: int = 0
    taken_again: int = 0
    most_attempts: int = 0


async def quiet(store: Store, timeout: float) -> float | None:
    """Seconds until nothing was in hand any more; None when that did not come in time."""
    began = time.monotonic()
    while time.monotonic() - began < timeout:
        if not await store.value(UNFINISHED):
            return time.monotonic() - began
        await asyncio.sleep(0.25)
    return None


async def collect(store: Store, apology: str) -> Rows:
    """All of it."""
    rows = Rows()
    for check, query in CHECKS.items():
        rows.wrong[check] = await store.rows(query, apology=apology)
    rows.excused = [row["body"] for row in await store.rows(EXCUSED)]
    rows.committed = {row["row"]: row["at"] for row in await store.rows(COMMITTED)}
    rows.appointments = [row["patient"] for row in await store.rows(APPOINTMENTS)]
    rows.journal = [row["patient"] for row in await store.rows(JOURNAL)]
    totals = (await store.rows(TURNS))[0]
    rows.turns, rows.most_attempts = totals["turns"], totals["attempts"]
    rows.taken_again = await store.value(RECOVERED)
    return rows


async def about(store: Store, violations: Sequence[Violation]) -> Mapping[str, Any]:
    """Every row of the contacts concerned."""
    addresses = list(dict.fromkeys(violation.contact for violation in violations))[:20]
    return {
        address: {name: await store.rows(query, address=address) for name, query in OF_CONTACT.items()}
        for address in addresses
    }


def tally(violations: Sequence[Violation]) -> Counter[str]:
    """How many of each kind."""
    return Counter(violation.kind for violation in violations)
