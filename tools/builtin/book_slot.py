"""book_slot: books an appointment for the contact."""

from pydantic import BaseModel, Field

from tools.base import builtin_tool
from tools.builtin.find_slots import render_slot
from tools.ports import JSON, Need, SlotUnavailable, ToolContext


class BookSlot(BaseModel):
    """The slot to book, and the patient to book it for."""

    slot_id: str = Field(description="The id of a slot that find_slots returned.", max_length=120)
    patient: str = Field(description="Full name of the patient.", min_length=2, max_length=120)


async def book_slot(context: ToolContext, arguments: BookSlot) -> JSON:
    """Book the slot, or return the reason why it cannot be booked."""
    try:
        slot = await context.appointments.book(arguments.slot_id, arguments.patient)
    except SlotUnavailable as error:
        return {"booked": False, "reason": str(error)}
    return {"booked": True, "slot": render_slot(slot), "patient": arguments.patient}


TOOL = builtin_tool(
    name="book_slot",
    description="Books one appointment time for the contact. Only after the contact has chosen that time.",
    arguments=BookSlot,
    effects="write",
    run=book_slot,
    needs=frozenset({Need.CALENDARS}),
)
