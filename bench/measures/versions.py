"""A publish that removes the way on which conversations came to an operator, and a rollback to it."""

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
from bench.load.closed_loop import REPLY_WITHIN, Stalled, Talk
from bench.load.context import Lab
from bench.report import Row, at_most
from bench.system import TENANT
from bench.traffic import contact_address
from manifest.folder import load_folder
from manifest.loader import MAIN, LoadedAssistant, load

PARKED, NEWCOMERS = 200, 50
WORD, CALLED, BACK = "atendente", "Vou chamar alguém.", "Já estou aqui."
RULE = f"routing:\n  rules: [{{match: [{WORD}], to: handoff}}]"
WAITING = "select tenant_id, id from interrupts where resolved_at is null"
BY_VERSION = """
    select count(*) as n from turns join assistant_versions v on v.id = turns.version_id
    where v.content_hash = %(hash)s and conversation_id in (select conversation_id from interrupts) and error is null
"""


async def versions(lab: Lab) -> list[Row]:
    """Conversations parked on a handoff, while what brought them there is published away and comes back."""
    await lab.ready(workers=2)
    plain = load_folder(TENANT)
    with_rule = load(
        dict(plain.files)
        | {
            MAIN: plain.files[MAIN]
            .replace("routing:", RULE)
            .replace("\nlifecycle:", f'\nhandoff: {{message: "{CALLED}"}}\n\nlifecycle:')
        }
    )
    parked, talk = range(PARKED), lab.talk()
    async with _system(lab) as system:
        await _publish(system, with_rule)
        await _all_hear(talk, parked, CALLED)
        await _publish(system, plain)
        published = await _until_new_ones_hear(talk, range(1_000, 1_000 + NEWCOMERS), f"eco: {WORD}")
        await _return_all(lab, system, talk, parked)
        await _all_hear(talk, parked, CALLED)
        began = time.perf_counter()
        await assistants.rollback(system, "bench", utc_now)
        rolled_back = time.perf_counter() - began
        rolled_back += await _until_new_ones_hear(talk, range(2_000, 2_000 + NEWCOMERS), CALLED)
        await _publish(system, plain)
    await lab.calm()
    turns = await lab.store.value(BY_VERSION, hash=with_rule.content_hash)
    expected = 3 * PARKED + NEWCOMERS
    whole = turns == expected
    return [
        Row(
            f"{PARKED} conversations parked on a handoff that a publish removes",
            "all go on, on their version",
            f"{turns} of {expected} turns",
            "met" if whole else "MISSED",
            whole,
            {"turns": float(turns), "expected": float(expected)},
        ),
        at_most(f"a publish, until {NEWCOMERS} new contacts were answered by it", 1.0, published, "s"),
        at_most(f"a rollback, until {NEWCOMERS} new contacts were answered by it", 1.0, rolled_back, "s"),
    ]


@asynccontextmanager
async def _system(lab: Lab) -> AsyncIterator[Database]:
    async with Database(lab.system.servers.databases.system, role=Role.SYSTEM, size=8) as database:
        yield database


async def _publish(system: Database, loaded: LoadedAssistant) -> None:
    await assistants.publish(system, "bench", loaded, utc_now)


async def _until_new_ones_hear(talk: Talk, contacts: Iterable[int], text: str) -> float:
    began = time.perf_counter()
    await _all_hear(talk, contacts, text)
    return time.perf_counter() - began


async def _all_hear(talk: Talk, contacts: Iterable[int], text: str) -> None:
    """Every contact writes the word at the same time, and gets that answer. Raises Stalled."""
    said = await asyncio.gather(*(talk.say(contact, WORD) for contact in contacts))
    if wrong := [body for body in said if body != text]:
        raise Stalled(f"{len(wrong)} contacts expected {text!r}, and one got {wrong[0]!r}")


async def _return_all(lab: Lab, system: Database, talk: Talk, contacts: Iterable[int]) -> None:
    """An operator gives every conversation back with a word of their own. Raises Stalled."""
    replies = [talk.expect(contact_address(contact)) for contact in contacts]
    nudger = Nudger(broker.make_broker(lab.system.servers.redis_url))
    nudger.start()
    try:
        inbox = Inbox(system, nudger, utc_now)
        for waiting in await lab.store.rows(WAITING):
            await inbox.decide(waiting["tenant_id"], waiting["id"], {"action": "return", "reply": BACK})
        async with asyncio.timeout(REPLY_WITHIN):
            heard = await asyncio.gather(*replies)
    finally:
        nudger.close()
    if wrong := [sent.body for sent in heard if sent.body != BACK]:
        raise Stalled(f"{len(wrong)} contacts expected {BACK!r}, and one got {wrong[0]!r}")
