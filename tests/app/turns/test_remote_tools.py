"""Remote tools: a write is sent once, and an unknown outcome is reported as unknown."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.clock import utc_now
from app.crypto import SecretBox, new_secret_key
from app.identity import secrets
from app.telemetry import Milestone
from tests.app.turns.drivers import (
    OtherWorker,
    drain,
    from_other_process,
    once,
    pending_interrupt,
    receive,
    recover,
    replies_to,
)
from tests.app.turns.faults import POINTS, cut_off
from tests.app.turns.remote_shop import SECRET, RemoteShop, open_shop, publish_shop, workers_that_may_call
from tests.app.turns.runners import CALL, Runners
from tests.platform import TENANT, Log, Platform
from tools.ports import JSON, OutcomeUnknown, ToolContext, ToolFailed, Unreachable

UNKNOWN = "it is not known whether pedir was done"


@pytest.fixture
async def shop(platform: Platform) -> AsyncIterator[RemoteShop]:
    """Publish a shop, with a worker that may call it."""
    async with open_shop() as opened, workers_that_may_call(platform):
        await publish_shop(platform, opened)
        yield opened


async def journal(platform: Platform) -> list[tuple[str, bool]]:
    """Return (name, has a result) of the journal's calls."""
    rows = await platform.rows("select name, result is not null as ended from tool_calls order by called_at")
    return [(row["name"], row["ended"]) for row in rows]


TABLES = """
    select relname as tablename from pg_class
    where relnamespace = 'public'::regnamespace and relkind = 'r' and has_table_privilege(oid, 'select')
"""


async def everything_stored(platform: Platform) -> str:
    """Return every row of the database as text."""
    tables = await platform.rows(TABLES)
    found = []
    for table in tables:
        name = table["tablename"]
        rows = await platform.rows(f"select t::text as all from {name} t")
        found += [row["all"] for row in rows]
    assert len(found) > 10, "nothing was looked at"
    blobs = await platform.rows("select encode(blob, 'escape') as b from checkpoint_blobs where blob is not null")
    return json.dumps([*found, *(row["b"] for row in blobs)], default=str)


async def test_a_write_is_sent_once_with_a_key_of_its_own(platform: Platform, shop: RemoteShop) -> None:
    (reply,) = await replies_to(platform, "peça")
    assert reply.startswith("pedir - ")
    conversation = await platform.row("select id from conversations")
    call = await platform.row("select tool_call_id, turn from tool_calls")
    assert shop.requests == [
        ("/pedir", f"{conversation['id']}:1:{call['tool_call_id']}", f"Bearer {SECRET}", {"quanto": 1})
    ]
    await replies_to(platform, "peça")
    assert len(set(shop.keys)) == 2
    assert await journal(platform) == [("pedir", True)] * 2


async def test_reading_leaves_no_record(platform: Platform, shop: RemoteShop) -> None:
    (reply,) = await replies_to(platform, "estoque")
    assert "numero" in reply
    assert await journal(platform) == []


async def test_reads_of_one_answer_run_at_the_same_time(platform: Platform, shop: RemoteShop) -> None:
    shop.together = 3
    (reply,) = await replies_to(platform, "compare")
    assert reply.startswith("preco - ")
    assert sorted(shop.paths) == ["/preco/a", "/preco/b", "/preco/c"]


async def test_a_write_waits_for_the_calls_before_it(platform: Platform, shop: RemoteShop) -> None:
    await replies_to(platform, "tudo")
    assert shop.paths == ["/preco/a", "/pedir", "/preco/b"]


async def test_reads_with_a_result_are_kept_across_a_kill(
    platform: Platform, shop: RemoteShop, other: OtherWorker
) -> None:
    shop.at_path["/preco/b"] = cut_off(platform, other)
    await platform.say("tudo")
    await platform.nudge()
    await recover(platform, 1)
    assert shop.paths == ["/preco/a", "/pedir", "/preco/b", "/preco/b"]


@pytest.mark.parametrize(
    "point", [Milestone.LEG_COMMITTED, Milestone.TOOL_COMMITTED, Milestone.TURN_RUN, Milestone.TURN_COMMITTED]
)
async def test_a_fenced_worker_leaves_one_call_with_its_result(
    platform: Platform, shop: RemoteShop, other: OtherWorker, point: Milestone
) -> None:
    platform.at_milestone = once(point, cut_off(platform, other, point))
    await platform.say("peça")
    await platform.nudge()
    (reply,) = await recover(platform, 1)
    assert "numero" in reply
    assert len(shop.requests) == 1


