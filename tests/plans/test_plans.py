"""Every statement reads what is due or asked for, by an index, however many rows there are.

The tables have hundreds of thousands of rows. The plans are those that the application gets, in its roles.
"""

import ast
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import pytest

from app.appointments.queries import book, booked
from app.assistants import queries as assistants
from app.channels.base import InboundMessage, StatusUpdate
from app.conversations import commands
from app.conversations import queries as conversations
from app.conversations.facts import ContactFacts
from app.db import Database, Role, Transaction
from app.identity import queries as identity
from app.identity import suspension
from app.inbox import queries as inbox
from app.knowledge import queries as knowledge
from app.outbox import queries as outbox
from app.outbox.queries import Claimer, InHand, SendOutcome
from app.retention.queries import erase_contact, erase_old, set_days, settings
from app.retention.service import KINDS
from app.retention.usage_copy import copy_usage
from app.retention.usage_hours import sum_next_hour
from app.turns import journal
from app.turns.claim import Claim, ClaimRequest, claim_conversation, count_failed_claim
from app.turns.commit import Interrupt, Settlement, Timer, TurnRecord, commit, commit_leg, release
from app.turns.hand_over import set_checkpoint_aside, transcript
from app.turns.journal import CallKey
from app.turns.limits import count_contact_turns, count_usage
from app.turns.quotes import quoted_texts
from app.turns.resume import utterances_since_interrupt
from app.turns.saver import BufferingSaver
from app.turns.sweep import SweepLimits, find_due
from app.turns.usage import write_usage
from graphs.state import Reply, Usage
from tests.plans.conftest import Explain
from tests.plans.explained import ExplainedTransaction, Plan
from tests.plans.fill import CHANNEL, IN_FLIGHT, TENANT, WORKER

APP = Path(__file__).parents[2] / "app"
TENANT_ID, CHANNEL_ID, CONTACT = UUID(TENANT), UUID(CHANNEL), "whatsapp:+556"
SMALL = {
    "tenants",
    "channels",
    "assistants",
    "assistant_versions",
    "assistant_publications",
    "tenant_secrets",
    "retention",
    "usage_summed",
    "workers",
    "pg_database",
}
"""Tables that grow with the tenants. Their rows may be read one after another."""
FEW = 300
"""Rows that a statement of the road may read: those of one conversation, and of the tables that are small."""
SOME = 3_000
"""Rows that a batch may read: a few times its limit."""


pytestmark = pytest.mark.timeout(900)
"""To fill the tables takes minutes on a busy machine."""


def assert_few_read(plans: Sequence[Plan], most: int) -> None:
    """Assert that every statement reads, and sorts, at most so many rows, and scans no table that grows."""
    assert plans
    wrong = [plan for plan in plans if plan.scanned - SMALL or max(plan.rows_read, plan.sorted_rows) > most]
    assert not wrong, "\n".join(map(str, wrong))


@dataclass(frozen=True)
class OpenConversation:
    """The id of an open conversation."""

    id: UUID


