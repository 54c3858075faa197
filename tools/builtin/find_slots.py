"""Looks for free appointment times."""

from datetime import date, timedelta

from pydantic import BaseModel, Field

from tools.base import builtin_tool
from tools.ports import JSON, Slot, ToolContext

SLOTS_SHOWN = 6
HORIZON = timedelta(days=366)
"""Nobody books further ahead."""


class FindSlots(BaseModel):
    """Which days to look at."""

    first_day: date | None = Field(default=None, description="First day to look at, as YYYY-MM-DD. Default: today.")
    days: int = Field(default=7, ge=1, le=31, description="How many days to look at.")


def describe(slot: Slot) -> dict[str, str]:
    """A slot as a model reads it: the id to book, and when it is."""
    return {"id": slot.id, "calendar": slot.calendar, "starts_at": slot.starts_at.strftime("%Y-%m-%d %H:%M")}


async def find_slots(context: ToolContext, arguments: FindSlots) -> JSON:
    """The earliest free slots."""
    today = context.now.astimezone(context.timezone).date()
    first = min(max(arguments.first_day or today, today), today + HORIZON)
    slots = await context.appointments.free_slots(first, arguments.days, SLOTS_SHOWN)
    return {"slots": [describe(slot) for slot in slots]}


FIND_SLOTS = builtin_tool(
    name="find_slots",
    description="Finds free appointment times. Always call it before offering or booking a time.",
    arguments=FindSlots,
    effects="read",
    run=find_slots,
)
