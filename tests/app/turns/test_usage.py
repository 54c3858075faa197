"""The usage ledger: one row for each call that a model answered, however the attempt ends that made it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from app import db
from app.retention.usage_copy import copy_usage
from app.telemetry import Milestone
from app.turns.limits import REFRESH_INTERVAL
from bench.chaos.outages import read_only_database
from devkit.simulators.lossy_proxy import lossy
from tests.app.turns.drivers import (
    OtherWorker,
    ask,
    attempts_until_parked,
    decide,
    drain,
    engine_is_idle,
    from_other_process,
    models_asked,
    once,
    receive,
    recover,
    replies_to,
)
from tests.app.turns.faults import CUT_THE_LOCK, POINTS, always, cut_off, run_sql
from tests.app.turns.remote_shop import RemoteShop, open_shop, publish_shop, workers_that_may_call
from tests.platform import Platform

LEDGER = "select turn, epoch, number from usage_ledger order by turn, epoch, number"


@pytest.fixture
async def shop(platform: Platform) -> AsyncIterator[RemoteShop]:
    """Publish a shop that folds, with one call of the model for an answer."""
    async with open_shop() as opened, workers_that_may_call(platform):
        await publish_shop(platform, opened, while_running="fold")
        yield opened


async def ledger(platform: Platform) -> list[tuple[int, int]]:
    """Return (turn, number of the attempt at it) of each row. Every call of the model server must have one row."""
    # An attempt that has lost its conversation ends later than the one that answers.
    await platform.until(lambda: engine_is_idle(platform), "every attempt to end")
    rows = await db.retry_while_unavailable(lambda: platform.rows(LEDGER), within=15)
    assert len(rows) == await models_asked(platform)
    epochs: dict[int, list[int]] = {}
    for row in rows:
        known = epochs.setdefault(row["turn"], [])
        if row["epoch"] not in known:
            known.append(row["epoch"])
    return [(row["turn"], epochs[row["turn"]].index(row["epoch"]) + 1) for row in rows]


async def test_each_call_of_a_turn_is_a_row(platform: Platform) -> None:
    await platform.republish(
        "timeout: 5s}",
        "timeout: 5s}\n  prices: {openai/test-model: {input: 2.50, output: 10, currency: EUR}}",
    )
    await ask(platform, "oi")
    rows = await platform.rows("select * from usage_ledger order by number")
    known = await platform.row("select id, tenant_id from conversations")
    turn = await platform.row("select epoch, finished_at from turns")
    assert [(row["turn"], row["number"], row["agent"]) for row in rows] == [(1, 1, None), (1, 2, "duvidas")]
    for row in rows:
        assert (row["conversation_id"], row["tenant_id"]) == (known["id"], known["tenant_id"])
        assert (row["epoch"], row["recorded_at"]) == (turn["epoch"], turn["finished_at"])
        assert (row["model"], row["currency"]) == ("openai/test-model", "EUR")
        assert row["cost"] * 1_000_000 == Decimal("2.5") * row["input_tokens"] + 10 * row["output_tokens"]


async def test_a_folded_attempt_is_charged_to_its_turn(platform: Platform, shop: RemoteShop) -> None:
    arrives = once(Milestone.TURN_RUN, lambda: from_other_process(lambda: receive(platform, "de amanhã")))
    platform.at_milestone = arrives
    assert await replies_to(platform, "quero o cardápio") == ["eco: quero o cardápio\nde amanhã"]
    assert await ledger(platform) == [(1, 1), (1, 2)]
    await ask(platform, "como vai?")
    assert await ledger(platform) == [(1, 1), (1, 2), (2, 1)]


async def test_a_fold_that_is_fenced_is_charged(platform: Platform, shop: RemoteShop, other: OtherWorker) -> None:
    def act() -> None:
        from_other_process(lambda: receive(platform, "mais"))
        run_sql(platform, CUT_THE_LOCK)
        other.take_over()

    platform.at_milestone = once(Milestone.TURN_RUN, act)
    await platform.say("oi")
    await platform.nudge()
    await recover(platform, 1)
    assert await ledger(platform) == [(1, 1), (1, 2)]
    await replies_to(platform, "como vai?")
    assert await ledger(platform) == [(1, 1), (1, 2), (2, 1)]


@pytest.mark.parametrize(("point", "time"), POINTS)
async def test_the_calls_of_a_fenced_attempt_are_rows(
    platform: Platform, other: OtherWorker, point: Milestone, time: int
) -> None:
    platform.at_milestone = once(point, cut_off(platform, other, point), at=time)
    await platform.say("quero marcar agora")
    await platform.nudge()
    await recover(platform, 1)
    assert {turn for turn, _ in await ledger(platform)} == {1}


@pytest.mark.parametrize("point", [Milestone.LEG_RUN, Milestone.TOOL_RUN, Milestone.TURN_RUN])
async def test_the_calls_of_failed_attempts_are_rows(platform: Platform, point: Milestone) -> None:
    platform.at_milestone = always(point)
    assert await attempts_until_parked(platform, "quero marcar agora") > 0
    assert {turn for turn, _ in await ledger(platform)} == {1}


async def test_an_answer_that_cannot_be_used_is_a_row(platform: Platform) -> None:
    await platform.say("vazio")
    await drain(platform)
    calls = await ledger(platform)
    (turn,) = await platform.rows("select usage from turns")
    assert len(calls) > len(turn["usage"])


async def test_calls_before_an_approval_are_rows_once(platform: Platform, shop: RemoteShop) -> None:
    await ask(platform, "aprove")
    await decide(platform, "approve")
    await platform.nudge()
    await platform.replies(2)
    assert await ledger(platform) == [(1, 1), (2, 1)]


async def test_what_an_outage_leaves_is_written_after_it(platform: Platform, shop: RemoteShop) -> None:
    with ExitStack() as outage:
        begins = read_only_database(platform.urls.owner)
        platform.at_milestone = once(Milestone.TURN_RUN, lambda: outage.enter_context(begins))
        await platform.say("oi")
        await platform.nudge()
        await platform.until(lambda: engine_is_idle(platform), "the attempt to end")

    async def is_answered() -> bool:
        platform.clock.advance(1)
        return await platform.delivered() == ["eco: oi"]

    await platform.until(is_answered, "the answer")
    assert await ledger(platform) == [(1, 1), (1, 2)]


async def test_a_lost_commit_charges_once(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    async with (
        lossy(platform.settings.database_url) as proxy,
        platform.worker(database_url=proxy.url) as platform.engine,
    ):
        await platform.say("oi")
        address = str((await platform.row("select id from conversations"))["id"])
        platform.at_milestone = once(Milestone.TURN_RUN, lambda: proxy.lose_answer_to(address))
        await platform.nudge()
        await recover(platform, 1)
    assert proxy.lost == 1
    assert await ledger(platform) == [(1, 1), (1, 1)]


async def test_an_attempt_that_is_interrupted_is_charged(platform: Platform, shop: RemoteShop) -> None:
    def interrupt(milestone: Milestone) -> None:
        if milestone is Milestone.TURN_RUN:
            raise asyncio.CancelledError

    platform.at_milestone = interrupt
    await platform.say("oi")
    await platform.nudge()

    async def released() -> bool:
        return bool(await platform.rows("select 1 from conversations where last_error = 'interrupted'"))

    await platform.until(released, "the attempt to end")
    assert set(await ledger(platform)) == {(1, 1)}


# Beside the version before, and after it.


LISTED = '[{"model": "openai/m", "input_tokens": 600, "output_tokens": 400, "agent": "a", "cost": "0.25 USD"}]'


async def insert_as_before(platform: Platform, turn: int) -> None:
    """Insert a turn as the version before does it."""
    await platform.rows(
        """insert into turns (conversation_id, turn, tenant_id, usage, attempts, claimed_at, finished_at)
           select id, %(turn)s, tenant_id, %(usage)s::text::jsonb, 1, %(now)s, %(now)s from conversations""",
        turn=turn,
        usage=LISTED,
        now=platform.clock(),
    )


async def copied(platform: Platform, turn: int) -> dict[str, Any]:
    """Return the row of a turn that the version before has written."""
    return await platform.row(
        """select number, agent, model, input_tokens, output_tokens, cost::text, currency from usage_ledger
           where turn = %(turn)s and epoch = 0""",
        turn=turn,
    )


ROW = {
    "number": 1,
    "agent": "a",
    "model": "openai/m",
    "input_tokens": 600,
    "output_tokens": 400,
    "cost": "0.25",
    "currency": "USD",
}


async def test_a_turn_of_the_version_before_is_in_the_ledger(platform: Platform) -> None:
    await ask(platform, "oi")
    await insert_as_before(platform, 2)
    assert await copied(platform, 2) == ROW


async def test_a_fold_of_the_version_before_is_charged(platform: Platform, shop: RemoteShop) -> None:
    await platform.say("oi")
    await platform.rows("update conversations set folds = 1, folded_usage = %(usage)s::text::jsonb", usage=LISTED)
    await drain(platform)
    assert await copied(platform, 1) == ROW
    assert await platform.row("select folded_usage from conversations") == {"folded_usage": None}
    assert len(await platform.rows(LEDGER)) == 1 + await models_asked(platform)


async def test_turns_from_before_are_counted_then_copied(platform: Platform) -> None:
    await platform.republish("lifecycle:\n", "limits: {model_tokens_per_month: 1200}\nlifecycle:\n")
    assert await replies_to(platform, "oi") == ["eco: oi"]
    with psycopg.connect(platform.urls.owner, autocommit=True) as connection:
        connection.execute("alter table turns disable trigger turns_copy_usage")
        await insert_as_before(platform, 7)
        connection.execute("alter table turns enable trigger turns_copy_usage")
    platform.clock.advance(2 * REFRESH_INTERVAL)
    assert await replies_to(platform, "e agora?") == ["Vou chamar uma pessoa."]
    async with platform.system.statement() as tx:
        assert (await copy_usage(tx, 10), await copy_usage(tx, 10)) == (1, 0)
    assert await copied(platform, 7) == ROW
    await decide(platform, "return", "pois não")
    await drain(platform)
    platform.clock.advance(2 * REFRESH_INTERVAL)
    assert await replies_to(platform, "e agora?") == ["Vou chamar uma pessoa."]


async def test_tenants_cannot_change_the_ledger(platform: Platform) -> None:
    await ask(platform, "oi")
    with psycopg.connect(platform.settings.database_url, autocommit=True) as connection:
        connection.execute("set role recado_app")
        for change in ("update usage_ledger set model = ''", "delete from usage_ledger"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change.encode())