class OneTransaction:
    """Runs the statements of commands in the transaction that explains them."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        yield self._tx


def now() -> datetime:
    return datetime.now(UTC)


def message(sender: str) -> InboundMessage:
    return InboundMessage("AC", f"SM{uuid4().hex}", sender, "whatsapp:t1", "oi", None, {})


async def claimed(tx: ExplainedTransaction, sender: str = CONTACT) -> Claim:
    """Receive a message of a contact and claim the conversation."""
    received = await inbox.receive(tx, TENANT_ID, CHANNEL_ID, message(sender), now())
    assert received is not None
    request = ClaimRequest(received.conversation_id, WORKER, received.due_at, now() - timedelta(minutes=5))
    claim = await claim_conversation(tx, request)
    assert isinstance(claim, Claim)
    claim.usage.add(Usage(model="m", input_tokens=1, output_tokens=1))
    return claim


def settlement(claim: Claim) -> Settlement:
    checkpoint = BufferingSaver(str(claim.id), claim.checkpoints).commit_parameters()
    record = TurnRecord(
        replies=[Reply(author="assistant", body="olá"), Reply(author="assistant", body="tudo bem?")],
        interrupts=[Interrupt("new", "handoff", {})],
    )
    rows = {item.id: "answered" for item in claim.inbox}
    return Settlement("waiting", rows, Timer(now(), "idle"), record=record, checkpoint=checkpoint)


class TestRoad:
    """One conversation's statements read its own rows."""

    async def test_a_turn_reads_its_conversation(self, explain: Explain) -> None:
        async with explain(Role.APP) as tx:
            claim = await claimed(tx)
            await transcript(tx, claim, 12)
            await commit_leg(tx, claim, settlement(claim).checkpoint or {}, [item.id for item in claim.inbox], now())
            result = await commit(tx, claim, settlement(claim), now())
            assert result is not None
            assert result.head_id is not None
            await utterances_since_interrupt(tx, claim.id, 10**9)
            await quoted_texts(tx, claim.id, claim.contact_id, ["SMo6", "SM9"])
            await inbox.add_decision(tx, "new", {"action": "return"}, now())
        assert_few_read(tx.plans, FEW)

    async def test_commands_read_their_conversation(self, explain: Explain) -> None:
        async with explain(Role.SYSTEM) as tx:
            open_one = await tx.one(OpenConversation, "select id from conversations where wake_at > now() limit 1", {})
            assert open_one is not None
            tx.plans.clear()
            system = cast("Database", OneTransaction(tx))
            await commands.take_over(system, open_one.id, "ana", now)
            await commands.reply(system, open_one.id, "oi", now)
            await commands.close(system, open_one.id, now)
        assert_few_read(tx.plans, FEW)

    async def test_turns_that_end_otherwise_do_so(self, explain: Explain) -> None:
        async with explain(Role.APP) as tx:
            claim = await claimed(tx)
            await set_checkpoint_aside(tx, claim)
            await write_usage(tx, claim.usage, now())
            await release(tx, claim, "failed", now(), now(), forgive=False)
            request = ClaimRequest(claim.id, WORKER, now(), now())
            await count_failed_claim(tx, request, "failed", (1.0, 3.0), 5)
            claim = await claimed(tx, "whatsapp:+5512")
            without = Settlement("bot", {item.id: "superseded" for item in claim.inbox}, keep_timer=True)
            await commit(tx, claim, without, now())
            claim = await claimed(tx, "whatsapp:+5518")
            rows = {item.id: "parked" for item in claim.inbox}
            await commit(tx, claim, Settlement("closed", rows, record=TurnRecord()), now())
        assert_few_read(tx.plans, FEW)

    async def test_tools_read_what_they_name(self, explain: Explain) -> None:
        async with explain(Role.APP) as tx:
            claim = await claimed(tx)
            key = CallKey(TENANT_ID, claim.id, claim.next_turn, "call_1")
            await journal.begin_call(tx, key, "book_slot", {}, now())
            await journal.find_result(tx, key)
            await journal.delete_call(tx, key)
            await journal.write_result(tx, key, {})
            await journal.write_read(tx, replace(key, tool_call_id="call_2"), "list_slots", {}, {}, now())
            await ContactFacts(tx, claim.contact_id).remember("alérgica", None)
            await booked(tx, TENANT_ID, now(), now() + timedelta(days=7))
            await book(
                tx,
                tenant_id=TENANT_ID,
                contact_id=claim.contact_id,
                conversation_id=claim.id,
                calendar="sala",
                starts_at=now(),
                patient="Ana",
                now=now(),
            )
            await knowledge.search(tx, TENANT_ID, "h1", "pt", ("palavra", "palavra"), 3)
        assert_few_read(tx.plans, FEW)

    async def test_a_reply_reads_its_contact(self, explain: Explain) -> None:
        async with explain(Role.APP) as tx:
            claim = await claimed(tx)
            await commit(tx, claim, settlement(claim), now())
            by = Claimer(WORKER, now() + timedelta(minutes=1), now(), now() + timedelta(minutes=1), [])
            row = await outbox.claim_head(tx, claim.contact_id, by)
            assert row is not None
            await outbox.renew(tx, row.id, WORKER, now())
            await outbox.rows_of_sids(tx, ["SMo6", "SMo9", "SMx"])
            await outbox.settle(tx, row, SendOutcome("sent", provider_sid="SMx"), by)
            await outbox.apply_status(tx, TENANT_ID, StatusUpdate(row.id, "SMx", "read", ""), now())
        assert_few_read(tx.plans, FEW)


class TestSweeps:
    """What is due is found without reading what is not."""

    async def test_timers(self, explain: Explain) -> None:
        async with explain(Role.SYSTEM) as tx:
            assert len(await inbox.fire_timers(tx, now(), 200)) == 3
        assert_few_read(tx.plans, FEW)

    async def test_conversations(self, explain: Explain) -> None:
        limits = SweepLimits(WORKER + 1, now(), now(), now() - timedelta(days=1), [], [], 200)
        async with explain(Role.SYSTEM) as tx:
            assert await find_due(tx, limits) == [], "a live worker has them"
        assert_few_read(tx.plans, IN_FLIGHT + FEW)

    async def test_replies(self, explain: Explain) -> None:
        by = Claimer(WORKER, now(), now() - timedelta(days=1), now(), [])
        async with explain(Role.SYSTEM) as tx:
            assert await outbox.sweep(tx, by, InHand([], []), 200) == [], "they wait for their retry"
            await outbox.release_held(tx, CHANNEL_ID, now(), 50)
            await suspension.claim_checks(tx, now())
        assert_few_read(tx.plans, FEW)

    async def test_upkeep(self, explain: Explain) -> None:
        async with explain(Role.SYSTEM) as tx:
            await copy_usage(tx, 200)
            await sum_next_hour(tx, now())
            for name, kind in KINDS.items():
                assert await erase_old(tx, kind.statement, name, kind.days, now(), kind.at_once) == 0
        assert_few_read(tx.plans, FEW)

    async def test_what_is_old_is_erased_by_batches(self, explain: Explain) -> None:
        async with explain(Role.SYSTEM) as tx:
            for name, kind in KINDS.items():
                later = now() + timedelta(days=1000)
                assert await erase_old(tx, kind.statement, name, kind.days, later, kind.at_once) == kind.at_once
        assert_few_read(tx.plans, SOME)

    async def test_a_contact_is_erased(self, explain: Explain) -> None:
        async with explain(Role.SYSTEM) as tx:
            assert (await erase_contact(tx, TENANT_ID, [CONTACT])).conversations == 1
            await settings(tx, TENANT_ID)
            await set_days(tx, TENANT_ID, "usage", 10)
        assert_few_read(tx.plans, FEW)


