"""find_slots: which days it searches, and what the model reads."""

from datetime import date
from typing import Any

import pytest

from tests.tools.fake_ports import FakeCalendar, run_locally
from tools.base import InvalidArguments
from tools.builtin.find_slots import MAX_SLOTS, TOOL
from tools.ports import LocalPorts, Need


def test_it_reads_calendars() -> None:
    assert (TOOL.effects, TOOL.needs) == ("read", frozenset({Need.CALENDARS}))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"days": 0}, "days"),
        ({"days": 32}, "days"),
        ({"first_day": "amanhã"}, "first_day"),
        ({"first_day": "2026-02-30"}, "first_day"),
    ],
)
def test_invalid_arguments_are_explained(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArguments, match=reason) as raised:
        TOOL.parse(arguments)
    assert "https://" not in str(raised.value), "links are of no use to a model"


async def test_the_search_starts_today_in_the_tenants_time_zone() -> None:
    calendar = FakeCalendar()
    result = await run_locally(TOOL, LocalPorts(calendar))
    assert calendar.searches == [(date(2026, 3, 2), 7, MAX_SLOTS)]
    assert result == {"slots": [{"id": "sala@x", "calendar": "sala", "starts_at": "2026-03-03 10:30"}]}


@pytest.mark.parametrize(
    ("first_day", "searched"),
    [("2020-01-01", date(2026, 3, 2)), ("2026-04-01", date(2026, 4, 1)), (None, date(2026, 3, 2))],
)
async def test_no_past_day_is_searched(first_day: str | None, searched: date) -> None:
    calendar = FakeCalendar()
    await run_locally(TOOL, LocalPorts(calendar), first_day=first_day, days=3)
    assert calendar.searches[0][:2] == (searched, 3)
