"""Who answers, and why: rules and their circumstances, the agent in charge, and transfers."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from graphs.config import Agent
from graphs.language import Languages
from graphs.rules import Rule
from graphs.sections import Hours, Limits
from tests.graphs.conftest import Start
from tests.graphs.conversation import GraphConversation, assistant, interrupts, replies

CLOSED = (Rule(to="agenda", outside_hours=True),)
WEEK = Hours(
    days={day: ((time(9), time(12)), (time(13), time(18))) for day in range(5)},
    holidays=frozenset({date(2026, 12, 25)}),
)

MOST_CALLS = 10


def agents(**transfers: tuple[str, ...]) -> dict[str, Agent]:
    """The tests' agents, who may transfer to these."""
    found = assistant().agents
    return {name: replace(agent, transfers=transfers.get(name, ())) for name, agent in found.items()}


async def went(talk: GraphConversation, text: str = "bom dia") -> tuple[str, str]:
    """Where a turn was sent, and why."""
    route = (await talk.say(text))["turn"]["route"]
    return route["to"], route["why"]


# Circumstances.


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        (datetime(2026, 3, 2, 12, 0, tzinfo=UTC), False),  # Monday, 09:00 in São Paulo
        (datetime(2026, 3, 2, 11, 59, tzinfo=UTC), True),
        (datetime(2026, 3, 2, 15, 0, tzinfo=UTC), True),  # noon
        (datetime(2026, 3, 2, 16, 0, tzinfo=UTC), False),
        (datetime(2026, 3, 2, 20, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 3, 2, 21, 0, tzinfo=UTC), True),
        (datetime(2026, 3, 3, 2, 0, tzinfo=UTC), True),  # Tuesday in UTC, Monday night there
        (datetime(2026, 3, 7, 13, 0, tzinfo=UTC), True),  # Saturday
        (datetime(2026, 12, 25, 13, 0, tzinfo=UTC), True),  # a Friday, but a holiday
        (datetime(2026, 12, 26, 1, 0, tzinfo=UTC), True),  # still the holiday there
    ],
)
async def test_outside_hours_uses_the_tenants_time_zone(start: Start, now: datetime, closed: bool) -> None:
    talk = start(rules=CLOSED, hours=WEEK, otherwise="duvidas")
    talk.now = now
    assert await went(talk) == (("agenda", "rule 1: outside hours: True") if closed else ("duvidas", "the only way"))


@pytest.mark.parametrize(
    ("now", "open_"),
    [
        (datetime(2026, 3, 27, 9, 0, tzinfo=UTC), True),  # winter in Lisbon: the same hour
        (datetime(2026, 3, 27, 8, 30, tzinfo=UTC), False),
        (datetime(2026, 3, 30, 8, 0, tzinfo=UTC), True),  # summer time since Sunday: an hour earlier
        (datetime(2026, 3, 30, 17, 0, tzinfo=UTC), False),
    ],
)
def test_hours_follow_the_wall_clock_across_dst(now: datetime, open_: bool) -> None:
    assert WEEK.open_at(now.astimezone(ZoneInfo("Europe/Lisbon"))) is open_


def test_without_weekdays_only_holidays_are_closed() -> None:
    hours = Hours(holidays=frozenset({date(2026, 12, 25)}))
    assert hours.open_at(datetime(2026, 12, 24, 3, 0, tzinfo=UTC))
    assert not hours.open_at(datetime(2026, 12, 25, 12, 0, tzinfo=UTC))
    assert Hours().open_at(datetime(2026, 12, 25, 12, 0, tzinfo=UTC))


LATE = Hours(days={4: ((time(18), time(2)),), 5: ((time(20), time()),)}, holidays=frozenset({date(2026, 3, 14)}))


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        ("2026-03-06T17:59:59-03:00", True),  # Friday
        ("2026-03-06T18:00:00-03:00", False),
        ("2026-03-06T23:59:59-03:00", False),
        ("2026-03-07T00:00:00-03:00", False),
        ("2026-03-07T01:59:59-03:00", False),
        ("2026-03-07T02:00:00-03:00", True),
        ("2026-03-07T23:59:30-03:00", False),
        ("2026-03-08T00:00:00-03:00", True),
        ("2026-03-06T01:00:00-03:00", True),  # Thursday has no hours
        ("2026-03-14T01:00:00-03:00", False),  # Friday's night goes on into the holiday
        ("2026-03-14T21:00:00-03:00", True),
    ],
)
async def test_a_night_belongs_to_the_day_on_which_it_begins(start: Start, now: str, closed: bool) -> None:
    talk = start(rules=CLOSED, hours=LATE, otherwise="duvidas")
    talk.now = datetime.fromisoformat(now)
    assert (await went(talk))[0] == ("agenda" if closed else "duvidas")


async def test_a_rule_may_be_for_the_first_turn(start: Start) -> None:
    talk = start(rules=(Rule(to="agenda", first_message=True),), otherwise="duvidas")
    talk.first_turn = True
    assert (await went(talk))[0] == "agenda"
    talk.first_turn = False
    assert (await went(talk))[0] == "duvidas"


