"""What the database contains at the end of a chaos run: rows that must not exist, and the numbers of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

from bench.chaos.oracle import Violation
from bench.storage import BenchStorage

CHECKS: dict[str, LiteralString] = {
    "inbox rows without a disposition": """
        select c.address, i.id, i.body, i.turn from inbox i
        join conversations v on v.id = i.conversation_id join contacts c on c.id = v.contact_id
        where i.disposition is null""",
    "conversations still pending or owned": """
        select c.address, v.id, v.pending, v.owner, v.due_at, v.last_error from conversations v
        join contacts c on c.id = v.contact_id where v.pending <> 0 or v.owner is not null""",
    "outbox rows not sent": """
        select c.address, o.id, o.status, o.owner, o.attempts, o.due_at, o.held_for, o.updated_at from outbox o
        join conversations v on v.id = o.conversation_id join contacts c on c.id = v.contact_id
        where o.status not in ('sent', 'delivered', 'read')""",
    "threads with more than one root checkpoint": """
        select c.address, k.thread_id, count(*) as checkpoints from checkpoints k
        join conversations v on v.id::text = k.thread_id join contacts c on c.id = v.contact_id
        where k.checkpoint_ns = '' group by c.address, k.thread_id having count(*) > 1""",
    "messages parked after repeated failures": """
        select c.address, i.id, i.body from inbox i
        join conversations v on v.id = i.conversation_id join contacts c on c.id = v.contact_id
        where i.disposition = 'parked'""",
    "messages that wait for an operator": """
        select c.address, i.id, i.body, v.status from inbox i
        join conversations v on v.id = i.conversation_id join contacts c on c.id = v.contact_id
        where i.disposition = 'human'""",
    "apologies sent to contacts": """
        select c.address, o.id, o.turn from outbox o
        join conversations v on v.id = o.conversation_id join contacts c on c.id = v.contact_id
        where o.body like %(apology)s""",
}
"""Queries that must find no row."""

ROWS_OF_CONTACT: dict[str, LiteralString] = {
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

MAX_CONTACTS = 20
"""The evidence has the rows of at most so many contacts."""

REPLY_COMMITS = "select id::text as outbox_id, extract(epoch from created_at)::float8 as committed_at from outbox"
MESSAGES_WITHOUT_REPLY = "select body from inbox where disposition in ('parked', 'human')"
APPOINTMENTS = "select patient from appointments"
JOURNAL = "select arguments->>'patient' as patient from tool_calls where name = 'book_slot'"
TURNS = """
    select count(*)::int as turns, count(*) filter (where attempts > 1)::int as repeated,
        coalesce(max(attempts), 0)::int as attempts
    from turns
"""


@dataclass
class DatabaseFindings:
    """What the database contains at the end.

    `failed_checks` maps each check to the rows that it found. `without_reply` has the texts of messages that were
    parked or wait for an operator. `reply_commits` maps outbox ids to the epoch seconds of their commit.
    `appointments` and `journal` have the codes of bookings. `repeated_turns` counts turns of several attempts.
    """

    failed_checks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    without_reply: list[str] = field(default_factory=list)
    reply_commits: dict[str, float] = field(default_factory=dict)
    appointments: list[str] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)
    turns: int = 0
    repeated_turns: int = 0
    most_attempts: int = 0


async def read_findings(storage: BenchStorage, apology: str) -> DatabaseFindings:
    """Run all checks and counts. `apology` is the text that a contact gets when a turn fails for good."""
    findings = DatabaseFindings()
    for check, query in CHECKS.items():
        findings.failed_checks[check] = await storage.fetch_rows(query, apology=apology)
    findings.without_reply = [row["body"] for row in await storage.fetch_rows(MESSAGES_WITHOUT_REPLY)]
    commits = await storage.fetch_rows(REPLY_COMMITS)
    findings.reply_commits = {row["outbox_id"]: row["committed_at"] for row in commits}
    findings.appointments = [row["patient"] for row in await storage.fetch_rows(APPOINTMENTS)]
    findings.journal = [row["patient"] for row in await storage.fetch_rows(JOURNAL)]
    turns = (await storage.fetch_rows(TURNS))[0]
    findings.turns, findings.repeated_turns, findings.most_attempts = (
        turns["turns"],
        turns["repeated"],
        turns["attempts"],
    )
    return findings


async def read_rows_of_contacts(storage: BenchStorage, violations: Sequence[Violation]) -> Mapping[str, Any]:
    """Return the rows of the contacts that violations name, by contact and by table."""
    addresses = list(dict.fromkeys(violation.contact for violation in violations))[:MAX_CONTACTS]
    return {
        address: {table: await storage.fetch_rows(query, address=address) for table, query in ROWS_OF_CONTACT.items()}
        for address in addresses
    }
