"""SQL of appointments."""

from datetime import UTC, datetime
from uuid import UUID

from app.db import Transaction


async def booked(tx: Transaction, tenant_id: UUID, start: datetime, end: datetime) -> set[tuple[str, datetime]]:
    """Return the taken slots from `start` until before `end`, as (calendar, start in UTC)."""
    rows = await tx.all(
        dict,
        """select calendar, starts_at from appointments
           where tenant_id = %(tenant_id)s and starts_at >= %(start)s and starts_at < %(end)s""",
        {"tenant_id": tenant_id, "start": start, "end": end},
    )
    return {(row["calendar"], row["starts_at"].astimezone(UTC)) for row in rows}


async def book(
    tx: Transaction,
    *,
    tenant_id: UUID,
    contact_id: UUID,
    conversation_id: UUID,
    calendar: str,
    starts_at: datetime,
    patient: str,
    now: datetime,
) -> bool:
    """Take a slot. Return False when it is taken."""
    row = await tx.one(
        dict,
        """insert into appointments (tenant_id, calendar, starts_at, contact_id, conversation_id, patient, booked_at)
           values (%(tenant_id)s, %(calendar)s, %(starts_at)s, %(contact_id)s, %(conversation_id)s, %(patient)s,
               %(now)s)
           on conflict (tenant_id, calendar, starts_at) do nothing returning id""",
        {
            "tenant_id": tenant_id,
            "calendar": calendar,
            "starts_at": starts_at,
            "contact_id": contact_id,
            "conversation_id": conversation_id,
            "patient": patient,
            "now": now,
        },
    )
    return row is not None
