"""Turns that fail are retried, then parked, and the conversation continues."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import psycopg
import pytest

from app.telemetry import Milestone
from app.turns.turn import FORGIVE_WITHIN, RETRY_AFTER
from tests.app.turns.drivers import (
    ask,
    attempts_until_parked,
    decide,
    drain,
    engine_is_idle,
    once,
    pending_interrupt,
    replies_to,
)
from tests.app.turns.faults import Broken, always
from tests.platform import Platform

APOLOGY, HANDOFF = "Desculpe, tive um problema.", "Vou chamar uma pessoa."


async def test_a_turn_that_always_fails_is_handed_over(platform: Platform) -> None:
    """Not even the graph's handoff can run, so no graph waits for the operator."""
    platform.at_milestone = always(Milestone.TURN_RUN)
    assert await attempts_until_parked(platform, "oi") == platform.settings.turn_attempts
    assert await platform.delivered() == [APOLOGY, HANDOFF]
    turn = await platform.row("select turn, attempts, error, route from turns")
    assert (turn["turn"], turn["attempts"], turn["route"]) == (1, platform.settings.turn_attempts + 1, None)
    assert f"after {platform.settings.turn_attempts} attempts" in turn["error"]
    assert await platform.row("select disposition, turn from inbox") == {"disposition": "parked", "turn": 1}
    assert await platform.row("select status, attempts, owner, wake_for from conversations") == {
        "status": "waiting",
        "attempts": 0,
        "owner": None,
        "wake_for": "handoff_timeout",
    }
    waiting = await pending_interrupt(platform)
    assert (waiting["kind"], waiting["payload"]["queue"]) == ("handoff", "recepcao")
    assert waiting["payload"]["reason"].endswith("attempts: Broken")


async def test_a_conversation_continues_after_a_parked_turn(platform: Platform) -> None:
    await ask(platform, "bom dia")
    platform.at_milestone = always(Milestone.TURN_RUN)
    await attempts_until_parked(platform, "veneno")
    platform.at_milestone = None
    assert await replies_to(platform, "alguém aí?") == []
    await decide(platform, "return", "resolvido")
    assert await replies_to(platform, "e agora?") == ["resolvido", "eco: e agora?"]
    turns = await platform.rows("select turn, error is null as well from turns order by turn")
    assert turns == [{"turn": number, "well": number != 2} for number in (1, 2, 3, 4)]


async def test_an_operator_may_close_a_parked_conversation(platform: Platform) -> None:
    platform.at_milestone = always(Milestone.TURN_RUN)
    await attempts_until_parked(platform, "veneno")
    platform.at_milestone = None
    await decide(platform, "close", "até mais")
    await drain(platform)
    assert (await platform.delivered())[2:] == ["até mais", "Até logo!"]
    assert await platform.row("select status from conversations") == {"status": "closed"}


async def test_an_unreadable_checkpoint_is_set_aside(platform: Platform) -> None:
    await ask(platform, "bom dia")
    await platform.rows("update checkpoint_blobs set blob = '\\xc1', type = 'msgpack' where channel = 'messages'")
    assert await replies_to(platform, "e agora?") == ["eco: e agora?"]
    error = (await platform.rows("select error from turns order by turn"))[-1]["error"]
    assert error.startswith("the saved state could not be read")
    assert await replies_to(platform, "quantas mensagens?") == ["eco: quantas mensagens?"]
    address = str((await platform.row("select id from conversations"))["id"])
    threads = {row["thread_id"] for row in await platform.rows("select distinct thread_id from checkpoint_blobs")}
    assert threads == {address, next(name for name in threads if name.startswith(f"{address}:aside:"))}
    seen = await platform.control(platform.servers.model, "requests?limit=1")
    assert "bom dia" in str(seen), "the model still reads the transcript"


async def test_a_checkpoint_of_a_removed_node_is_handed_over(platform: Platform) -> None:
    platform.at_milestone = once(Milestone.LEG_COMMITTED, _break)
    await platform.say("quero marcar agora")
    await platform.nudge()
    await platform.until(lambda: engine_is_idle(platform), "the try to end")
    await platform.rows("""update checkpoints set checkpoint = replace(replace(checkpoint::text,
        'branch:to:run_tools', 'branch:to:gone'), 'run_tools', 'gone')::jsonb""")
    platform.clock.advance(5)
    await attempts_until_parked(platform)
    assert await platform.delivered() == [APOLOGY, HANDOFF]
    assert "GraphStuck" in (await pending_interrupt(platform))["payload"]["reason"]


