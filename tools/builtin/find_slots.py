"""find_slots: finds free appointment times."""

from datetime import date, timedelta

from pydantic import BaseModel, Field

from tools.base import builtin_tool
from tools.ports import JSON, Need, Slot, ToolContext

MAX_SLOTS = 6
HORIZON = timedelta(days=366)
"""The latest first day of a search, counted from today."""


class FindSlots(BaseModel):
    """The days to search."""

    first_day: date | None = Field(default=None, description="First day to look at, as YYYY-MM-DD. Default: today.")
    days: int = Field(default=7, ge=1, le=31, description="How many days to look at.")


def render_slot(slot: Slot) -> dict[str, str]:
    """Return the slot as the model reads it. `starts_at` is the tenant's local time."""
    return {"id": slot.id, "calendar": slot.calendar, "starts_at": slot.starts_at.strftime("%Y-%m-%d %H:%M")}


async def find_slots(context: ToolContext, arguments: FindSlots) -> JSON:
    """Return the earliest free slots from today on."""
    today = context.now.astimezone(context.timezone).date()
    first = min(max(arguments.first_day or today, today), today + HORIZON)
    slots = await context.appointments.free_slots(first, arguments.days, MAX_SLOTS)
    return {"slots": [render_slot(slot) for slot in slots]}


TOOL = builtin_tool(
    name="find_slots",
    description="Finds free appointment times. Always call it before offering or booking a time.",
    arguments=FindSlots,
    effects="read",
    run=find_slots,
    needs=frozenset({Need.CALENDARS}),
)
