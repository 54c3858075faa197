"""book_slot: what it accepts, and what the model reads."""

from typing import Any

import pytest

from tests.tools.fake_ports import FakeCalendar, run_locally
from tools.base import InvalidArguments
from tools.builtin.book_slot import TOOL
from tools.ports import LocalPorts, Need


def test_it_writes_to_calendars() -> None:
    assert (TOOL.effects, TOOL.needs) == ("write", frozenset({Need.CALENDARS}))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"slot_id": "a"}, "patient: Field required"),
        ({"slot_id": "a", "patient": "x"}, "patient"),
        ({"slot_id": "a" * 121, "patient": "Ana"}, "slot_id"),
        ({"slot_id": None, "patient": None}, "slot_id"),
    ],
)
def test_invalid_arguments_are_explained(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArguments, match=reason) as raised:
        TOOL.parse(arguments)
    assert "https://" not in str(raised.value), "links are of no use to a model"


async def test_a_booking_names_the_slot_and_the_patient() -> None:
    assert await run_locally(TOOL, LocalPorts(FakeCalendar()), slot_id="sala@x", patient="Ana") == {
        "booked": True,
        "slot": {"id": "sala@x", "calendar": "sala", "starts_at": "2026-03-02 22:30"},
        "patient": "Ana",
    }


async def test_a_slot_that_is_taken_is_a_result_and_no_failure() -> None:
    """It does not count as a tool failure: the model offers another time."""
    ports = LocalPorts(FakeCalendar(taken=True))
    refused = await run_locally(TOOL, ports, slot_id="sala@x", patient="Ana")
    assert refused == {"booked": False, "reason": "somebody else has just booked that time"}