@pytest.mark.parametrize("point", [Milestone.TOOL_RUN, Milestone.TOOL_COMMITTED])
async def test_a_turn_parked_in_its_tools_blocks_no_later_turn(platform: Platform, point: Milestone) -> None:
    """The last leg left a call without a result. Providers refuse such a history."""
    platform.at_milestone = always(point)
    await attempts_until_parked(platform, "quero marcar agora")
    assert await platform.delivered() == [APOLOGY, HANDOFF]
    platform.at_milestone = None
    await decide(platform, "return")
    for text in ("bom dia", "boa tarde"):
        (reply,) = await replies_to(platform, text)
        assert reply.endswith(text)
    assert await platform.row("select status from conversations") == {"status": "bot"}


async def test_a_booking_of_a_parked_turn_is_not_made_twice(platform: Platform) -> None:
    platform.at_milestone = always(Milestone.TOOL_COMMITTED)
    await attempts_until_parked(platform, "quero marcar agora")
    assert len(await platform.rows("select 1 from appointments")) == 1
    assert len(await platform.rows("select 1 from tool_calls")) == 1


async def test_each_retry_waits_longer(platform: Platform) -> None:
    platform.at_milestone = always(Milestone.TURN_RUN)
    await platform.say("oi")
    waits = []
    for _ in RETRY_AFTER:
        before = platform.clock()
        await platform.nudge()
        await platform.until(lambda: engine_is_idle(platform), "the try to end")
        due = (await platform.row("select due_at from conversations"))["due_at"]
        waits.append((due - before).total_seconds())
        platform.clock.advance(waits[-1])
    assert waits == sorted(waits)
    assert all(wait >= planned for wait, planned in zip(waits, RETRY_AFTER, strict=True))


async def test_a_failure_is_visible_between_retries(platform: Platform) -> None:
    platform.at_milestone = once(Milestone.TURN_RUN, _break)
    await platform.say("oi")
    await platform.nudge()
    await platform.until(lambda: engine_is_idle(platform), "the try to end")
    row = await platform.row("select attempts, last_error, owner, pending from conversations")
    assert row == {"attempts": 1, "last_error": "Broken", "owner": None, "pending": 1}
    platform.clock.advance(5)
    await platform.nudge()
    assert await platform.replies(1) == ["eco: oi"]
    assert await platform.row("select attempts from turns") == {"attempts": 2}


def _break() -> None:
    raise Broken


