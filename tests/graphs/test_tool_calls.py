"""A tool uses only the ports that it declares."""

import pytest
from pydantic import BaseModel

from graphs.tool_calls import CallFailed, perform
from tests.graphs.conversation import NOW, InMemoryCalendar, OnceToolRunner
from tools.base import Tool, builtin_tool
from tools.ports import JSON, Need, ToolContext


class NoArguments(BaseModel):
    """No arguments."""


async def count_slots(context: ToolContext, _: NoArguments) -> JSON:
    """Return the number of free slots."""
    return {"slots": len(await context.appointments.free_slots(NOW.date(), 1, 10))}


def slot_counter(*needs: Need) -> Tool:
    """Return a tool that uses the calendars and declares these needs."""
    return builtin_tool("count_slots", "Counts slots.", NoArguments, "read", count_slots, needs=frozenset(needs))


async def test_a_tool_gets_the_port_that_it_declares() -> None:
    tool = slot_counter(Need.CALENDARS)
    assert await perform(tool, "call-1", {}, OnceToolRunner(InMemoryCalendar())) == {"slots": 2}


async def test_a_port_that_a_tool_does_not_declare_fails_the_call() -> None:
    """Otherwise a tool whose author forgot `needs` would pass the check of a manifest without calendars."""
    with pytest.raises(CallFailed, match="the tool is out of order"):
        await perform(slot_counter(), "call-1", {}, OnceToolRunner(InMemoryCalendar()))
