"""Books an appointment."""

from pydantic import BaseModel, Field

from tools.base import builtin_tool
from tools.builtin.find_slots import describe
from tools.ports import JSON, SlotUnavailable, ToolContext


class BookSlot(BaseModel):
    """Which slot, for whom."""

    slot_id: str = Field(description="The id of a slot that find_slots returned.", max_length=120)
    patient: str = Field(description="Full name of the patient.", min_length=2, max_length=120)


async def book_slot(context: ToolContext, arguments: BookSlot) -> JSON:
    """Books the slot, or says why not."""
    try:
        slot = await context.appointments.book(arguments.slot_id, arguments.patient)
    except SlotUnavailable as error:
        return {"booked": False, "reason": str(error)}
    return {"booked": True, "slot": describe(slot), "patient": arguments.patient}


BOOK_SLOT = builtin_tool(
    name="book_slot",
    description="Books one appointment time for the contact. Only after the contact has chosen that time.",
    arguments=BookSlot,
    effects="write",
    run=book_slot,
)
