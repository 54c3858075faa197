"""Messages that arrive during a turn: folded in, or left to the next turn, as the tenant sets it."""

from collections.abc import AsyncIterator

import pytest

from app.telemetry import Milestone
from app.turns.claim import BATCH
from app.turns.settle import MAX_FOLDS
from tests.app.turns.drivers import OtherWorker, drain, from_other_process, once, receive, recover, replies_to
from tests.app.turns.faults import CUT_THE_LOCK, run_sql
from tests.app.turns.remote_shop import RemoteShop, open_shop, publish_shop, workers_that_may_call
from tests.platform import Platform


@pytest.fixture
async def shop(platform: Platform) -> AsyncIterator[RemoteShop]:
    """Publish a shop that folds."""
    async with open_shop() as opened, workers_that_may_call(platform):
        await publish_shop(platform, opened, while_running="fold")
        yield opened


def writes(platform: Platform, text: str, *, at: Milestone = Milestone.TURN_RUN, time: int = 1) -> None:
    """Send a message when a milestone is passed."""
    platform.at_milestone = once(at, lambda: from_other_process(lambda: receive(platform, text)), at=time)


async def turns(platform: Platform) -> list[tuple[int, str]]:
    """Return (turn, body) of all inbox rows, which must be answered."""
    rows = await platform.rows("select turn, body, disposition from inbox order by id")
    assert {row["disposition"] for row in rows} == {"answered"}
    return [(row["turn"], row["body"]) for row in rows]


@pytest.mark.parametrize("point", [Milestone.TURN_CLAIMED, Milestone.TURN_RUN])
async def test_a_message_during_the_model_call_is_folded_in(
    platform: Platform, shop: RemoteShop, point: Milestone
) -> None:
    writes(platform, "de amanhã", at=point)
    assert await replies_to(platform, "quero o cardápio") == ["eco: quero o cardápio\nde amanhã"]
    assert await turns(platform) == [(1, "quero o cardápio"), (1, "de amanhã")]
    conversation = await platform.row("select turn, pending, attempts, last_error from conversations")
    assert conversation == {"turn": 1, "pending": 0, "attempts": 0, "last_error": None}
    assert shop.requests == []


async def test_a_contact_who_never_stops_writing_is_answered(platform: Platform, shop: RemoteShop) -> None:
    numbers = iter(range(1, 100))

    def reached(milestone: Milestone) -> None:
        if milestone is Milestone.TURN_RUN and (number := next(numbers)) <= MAX_FOLDS + 1:
            from_other_process(lambda: receive(platform, f"e mais {number}"))

    platform.at_milestone = reached
    first, second = await replies_to(platform, "oi")
    assert first == "eco: " + "\n".join(["oi", *(f"e mais {number}" for number in range(1, MAX_FOLDS + 1))])
    assert second == f"eco: e mais {MAX_FOLDS + 1}"
    assert [turn for turn, _ in await turns(platform)] == [1] * (MAX_FOLDS + 1) + [2]
    assert shop.requests == []


async def test_each_turn_may_fold_again(platform: Platform, shop: RemoteShop) -> None:
    for text in ("um", "dois"):
        writes(platform, f"{text} e meio")
        assert await replies_to(platform, text) == [f"eco: {text}\n{text} e meio"]
    assert shop.requests == []


@pytest.mark.parametrize("point", [Milestone.LEG_COMMITTED, Milestone.TOOL_COMMITTED, Milestone.TURN_RUN])
async def test_a_turn_that_has_called_tools_is_not_folded(
    platform: Platform, shop: RemoteShop, point: Milestone
) -> None:
    writes(platform, "e obrigada", at=point)
    first, second = await replies_to(platform, "peça")
    assert first.startswith("pedir - ")
    assert second == "eco: e obrigada"
    assert len(shop.requests) == 1
    assert await turns(platform) == [(1, "peça"), (2, "e obrigada")]


@pytest.mark.parametrize("point", [Milestone.LEG_COMMITTED, Milestone.TOOL_COMMITTED, Milestone.TURN_RUN])
async def test_a_flow_that_has_called_a_tool_is_not_folded(
    platform: Platform, shop: RemoteShop, point: Milestone
) -> None:
    """The call used the answer. With a second message added the answer might not be valid."""
    for text in ("comprar", "3"):
        await replies_to(platform, text)
    writes(platform, "não, espera", at=point)
    assert await replies_to(platform, "sim") == ["Pedido 1.", "eco: não, espera"]
    assert len(shop.requests) == 1


async def test_a_flow_that_only_asks_folds_messages_into_one_answer(platform: Platform, shop: RemoteShop) -> None:
    await replies_to(platform, "comprar")
    writes(platform, "ou 4")
    (asked_again,) = await replies_to(platform, "3")
    assert asked_again.endswith("\nQuantas?")
    assert shop.requests == []


@pytest.mark.parametrize("point", [Milestone.TURN_RUN, Milestone.TURN_CLAIMED])
async def test_a_worker_that_is_fenced_while_it_folds_loses_nothing(
    platform: Platform, shop: RemoteShop, other: OtherWorker, point: Milestone
) -> None:
    def cut() -> None:
        from_other_process(lambda: receive(platform, "dois"))
        run_sql(platform, CUT_THE_LOCK)
        other.take_over()

    platform.at_milestone = once(point, cut)
    await platform.say("um")
    await platform.nudge()
    assert await recover(platform, 1) == ["eco: um\ndois"]
    assert await turns(platform) == [(1, "um"), (1, "dois")]
    assert shop.requests == []


async def test_a_handoff_folds_as_well(platform: Platform, shop: RemoteShop) -> None:
    writes(platform, "por favor")
    assert await replies_to(platform, "quero um atendente") == ["Vou chamar uma pessoa."]
    assert [turn for turn, _ in await turns(platform)] == [1, 1]
    assert shop.requests == []


async def test_without_folding_there_are_two_turns(platform: Platform, shop: RemoteShop) -> None:
    await publish_shop(platform, shop, while_running="queue")
    writes(platform, "dois")
    assert await replies_to(platform, "um") == ["eco: um", "eco: dois"]
    await drain(platform)
    assert [turn for turn, _ in await turns(platform)] == [1, 2]


async def test_more_rows_than_a_batch_do_not_fold(platform: Platform, shop: RemoteShop) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    for number in range(BATCH + 10):
        await platform.say(f"m{number}")
    platform.reached.clear()
    async with platform.worker() as platform.engine:
        await platform.nudge()
        await platform.replies(2)
    assert platform.reached.count(Milestone.TURN_RUN) == 2
    assert [turn for turn, _ in await turns(platform)] == [1] * BATCH + [2] * 10
    assert shop.requests == []