async def test_a_worker_killed_in_the_call_leaves_it_unknown(
    platform: Platform, shop: RemoteShop, other: OtherWorker
) -> None:
    shop.at_request = cut_off(platform, other)
    await platform.say("peça")
    await platform.nudge()
    (reply,) = await recover(platform, 1)
    assert UNKNOWN in reply
    assert len(shop.requests) == 1


async def test_what_may_be_repeated_is_repeated_under_the_same_key(
    platform: Platform, shop: RemoteShop, other: OtherWorker
) -> None:
    shop.at_request = cut_off(platform, other)
    await platform.say("repita")
    await platform.nudge()
    (reply,) = await recover(platform, 1)
    assert "numero" in reply
    assert (len(shop.requests), len(set(shop.keys))) == (2, 1)


@pytest.mark.parametrize("status", [400, 408, 409, 422, 425])
async def test_a_refused_second_attempt_is_an_unknown_outcome(
    platform: Platform, shop: RemoteShop, other: OtherWorker, status: int
) -> None:
    """The shop is at work on the first request, and refuses the second one with the same key."""

    def lose_the_worker() -> None:
        shop.fails = status
        cut_off(platform, other)()
        shop.fails = None

    shop.at_request = lose_the_worker
    await platform.say("repita")
    await platform.nudge()
    (reply,) = await recover(platform, 1)
    assert "it is not known whether repetir was done" in reply
    results = await platform.rows("select result ->> 'error' as error from tool_calls")
    assert [row["error"] for row in results] == [None]


async def test_a_result_in_the_journal_is_not_overwritten(platform: Platform, runners: Runners) -> None:
    async def second(_: ToolContext) -> JSON:
        return {"number": 2}

    async def first(_: ToolContext) -> JSON:
        """Answer after the next attempt was made: this worker was taken for dead."""
        assert await runners.runner().write_remote(CALL, second, idempotent=True) == {"number": 2}
        return {"number": 1}

    assert await runners.runner().write_remote(CALL, first, idempotent=True) == {"number": 2}
    assert await platform.rows("select result from tool_calls") == [{"result": {"number": 2}}]


async def test_an_unsent_second_attempt_leaves_the_outcome_unknown(platform: Platform, runners: Runners) -> None:
    """The first attempt may have arrived. If the model were told otherwise, it would order again."""
    effects: list[Exception] = [asyncio.CancelledError(), Unreachable("away", sent=False)]  # type: ignore[list-item]

    async def effect(_: ToolContext) -> JSON:
        raise effects.pop(0)

    with pytest.raises(asyncio.CancelledError):
        await runners.runner().write_remote(CALL, effect, idempotent=True)
    with pytest.raises(OutcomeUnknown):
        await runners.runner().write_remote(CALL, effect, idempotent=True)
    assert await journal(platform) == [("book_slot", False)]


async def test_what_was_certainly_not_sent_may_be_called_again(platform: Platform, runners: Runners) -> None:
    effects: list[Exception] = [Unreachable("away", sent=False)]

    async def effect(context: ToolContext) -> JSON:
        if effects:
            raise effects.pop()
        return {"key": context.key}

    with pytest.raises(ToolFailed) as raised:
        await runners.runner().write_remote(CALL, effect, idempotent=False)
    assert raised.value.model_message == "away"
    assert await journal(platform) == []
    first = await runners.runner().write_remote(CALL, effect, idempotent=False)
    assert await runners.runner().write_remote(CALL, effect, idempotent=False) == first
    assert first == {"key": f"{runners.claim.id}:2:call-1"}


async def test_a_shop_that_is_not_there_is_told_as_such(platform: Platform, shop: RemoteShop) -> None:
    shop.url = "http://127.0.0.1:1"
    await publish_shop(platform, shop)
    (reply,) = await replies_to(platform, "peça")
    assert "it is not known" not in reply
    assert await journal(platform) == []


async def test_no_answer_to_a_write_is_an_unknown_outcome(platform: Platform, shop: RemoteShop) -> None:
    shop.hangs.add("/pedir")
    (reply,) = await replies_to(platform, "peça")
    assert UNKNOWN in reply
    assert await journal(platform) == [("pedir", False)]
    assert len(shop.requests) == 1


async def test_a_remote_error_after_a_write_is_an_unknown_outcome(platform: Platform, shop: RemoteShop) -> None:
    shop.fails = 500
    (reply,) = await replies_to(platform, "peça")
    assert UNKNOWN in reply


async def test_a_refusal_is_an_answer(platform: Platform, shop: RemoteShop) -> None:
    shop.fails = 409
    (reply,) = await replies_to(platform, "peça")
    assert "409" in reply
    assert await journal(platform) == [("pedir", True)]