async def test_a_rule_may_be_for_some_contacts(start: Start) -> None:
    talk = start(rules=(Rule(to="agenda", tag="vip", match=("oi",)),), otherwise="duvidas")
    assert (await went(talk, "oi"))[0] == "duvidas"
    talk.tags = frozenset({"vip"})
    assert await went(talk, "oi") == ("agenda", "rule 1: words: oi; tag: vip")
    assert (await went(talk, "bom dia"))[0] == "duvidas"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I would like to book an appointment for tomorrow", "en"),
        ("quero marcar uma consulta para amanhã", "pt"),
        ("ok", "pt"),
        ("hi", "pt"),
        ("👍 123", None),
        ("", None),
        ("je voudrais un rendez-vous demain", None),
    ],
)
def test_a_language_is_told_apart_among_those_that_count(text: str, language: str | None) -> None:
    languages = Languages(assistant(rules=(Rule(to="agenda", language="en"),)))
    found = languages.of(text)
    assert found == language if language else found in ("pt", "en", None)


def test_where_no_rule_asks_no_language_is_looked_for() -> None:
    assert Languages(assistant(rules=())).of("I would like to book") is None


def test_a_language_of_three_letters_is_not_taken_for_another() -> None:
    """`fil` is no Finnish."""
    languages = Languages(assistant(language="fil", rules=(Rule(to="agenda", language="en"),)))
    assert languages.of("hyvää päivää, haluaisin varata ajan") != "fi"


async def test_a_rule_for_a_language_goes_by_the_message(start: Start) -> None:
    talk = start(rules=(Rule(to="agenda", language="en"),), otherwise="duvidas")
    assert await went(talk, "I would like to know the price") == ("agenda", "rule 1: language: en")
    assert (await went(talk, "quero saber o preço da consulta"))[0] == "duvidas"


# The agent in charge.


async def test_the_agent_in_charge_answers_without_a_router(start: Start) -> None:
    talk = start(sticky=True)
    assert (await went(talk, "quero marcar"))[0] == "agenda"
    before = len(await talk.asked())
    assert await went(talk, "quanto custa") == ("agenda", "still in charge")
    assert [request["structured"] for request in (await talk.asked())[before:]] == [False]


async def test_a_rule_goes_before_the_agent_in_charge(start: Start) -> None:
    talk = start(sticky=True, rules=(Rule(to="duvidas", match=("preço",)),))
    await talk.say("quero marcar")
    assert (await went(talk, "e o preço"))[0] == "duvidas"
    assert await went(talk, "bom dia") == ("duvidas", "still in charge")


async def test_a_removed_agent_is_not_in_charge(start: Start) -> None:
    talk = start(sticky=True)
    await talk.say("quero marcar")
    only = start(sticky=True, agents={"duvidas": assistant().agents["duvidas"]}).graph
    talk.graph = only.copy({"checkpointer": talk.graph.checkpointer})
    assert (await went(talk, "bom dia"))[0] == "duvidas"


# Transfers.


async def test_an_agent_transfers_and_the_other_one_answers_and_stays(start: Start) -> None:
    talk = start(sticky=True, otherwise="duvidas", agents=agents(duvidas=("agenda",), agenda=("duvidas",)))
    state = await talk.say("passe para agenda e marcar")
    assert (state["agent"], replies(state)) == ("agenda", [("assistant", "eco: passe para agenda e marcar")])
    assert state["turn"]["route"] == {"to": "agenda", "why": "duvidas transferred: pediu"}
    assert (await talk.say("bom dia"))["agent"] == "agenda"


@pytest.fixture
def alone(start: Start) -> GraphConversation:
    """A conversation with an agent that may transfer to `agenda` only, among three."""
    third = replace(assistant().agents["agenda"], name="financeiro", transfers=())
    others = {**agents(duvidas=("agenda",)), "financeiro": third}
    return start(sticky=True, otherwise="duvidas", agents=others)


@pytest.mark.parametrize("to", ["financeiro", "duvidas", "handoff", "ninguem"])
async def test_an_agent_transfers_to_nobody_else(alone: GraphConversation, to: str) -> None:
    state = await alone.say(f"fique, passe para {to}")
    assert state["agent"] == "duvidas"
    assert replies(state)[0][1] == f"fiquei - there is nobody '{to}' to transfer to; there are: agenda"


async def test_an_agent_without_transfers_has_no_transfer_tool(start: Start) -> None:
    talk = start(otherwise="duvidas")
    await talk.say("passe para agenda")
    (request,) = await talk.asked()
    assert "transfer" not in request["tools"]


async def test_a_transfer_is_declared_with_whom_there_is(alone: GraphConversation) -> None:
    await alone.say("oi")
    (request,) = await alone.asked()
    assert request["tools"] == ["request_human", "transfer"]


CIRCLE = """
name: roda
match: Roda
rules:
  - {when: {system: "(?i)sou a"}, call: {name: transfer, arguments: {to: duvidas, why: x}}}
  - {when: {system: "(?i)sou o"}, call: {name: transfer, arguments: {to: agenda, why: x}}}
"""


async def test_agents_that_send_a_contact_round_in_circles_are_stopped(start: Start) -> None:
    others = agents(duvidas=("agenda",), agenda=("duvidas",))
    others["agenda"] = replace(others["agenda"], prompt="Eu sou a agenda.")
    others["duvidas"] = replace(others["duvidas"], prompt="Eu sou o das dúvidas.")
    limits = Limits(model_calls_per_turn=MOST_CALLS)
    talk = start(name="Roda", sticky=True, otherwise="duvidas", agents=others, limits=limits)
    async with talk.http.post(f"{talk.model}/control/scripts", data=CIRCLE.encode()) as answer:
        assert answer.status == 200, await answer.text()
    state = await talk.say("oi")
    assert str(MOST_CALLS) in interrupts(state)[0]["reason"]
    assert len(await talk.asked()) == MOST_CALLS
