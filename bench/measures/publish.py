"""Publish and rollback of a version while conversations wait for an operator."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from app import broker
from app.assistants import service as assistants
from app.broker import Nudger
from app.clock import utc_now
from app.db import Database, Role
from app.inbox.service import Inbox
from bench.load.bench_context import BenchContext
from bench.load.closed_loop import REPLY_TIMEOUT, ClosedLoop, MeasurementFailed
from bench.report import ReportRow, at_most, met_or_missed
from bench.stack import TENANT_FOLDER
from bench.webhook_client import contact_address
from manifest.folder import load_folder
from manifest.loader import MAIN, LoadedAssistant, load

TENANT = "bench"
WAITING_CONTACTS, NEW_CONTACTS = 200, 50
MESSAGE, HANDOFF_REPLY, OPERATOR_REPLY = "atendente", "Vou chamar alguém.", "Já estou aqui."
HANDOFF_RULE = f"routing:\n  rules: [{{match: [{MESSAGE}], to: handoff}}]"
OPEN_INTERRUPTS = "select tenant_id, id from interrupts where resolved_at is null"
TURNS_ON_VERSION = """
    select count(*) as n from turns join assistant_versions v on v.id = turns.version_id
    where v.content_hash = %(hash)s and conversation_id in (select conversation_id from interrupts) and error is null
"""


async def publish(context: BenchContext) -> list[ReportRow]:
    """Publish a version without the handoff rule that stopped 200 conversations, and roll it back.

    The 200 conversations must stay on their version. New contacts must get the published version.
    """
    await context.restart(workers=2)
    without_rule = load_folder(TENANT_FOLDER)
    with_rule = _add_handoff_rule(without_rule)
    waiting, loop = range(WAITING_CONTACTS), context.new_closed_loop()
    async with _open_database(context) as database:
        await assistants.publish(database, TENANT, with_rule, utc_now)
        await _ask_all(loop, waiting, HANDOFF_REPLY)
        await assistants.publish(database, TENANT, without_rule, utc_now)
        publish_seconds = await _time_ask_all(loop, range(1_000, 1_000 + NEW_CONTACTS), f"eco: {MESSAGE}")
        await _return_all(context, database, loop, waiting)
        await _ask_all(loop, waiting, HANDOFF_REPLY)
        started = time.perf_counter()
        await assistants.rollback(database, TENANT, utc_now)
        rollback_seconds = time.perf_counter() - started
        rollback_seconds += await _time_ask_all(loop, range(2_000, 2_000 + NEW_CONTACTS), HANDOFF_REPLY)
        await assistants.publish(database, TENANT, without_rule, utc_now)
    await context.wait_until_idle()
    turns = await context.storage.fetch_value(TURNS_ON_VERSION, hash=with_rule.content_hash)
    until = f"until {NEW_CONTACTS} new contacts are answered by it"
    return [
        _turns_row(turns),
        at_most(f"publish, {until}", 1.0, publish_seconds, "s"),
        at_most(f"rollback, {until}", 1.0, rollback_seconds, "s"),
    ]


def _turns_row(turns: int) -> ReportRow:
    # Every waiting contact has three turns: a handoff, the operator's return, and a second handoff.
    expected = 3 * WAITING_CONTACTS + NEW_CONTACTS
    met = turns == expected
    return ReportRow(
        f"turns of {WAITING_CONTACTS} waiting conversations after a publish",
        "all on the version they opened with",
        f"{turns} of {expected}",
        met_or_missed(met),
        met,
        {"turns": float(turns), "expected": float(expected)},
    )


def _add_handoff_rule(loaded: LoadedAssistant) -> LoadedAssistant:
    yaml = loaded.files[MAIN].replace("routing:", HANDOFF_RULE)
    yaml = yaml.replace("\nlifecycle:", f'\nhandoff: {{message: "{HANDOFF_REPLY}"}}\n\nlifecycle:')
    return load(dict(loaded.files) | {MAIN: yaml})


@asynccontextmanager
async def _open_database(context: BenchContext) -> AsyncIterator[Database]:
    async with Database(context.stack.servers.databases.system, role=Role.SYSTEM, size=8) as database:
        yield database


async def _time_ask_all(loop: ClosedLoop, contacts: Iterable[int], expected: str) -> float:
    """Do the same as `_ask_all`, and return the seconds that it took."""
    started = time.perf_counter()
    await _ask_all(loop, contacts, expected)
    return time.perf_counter() - started


async def _ask_all(loop: ClosedLoop, contacts: Iterable[int], expected: str) -> None:
    """Let all contacts send MESSAGE at the same time. Raises MeasurementFailed when a reply is not the expected one."""
    _check_replies(await asyncio.gather(*(loop.ask(contact, MESSAGE) for contact in contacts)), expected)


async def _return_all(context: BenchContext, database: Database, loop: ClosedLoop, contacts: Iterable[int]) -> None:
    """Let an operator return every conversation to the assistant with a reply. Raises MeasurementFailed."""
    replies = [loop.next_reply(contact_address(contact)) for contact in contacts]
    nudger = Nudger(broker.make_broker(context.stack.servers.redis_url))
    nudger.start()
    try:
        inbox = Inbox(database, nudger, utc_now)
        for interrupt in await context.storage.fetch_rows(OPEN_INTERRUPTS):
            decision = {"action": "return", "reply": OPERATOR_REPLY}
            await inbox.decide(interrupt["tenant_id"], interrupt["id"], decision)
        async with asyncio.timeout(REPLY_TIMEOUT):
            posted = await asyncio.gather(*replies)
    finally:
        nudger.close()
    _check_replies([reply.body for reply in posted], OPERATOR_REPLY)


def _check_replies(bodies: Iterable[str], expected: str) -> None:
    if wrong := [body for body in bodies if body != expected]:
        raise MeasurementFailed(f"{len(wrong)} contacts should have got {expected!r}, and one got {wrong[0]!r}")
