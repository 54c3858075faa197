"""The tools alone: what models are told of them, what they take, and what they answer."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tools.base import InvalidArguments
from tools.builtin.find_slots import SLOTS_SHOWN
from tools.net.guarded_http import GuardedHttpClient
from tools.ports import Appointments, Slot, SlotUnavailable, ToolContext
from tools.registry import BUILTIN

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
NOW = datetime(2026, 3, 3, 1, 30, tzinfo=UTC)  # still the 2nd in São Paulo


@dataclass
class Calendar:
    """A calendar that remembers what it was asked."""

    asked: list[tuple[date, int, int]] = field(default_factory=list)
    taken: bool = False

    async def free_slots(self, first: date, days: int, limit: int) -> list[Slot]:
        """One slot."""
        self.asked.append((first, days, limit))
        return [Slot("sala@x", "sala", NOW.astimezone(SAO_PAULO) + timedelta(hours=12))]

    async def book(self, slot_id: str, patient: str) -> Slot:
        """Books, unless it is taken."""
        if self.taken:
            raise SlotUnavailable("somebody else has just booked that time")
        return Slot(slot_id, "sala", NOW.astimezone(SAO_PAULO))


async def run(name: str, calendar: Calendar, **arguments: Any) -> Any:
    """The tool's answer."""
    tool = BUILTIN[name]
    assert isinstance(calendar, Appointments)
    async with GuardedHttpClient() as http_client:
        return await tool.run(ToolContext(NOW, SAO_PAULO, http_client, calendar), tool.parse(arguments))


@pytest.mark.parametrize("name", BUILTIN)
def test_a_tool_is_declared_in_the_form_that_models_take(name: str) -> None:
    declaration = BUILTIN[name].declaration()
    assert declaration["type"] == "function"
    function = declaration["function"]
    assert function["name"] == name
    assert function["description"]
    parameters = function["parameters"]
    assert parameters["type"] == "object"
    assert "title" not in parameters, "the class's name is ours"
    properties = parameters["properties"]
    assert all(value.get("description") for value in properties.values()), "a parameter that nobody explains"


def test_a_tool_is_registered_under_its_name() -> None:
    assert {name: tool.name for name, tool in BUILTIN.items()} == {name: name for name in BUILTIN}


def test_what_changes_something_is_declared_as_a_write() -> None:
    assert {name: tool.effects for name, tool in BUILTIN.items()} == {
        "find_slots": "read",
        "book_slot": "write",
        "request_human": "handoff",
        "remember_fact": "write",
        "search_knowledge": "read",
    }


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("find_slots", {"days": 0}, "days"),
        ("find_slots", {"days": 32}, "days"),
        ("find_slots", {"first_day": "amanhã"}, "first_day"),
        ("find_slots", {"first_day": "2026-02-30"}, "first_day"),
        ("book_slot", {"slot_id": "a"}, "patient: Field required"),
        ("book_slot", {"slot_id": "a", "patient": "x"}, "patient"),
        ("book_slot", {"slot_id": "a" * 121, "patient": "Ana"}, "slot_id"),
        ("book_slot", {"slot_id": None, "patient": None}, "slot_id"),
        ("request_human", {}, "reason: Field required"),
        ("request_human", {"reason": "x" * 301}, "reason"),
    ],
)
def test_arguments_that_do_not_fit_say_why(name: str, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArguments, match=reason) as raised:
        BUILTIN[name].parse(arguments)
    assert "https://" not in str(raised.value), "links are of no use to a model"


async def test_free_slots_are_looked_for_from_today_on_in_the_tenants_time_zone() -> None:
    calendar = Calendar()
    found = await run("find_slots", calendar)
    assert calendar.asked == [(date(2026, 3, 2), 7, SLOTS_SHOWN)]
    assert found == {"slots": [{"id": "sala@x", "calendar": "sala", "starts_at": "2026-03-03 10:30"}]}


@pytest.mark.parametrize(
    ("first_day", "looked_at"),
    [("2020-01-01", date(2026, 3, 2)), ("2026-04-01", date(2026, 4, 1)), (None, date(2026, 3, 2))],
)
async def test_nobody_looks_into_the_past(first_day: str | None, looked_at: date) -> None:
    calendar = Calendar()
    await run("find_slots", calendar, first_day=first_day, days=3)
    assert calendar.asked[0][:2] == (looked_at, 3)


async def test_a_booking_says_what_was_booked_for_whom() -> None:
    booked = await run("book_slot", Calendar(), slot_id="sala@x", patient="Ana")
    assert booked == {
        "booked": True,
        "slot": {"id": "sala@x", "calendar": "sala", "starts_at": "2026-03-02 22:30"},
        "patient": "Ana",
    }


async def test_a_slot_that_is_gone_is_an_answer_and_no_failure() -> None:
    """It must not count as a failing tool: the model offers another time."""
    refused = await run("book_slot", Calendar(taken=True), slot_id="sala@x", patient="Ana")
    assert refused == {"booked": False, "reason": "somebody else has just booked that time"}


async def test_asking_for_a_human_changes_nothing_itself() -> None:
    answer = await run("request_human", Calendar(), reason="dor forte")
    assert "operator" in answer["status"]