# Secrets.


async def test_a_secret_is_nowhere_but_in_the_request(platform: Platform, shop: RemoteShop, log: Log) -> None:
    shop.echo = f"recebi Bearer {SECRET}"
    (reply,) = await replies_to(platform, "peça")
    shop.fails = 500
    await replies_to(platform, "peça")
    assert "[secret]" in reply
    assert SECRET in str(shop.requests)
    assert SECRET not in await everything_stored(platform)
    assert SECRET not in log.text
    assert SECRET not in json.dumps(await platform.control(platform.servers.model, "requests?limit=1000"))


async def test_a_missing_secret_fails_the_call_and_is_logged(platform: Platform, shop: RemoteShop, log: Log) -> None:
    await secrets.forget(platform.system, TENANT, "FALTA")
    (reply,) = await replies_to(platform, "outra")
    assert reply == "outra - the tool is out of order"
    assert shop.requests == []
    (line,) = [line for line in log.lines if line["event"] == "secret not set"]
    assert line["names"] == ["FALTA"]


async def test_a_tool_is_given_no_secret_that_it_does_not_name(platform: Platform, shop: RemoteShop) -> None:
    await replies_to(platform, "repita")
    assert [authorization for _, _, authorization, _ in shop.requests] == [None]


async def test_a_secret_that_cannot_be_decrypted_fails_the_call(platform: Platform, shop: RemoteShop) -> None:
    await secrets.keep(platform.system, SecretBox(new_secret_key()), TENANT, "LOJA", "x", utc_now)
    assert await replies_to(platform, "peça") == ["pedir - the tool is out of order"]
    assert shop.requests == []


# Writes of flows.

STEPS = ("quero comprar", "3", "sim")


async def bought(platform: Platform) -> None:
    """Answer the flow's questions up to the last one, after which it calls the tool."""
    for text in STEPS[:-1]:
        await replies_to(platform, text)


@pytest.mark.parametrize(("point", "at"), POINTS, ids=str)
async def test_a_flows_write_is_made_once_if_its_worker_is_fenced(
    platform: Platform, shop: RemoteShop, other: OtherWorker, point: Milestone, at: int
) -> None:
    await bought(platform)

    platform.at_milestone = once(point, cut_off(platform, other, point), at=at)
    await platform.say("sim")
    await platform.nudge()
    assert (await recover(platform, 3))[2:] == ["Pedido 1."]
    assert [body for *_, body in shop.requests] == [{"quanto": 3}]


@pytest.mark.parametrize("point", [Milestone.LEG_COMMITTED, Milestone.TOOL_COMMITTED, Milestone.TURN_RUN])
async def test_a_message_after_a_flows_write_does_not_change_it(
    platform: Platform, shop: RemoteShop, point: Milestone
) -> None:
    """The turn starts again with the same rows."""
    await bought(platform)

    def fail() -> None:
        from_other_process(lambda: receive(platform, "não, espera"))
        raise RuntimeError

    platform.at_milestone = once(point, fail)
    await platform.say("sim")
    await platform.nudge()
    replies = (await recover(platform, 4))[2:]
    assert replies == ["Pedido 1.", "eco: não, espera"]
    assert len(shop.requests) == 1


async def test_a_flows_write_of_unknown_outcome_brings_a_human(platform: Platform, shop: RemoteShop) -> None:
    await bought(platform)
    shop.hangs.add("/pedir")
    assert await replies_to(platform, "sim") == ["Desculpe, tive um problema.", "Vou chamar uma pessoa."]
    waiting: dict[str, Any] = (await pending_interrupt(platform))["payload"]
    assert UNKNOWN in waiting["reason"]


async def test_a_flow_goes_on_in_the_version_that_it_began_in(platform: Platform, shop: RemoteShop) -> None:
    await bought(platform)
    await platform.republish("goodbye: Até logo!", "goodbye: Tchau!")
    assert await replies_to(platform, "sim") == ["Pedido 1."]
    await drain(platform)


async def test_a_rule_may_be_for_contacts_with_a_tag(platform: Platform, shop: RemoteShop) -> None:
    await replies_to(platform, "oi")
    async with platform.system.statement() as tx:
        await tx.run("update contacts set tags = '{vip}'", {})
    await replies_to(platform, "oi")
    rows = await platform.rows("select agent, route from turns order by turn")
    assert [(row["agent"], row["route"]["why"]) for row in rows] == [
        ("vendas", "the only way"),
        ("vip", "rule 3: words: oi; tag: vip"),
    ]
    assert shop.requests == []
