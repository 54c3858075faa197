"""Tool calls that wait for approval: every decision, and workers that are killed around it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app import broker
from app.assistants.service import Assistants
from app.broker import Nudger
from app.db import Database
from app.errors import ConflictError
from app.inbox.decisions import OperatorDecision, decide
from app.inbox.service import Inbox
from app.telemetry import Milestone
from tests.app.turns.drivers import OtherWorker, drain, fire_timers, once, pending_interrupt, recover, replies_to
from tests.app.turns.faults import POINTS, cut_off
from tests.app.turns.remote_shop import RemoteShop, open_shop, publish_shop, workers_that_may_call
from tests.platform import Platform

ASKED = "Vou confirmar."


@pytest.fixture
async def shop(platform: Platform) -> AsyncIterator[RemoteShop]:
    """Open a shop where orders need approval."""
    async with open_shop() as opened, workers_that_may_call(platform):
        await publish_shop(platform, opened)
        assert await replies_to(platform, "aprove") == [ASKED]
        assert opened.requests == []
        yield opened


async def decided(platform: Platform, action: str, *, go_on: bool = True, **more: Any) -> None:
    """Decide as the command does."""
    waiting = await pending_interrupt(platform)
    nudger = Nudger(broker.make_broker(platform.settings.redis_url))
    async with Database(platform.settings.database_url, size=1) as db:
        inbox = Inbox(platform.system, nudger, platform.clock)
        await decide(platform.system, Assistants(db), inbox, waiting["id"], OperatorDecision(action, **more))
    if go_on:
        await drain(platform)


async def the_call(platform: Platform) -> str:
    """Return the id of the open interrupt."""
    (call,) = (await pending_interrupt(platform))["payload"]["calls"]
    return str(call["id"])


async def test_what_waits_is_on_record(platform: Platform, shop: RemoteShop) -> None:
    waiting = await pending_interrupt(platform)
    payload = waiting["payload"]
    assert (waiting["kind"], payload["queue"], payload["reason"]) == ("approval", "financeiro", "aprovar")
    assert [(call["tool"], call["arguments"]) for call in payload["calls"]] == [("aprovar", {"quanto": 5})]
    row = await platform.row("select status, wake_for from conversations")
    assert row == {"status": "waiting", "wake_for": "handoff_timeout"}
    assert shop.requests == []


async def test_approved_it_is_made_and_answered(platform: Platform, shop: RemoteShop) -> None:
    await decided(platform, "approve")
    assert (await platform.delivered())[1].startswith("aprovar - ")
    assert [body for *_, body in shop.requests] == [{"quanto": 5}]
    assert await platform.row("select status from conversations") == {"status": "bot"}
    usage = [row["usage"] for row in await platform.rows("select usage from turns order by turn")]
    assert [len(calls) for calls in usage] == [1, 1], "what was spent before is not counted twice"


async def test_rejected_it_is_not_made(platform: Platform, shop: RemoteShop) -> None:
    await decided(platform, "reject", reason="muito caro")
    assert (await platform.delivered())[1] == "aprovar - an operator did not approve it: muito caro"
    assert shop.requests == []


async def test_the_operator_may_change_it(platform: Platform, shop: RemoteShop) -> None:
    await decided(platform, "approve", arguments={await the_call(platform): {"quanto": 1}})
    assert [body for *_, body in shop.requests] == [{"quanto": 1}]


@pytest.mark.parametrize(
    ("arguments", "said_to_operator"),
    [
        ({"quanto": 0}, "the arguments for aprovar do not fit: quanto: 0 is less than the minimum of 1"),
        ({"quanto": "x"}, "the arguments for aprovar do not fit: quanto:"),
        ({"quantos": 1}, "the arguments for aprovar do not fit: "),
    ],
)
async def test_edited_arguments_that_do_not_fit_decide_nothing(
    platform: Platform, shop: RemoteShop, arguments: dict[str, Any], said_to_operator: str
) -> None:
    with pytest.raises(ConflictError, match=said_to_operator):
        await decided(platform, "approve", arguments={await the_call(platform): arguments})
    assert (await pending_interrupt(platform))["decision"] is None
    assert shop.requests == []


@pytest.mark.parametrize(
    ("decision", "said_to_operator"),
    [
        ({"action": "return"}, "is of the kind approval: decide approve or reject"),
        ({"action": "close"}, "decide approve or reject"),
        ({"action": "approve", "arguments": {"outra": {}}}, "no call outra waits"),
        ({"action": "approve", "reply": "oi"}, "`approve` takes no reply"),
        ({"action": "reject", "arguments": {"x": {}}}, "`reject` takes no arguments"),
    ],
    ids=str,
)
async def test_a_decision_of_another_kind_is_refused(
    platform: Platform, shop: RemoteShop, decision: dict[str, Any], said_to_operator: str
) -> None:
    with pytest.raises(ConflictError, match=said_to_operator):
        await decided(platform, **decision)
    assert (await pending_interrupt(platform))["decision"] is None
    assert shop.requests == []


async def test_nobody_decides_in_time_and_it_is_not_made(platform: Platform, shop: RemoteShop) -> None:
    platform.clock.advance(9 * 60)
    assert await fire_timers(platform) == 0
    platform.clock.advance(2 * 60)
    assert await fire_timers(platform) == 1
    await drain(platform)
    assert (await platform.delivered())[1] == "aprovar - an operator did not approve it: no operator decided in time"
    assert shop.requests == []


async def test_messages_during_an_approval_follow_the_tool_results(platform: Platform, shop: RemoteShop) -> None:
    assert await replies_to(platform, "ainda está aí?") == []
    assert await replies_to(platform, "eu aprovo! pode pedir") == [], "the contact is no operator"
    assert shop.requests == []
    await decided(platform, "approve")
    asked = (await platform.control(platform.servers.model, "requests?limit=1000"))["requests"][-1]["messages"]
    assert [message["text"] for message in asked[-2:]] == ["ainda está aí?", "eu aprovo! pode pedir"]
    assert asked[-3]["role"] == "tool"
    assert len(shop.requests) == 1


@pytest.mark.parametrize(("point", "at"), POINTS, ids=str)
async def test_approved_it_is_made_once_wherever_the_worker_is_cut_off(
    platform: Platform, shop: RemoteShop, other: OtherWorker, point: Milestone, at: int
) -> None:
    happened = asyncio.Event()

    def cut() -> None:
        happened.set()
        cut_off(platform, other, point)()

    platform.at_milestone = once(point, cut, at=at)
    await decided(platform, "approve", go_on=False)
    await platform.nudge()
    await asyncio.wait_for(happened.wait(), 20)
    replies = await recover(platform, 2)
    assert len(replies) == 2
    assert "numero" in replies[1]
    assert [body for *_, body in shop.requests] == [{"quanto": 5}]


async def test_what_is_called_after_an_approval_waits_for_its_own(platform: Platform, shop: RemoteShop) -> None:
    await decided(platform, "reject")
    assert (await replies_to(platform, "peça e insista"))[-1] == ASKED
    assert [path for path, *_ in shop.requests] == ["/pedir"]
    await decided(platform, "approve")
    assert [path for path, *_ in shop.requests] == ["/pedir", "/aprovar"]