async def test_a_parked_decision_is_asked_for_again(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    platform.at_milestone = always(Milestone.TURN_RUN)
    await decide(platform, "return", "já volto")
    await attempts_until_parked(platform)
    platform.at_milestone = None
    assert (await platform.delivered())[-2:] == ["já volto", HANDOFF], "the operator's words are owed to the contact"
    assert await platform.row("select status from conversations") == {"status": "waiting"}
    await decide(platform, "return")
    (reply,) = await replies_to(platform, "e agora?")
    assert reply.endswith("e agora?")


async def test_a_turn_that_commits_one_leg_per_attempt_ends(platform: Platform) -> None:
    platform.at_milestone = always(Milestone.LEG_COMMITTED)
    await attempts_until_parked(platform, "quero marcar agora")
    (reply,) = await platform.delivered()
    assert reply.startswith("marcado sala@")


async def test_a_tenant_without_a_published_version_loses_nothing(platform: Platform) -> None:
    await platform.rows("delete from assistants")
    await platform.say("oi")
    await platform.nudge()
    await platform.until(lambda: engine_is_idle(platform), "the try to end")
    row = await platform.row("select pending, attempts, last_error from conversations")
    assert row == {"pending": 1, "attempts": 0, "last_error": "no assistant is published"}
    await platform.republish("goodbye: Até logo!", "goodbye: Tchau!")
    platform.clock.advance(60)
    await platform.nudge()
    assert await platform.replies(1) == ["eco: oi"]


@contextmanager
def broken_commits(platform: Platform, statement: str) -> Iterator[None]:
    """Run a statement of PL/pgSQL whenever a checkpoint is written. A parked turn writes none."""
    with psycopg.connect(platform.urls.owner, autocommit=True) as connection:
        connection.execute(
            f"""create function broken() returns trigger language plpgsql security definer
                as $$ begin {statement}; return new; end $$""".encode()
        )
        connection.execute("create trigger broken before insert on checkpoints for each row execute function broken()")
        try:
            yield
        finally:
            connection.execute("drop function broken cascade")


@pytest.mark.parametrize("state", ["54000", "57014", "53200"])
async def test_a_permanent_error_of_postgres_is_parked(platform: Platform, state: str) -> None:
    """The driver's class of these is OperationalError, as of those that pass."""
    with broken_commits(platform, f"raise sqlstate '{state}'"):
        assert await attempts_until_parked(platform, "oi") == platform.settings.turn_attempts + 1
    assert await platform.delivered() == [APOLOGY, HANDOFF]
    assert state in (await platform.row("select error from turns"))["error"]
    await decide(platform, "return")
    (reply,) = await replies_to(platform, "e agora?")
    assert reply.endswith("e agora?")


async def test_an_unavailable_postgres_costs_no_attempt(platform: Platform) -> None:
    with broken_commits(platform, "raise sqlstate '53100'"):
        await platform.say("oi")
        for _ in range(2 * platform.settings.turn_attempts):
            await platform.nudge()
            await platform.until(lambda: engine_is_idle(platform), "the try to end")
            row = await platform.row("select attempts, last_error from conversations")
            assert row == {"attempts": 0, "last_error": "DiskFull 53100"}
            platform.clock.advance(max(RETRY_AFTER) + 1)
    await platform.nudge()
    assert await platform.replies(1) == ["eco: oi"]


async def test_a_turn_that_breaks_its_connection_is_parked(platform: Platform) -> None:
    with broken_commits(platform, "perform pg_terminate_backend(pg_backend_pid())"):
        await platform.say("oi")
        platform.clock.advance(FORGIVE_WITHIN)
        assert await attempts_until_parked(platform) == platform.settings.turn_attempts + 1
    assert await platform.delivered() == [APOLOGY, HANDOFF]
    error = (await platform.row("select error from turns"))["error"]
    assert error.rpartition(": ")[2] in ("AdminShutdown 57P01", "OperationalError")


async def test_a_checkpoint_that_postgres_cannot_read_is_parked(platform: Platform) -> None:
    await ask(platform, "oi")
    await platform.rows("""update checkpoints set checkpoint = jsonb_set(checkpoint, '{channel_versions}', '5')""")
    await platform.say("e agora?")
    for _ in range(platform.settings.turn_attempts + 1):
        await platform.nudge()
        await platform.until(lambda: engine_is_idle(platform), "the try to end")
        platform.clock.advance(max(RETRY_AFTER) + 1)
    assert (await platform.replies(3))[1:] == [APOLOGY, HANDOFF]
    error = (await platform.row("select error from turns where turn = 2"))["error"]
    assert error == f"parked after {platform.settings.turn_attempts} attempts: InvalidParameterValue 22023"


# Workers that die.


@pytest.mark.parametrize(("deaths", "one_by_one"), [(1, False), (2, True)])
async def test_what_was_there_at_two_deaths_runs_one_by_one(platform: Platform, deaths: int, one_by_one: bool) -> None:
    """One of the conversations may be what kills the workers. The others must not use up their attempts with it."""
    assert platform.engine is not None
    await platform.engine.close()
    for number in range(4):
        await platform.say("lento, por favor", contact=f"whatsapp:+551199500000{number}")
    await platform.rows(
        "update conversations set owner = 9999, claimed_at = now(), attempts = %(deaths)s", deaths=deaths
    )
    async with platform.worker():
        await platform.nudge()
        await platform.until(lambda: platform.rows("select 1 from turns offset 3"), "all turns")
    turns = await platform.rows("select claimed_at, finished_at, attempts from turns order by claimed_at")
    apart = [before["finished_at"] <= after["claimed_at"] for before, after in pairwise(turns)]
    assert apart == [one_by_one] * 3
    assert {turn["attempts"] for turn in turns} == {deaths + 1}
