"""The journal: a tool call with side effects happens once or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import psycopg
import pytest

from app.db import DatabaseUnavailable
from app.telemetry import Milestone
from tests.app.turns.runners import CALL, Runners
from tests.platform import Platform
from tests.tools.name_servers import NameServers, asked
from tools.net.resolver import HostResolver
from tools.ports import JSON, ToolContext, ToolFailed


@dataclass
class Effect:
    """A booking that counts its runs."""

    slot: str
    made: int = 0
    fails: BaseException | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    may_go: asyncio.Event | None = None

    async def __call__(self, context: ToolContext) -> JSON:
        """Book the slot."""
        self.made += 1
        slot = await context.appointments.book(self.slot, "Ana")
        self.entered.set()
        if self.may_go is not None:
            await self.may_go.wait()
        if self.fails is not None:
            raise self.fails
        return {"booked": True, "number": self.made, "para": "José", "at": slot.id}


async def journal(platform: Platform) -> list[dict[str, Any]]:
    """Return the journal's rows."""
    return await platform.rows("select turn, tool_call_id, name, arguments, result from tool_calls order by 1, 2")


async def appointments(platform: Platform) -> int:
    """Return the number of appointments."""
    return len(await platform.rows("select 1 from appointments"))


async def test_the_same_call_twice_is_one_effect_and_one_result(platform: Platform, runners: Runners) -> None:
    effect = Effect(runners.slots[0])
    first = await runners.runner().write_once(CALL, effect)
    second = await runners.runner().write_once(CALL, effect)
    assert effect.made == 1
    assert first == second == {"booked": True, "number": 1, "para": "José", "at": runners.slots[0]}
    assert await journal(platform) == [
        {"turn": 2, "tool_call_id": "call-1", "name": "book_slot", "arguments": CALL.arguments, "result": first}
    ]
    assert await appointments(platform) == 1


async def test_two_workers_at_once_make_one_effect(platform: Platform, runners: Runners) -> None:
    first, second = Effect(runners.slots[0], may_go=asyncio.Event()), Effect(runners.slots[1])
    beginning = asyncio.create_task(runners.runner().write_once(CALL, first))
    await first.entered.wait()
    waiting = asyncio.create_task(runners.runner().write_once(CALL, second))
    await platform.until(lambda: blocked(platform), "the second to wait for the first")
    assert not waiting.done()
    assert first.may_go is not None
    first.may_go.set()
    assert await beginning == await waiting
    assert (first.made, second.made) == (1, 0)
    assert await appointments(platform) == 1


async def blocked(platform: Platform) -> bool:
    return bool(await platform.rows("select 1 from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0"))


async def test_a_worker_killed_in_the_effect_leaves_it_to_the_next(platform: Platform, runners: Runners) -> None:
    first, second = Effect(runners.slots[0], may_go=asyncio.Event()), Effect(runners.slots[1])
    beginning = asyncio.create_task(runners.runner().write_once(CALL, first))
    await first.entered.wait()
    waiting = asyncio.create_task(runners.runner().write_once(CALL, second))
    await platform.until(lambda: blocked(platform), "the second to wait for the first")
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    assert (await waiting)["at"] == runners.slots[1]
    booked = await platform.row("select count(*) as n, min(patient) as patient from appointments")
    assert booked == {"n": 1, "patient": "Ana"}


async def test_a_tool_that_breaks_leaves_nothing_and_may_run_again(platform: Platform, runners: Runners) -> None:
    effect = Effect(runners.slots[0], fails=ValueError("a secret"))
    with pytest.raises(ToolFailed) as raised:
        await runners.runner().write_once(CALL, effect)
    assert "secret" not in str(raised.value), "what a tool says when it breaks may quote a contact"
    assert (await journal(platform), await appointments(platform)) == ([], 0)
    effect.fails = None
    assert (await runners.runner().write_once(CALL, effect))["booked"]
    assert await appointments(platform) == 1


async def test_postgres_going_away_is_no_broken_tool(platform: Platform, runners: Runners) -> None:
    """The turn is retried. The model must not see a failed tool."""
    effect = Effect(runners.slots[0], fails=DatabaseUnavailable(psycopg.errors.AdminShutdown()))
    with pytest.raises(DatabaseUnavailable):
        await runners.runner().write_once(CALL, effect)
    assert (await journal(platform), await appointments(platform)) == ([], 0)


@pytest.mark.parametrize("other", [{"turn": 2}, {}])
async def test_another_turn_or_another_call_is_another_effect(
    platform: Platform, runners: Runners, other: dict[str, Any]
) -> None:
    await runners.runner().write_once(CALL, Effect(runners.slots[0]))
    call = CALL if other else replace(CALL, id="call-2")
    assert (await runners.runner(**other).write_once(call, Effect(runners.slots[1])))["at"] == runners.slots[1]
    assert len(await journal(platform)) == 2
    assert await appointments(platform) == 2


async def test_the_milestones_say_when_an_effect_is_there_to_stay(platform: Platform, runners: Runners) -> None:
    await runners.runner().write_once(CALL, Effect(runners.slots[0]))
    assert runners.reached == [Milestone.TOOL_RUN, Milestone.TOOL_COMMITTED]


async def test_what_breaks_while_it_reads_is_a_broken_tool_as_well(runners: Runners) -> None:
    async def break_(_: ToolContext) -> JSON:
        raise KeyError("a secret")

    with pytest.raises(ToolFailed) as raised:
        await runners.runner().read(CALL, break_)
    assert "secret" not in str(raised.value)


async def test_reading_leaves_no_record(platform: Platform, runners: Runners) -> None:
    async def look(context: ToolContext) -> JSON:
        return {"zone": str(context.timezone), "now": context.now.isoformat()}

    assert await runners.runner().read(CALL, look) == {
        "zone": "America/Sao_Paulo",
        "now": runners.claim.claimed_at.isoformat(),
    }
    assert await journal(platform) == []


async def test_a_tools_look_ups_count_for_its_tenant(runners: Runners) -> None:
    names = NameServers()
    resolver = HostResolver(per_tenant=1, lookup=names.look_up)

    def calling(host: str) -> Callable[[ToolContext], Awaitable[JSON]]:
        async def call(_: ToolContext) -> JSON:
            return {"found": len(await resolver.resolve(host))}

        return call

    waiting = asyncio.create_task(runners.runner().read_remote(CALL, calling("shop.dead")))
    await asked(names, 1)
    async with asyncio.timeout(10):
        other = await runners.runner(tenant_id=UUID(int=7)).read_remote(CALL, calling("shop.example"))
    names.recovered.set()
    assert other == await waiting == {"found": 1}