class TestCountsAndLists:
    """Counts and lists read what they show."""

    async def test_the_count_of_a_limit(self, explain: Explain) -> None:
        async with explain(Role.APP) as tx:
            await count_usage(tx, now() - timedelta(hours=12), now() - timedelta(hours=12))
        assert_few_read(tx.plans, 20_000)

    async def test_the_turns_of_a_contact(self, explain: Explain) -> None:
        async with explain(Role.APP) as tx:
            claim = await claimed(tx)
            tx.plans.clear()
            await count_contact_turns(tx, claim.contact_id, now() - timedelta(hours=1), 60)
        assert_few_read(tx.plans, FEW)

    async def test_open_interrupts(self, explain: Explain) -> None:
        async with explain(Role.SYSTEM) as tx:
            waiting = await conversations.pending_interrupts(tx, None)
            assert len(await conversations.pending_interrupts(tx, TENANT_ID)) == len(waiting) == 45
            await conversations.pending_interrupt(tx, waiting[0].id)
            await conversations.undelivered(tx, TENANT_ID, now() - timedelta(days=7), 100)
            await conversations.reply_target(tx, waiting[0].conversation_id)
        assert_few_read(tx.plans, 4 * len(waiting))

    async def test_a_contact_by_address(self, explain: Explain) -> None:
        async with explain(Role.SYSTEM) as tx:
            await conversations.tag_contact(tx, TENANT_ID, [CONTACT], ["vip"], [])
            assert await conversations.facts_of(tx, TENANT_ID, [CONTACT]) == []
            await conversations.forget_facts(tx, TENANT_ID, [CONTACT])
        assert_few_read(tx.plans, FEW)

    async def test_versions_count_open_conversations(self, explain: Explain) -> None:
        async with explain(Role.SYSTEM) as tx:
            await assistants.versions(tx, TENANT_ID)
            await assistants.published(tx)
            await assistants.live(tx, TENANT_ID)
            await assistants.newest_publication(tx, TENANT_ID)
            await assistants.versions_like(tx, TENANT_ID, "h1")
            await assistants.secret_names(tx, TENANT_ID)
        # They read every open conversation, and no closed one.
        assert_few_read(tx.plans, 250_000)

    async def test_channels(self, explain: Explain) -> None:
        async with explain(Role.SYSTEM) as tx:
            await identity.list_channels(tx)
            await identity.own_addresses(tx, TENANT_ID)
            await identity.channel_address(tx, CHANNEL_ID)
            await identity.channels_of_address(tx, "whatsapp:t1")
            await identity.channel(tx, CHANNEL_ID)
        assert_few_read(tx.plans, FEW)


BY_KEY = {
    "app/assistants/queries.py": {
        *("version", "current_version", "current_version_id", "form", "keep_form"),
        *("add_version", "publication", "lock", "make_current"),
    },
    "app/identity/queries.py": {"upsert_tenant", "tenant_by_slug", "upsert_channel"},
    "app/identity/secrets.py": {"keep", "forget", "_rows"},
    "app/identity/suspension.py": {"suspend", "resume", "postpone_probe", "forget_refusals", "continue_release"},
    "app/knowledge/queries.py": {"add_passages"},
    "app/outbox/metrics.py": {"record_clock_skew", "sending_metrics"},
    "app/turns/worker_lease.py": {"add_worker"},
    "app/database_check.py": {"schema_problem"},
    "app/database_clock.py": {"compare"},
    "app/conversations/queries.py": {"version_of"},
}
"""Functions whose statements name one row by its primary key, or read tables that are small."""
THROUGH_OTHERS = {("app/conversations/commands.py", "_run")}
"""Functions that a test reaches through others."""


def functions_with_sql() -> Iterator[tuple[str, str]]:
    """Return the file and the name of each function that runs a statement."""
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncFunctionDef) and runs_sql(node):
                yield str(path.relative_to(APP.parent)), node.name


def runs_sql(function: ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("all", "one", "run", "after")
        and ast.unparse(node.func.value) in ("tx", "self._tx")
        for node in ast.walk(function)
    )


def test_every_statement_is_explained() -> None:
    tree = ast.parse(Path(__file__).read_text())
    called = {ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(tree) if isinstance(node, ast.Call)}
    missing = [
        (path, name)
        for path, name in functions_with_sql()
        if name not in called and name not in BY_KEY.get(path, set()) and (path, name) not in THROUGH_OTHERS
    ]
    assert not missing, "add them to a test, or to BY_KEY"
