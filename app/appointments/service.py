"""Implement the tools' port for calendars."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from app.appointments import queries
from app.db import Transaction
from graphs.config import Calendar
from tools.ports import Slot, SlotUnavailable

HORIZON = timedelta(days=400)
"""The latest time of a slot that can be found, counted from now."""


@dataclass(frozen=True)
class Booker:
    """The tenant, contact and conversation that a slot is booked for."""

    tenant_id: UUID
    contact_id: UUID
    conversation_id: UUID


class TenantAppointments:
    """The tools' calendar port for one contact, within one transaction."""

    def __init__(
        self, tx: Transaction, booker: Booker, calendars: Iterable[Calendar], timezone: ZoneInfo, now: datetime
    ) -> None:
        self._tx = tx
        self._booker = booker
        self._calendars = {calendar.name: calendar for calendar in calendars}
        self._timezone = timezone
        self._now = now

    async def free_slots(self, first: date, days: int, limit: int) -> list[Slot]:
        """Return the free slots of `days` days from `first` on, earliest first."""
        start = datetime.combine(first, datetime.min.time(), self._timezone)
        end = start + timedelta(days=days)
        taken = await queries.booked(self._tx, self._booker.tenant_id, start, end)
        slots = (
            slot
            for calendar in self._calendars.values()
            for offset in range(days)
            for slot in self._slots(calendar, first + timedelta(days=offset))
            if slot.starts_at > self._now and (slot.calendar, slot.starts_at.astimezone(UTC)) not in taken
        )
        # Compared in UTC: Python takes the two halves of an hour that comes twice for the same.
        return sorted(slots, key=lambda slot: (slot.starts_at.astimezone(UTC), slot.calendar))[:limit]

    async def book(self, slot_id: str, patient: str) -> Slot:
        """Book a slot for the contact. Raises SlotUnavailable."""
        slot = self._slot(slot_id)
        if slot is None:
            raise SlotUnavailable(f"{slot_id!r} is not a slot: take an id that find_slots returned")
        if slot.starts_at <= self._now:
            raise SlotUnavailable("that time is past")
        taken = await queries.book(
            self._tx,
            tenant_id=self._booker.tenant_id,
            contact_id=self._booker.contact_id,
            conversation_id=self._booker.conversation_id,
            calendar=slot.calendar,
            starts_at=slot.starts_at,
            patient=patient,
            now=self._now,
        )
        if not taken:
            raise SlotUnavailable("somebody else has just booked that time")
        return slot

    def _slot(self, slot_id: str) -> Slot | None:
        name, _, start = slot_id.partition("@")
        try:
            day = datetime.fromisoformat(start).date()
        except ValueError:
            return None
        calendar = self._calendars.get(name) if abs(day - self._now.date()) <= HORIZON else None
        return next((s for s in self._slots(calendar, day) if s.id == slot_id), None) if calendar else None

    def _slots(self, calendar: Calendar, day: date) -> Iterator[Slot]:
        if day.weekday() not in calendar.weekdays:
            return
        length = timedelta(seconds=calendar.slot)
        # Steps are taken in UTC: where a clock is put forward or back, a local hour may be missing or come twice.
        start = datetime.combine(day, calendar.opens, self._timezone).astimezone(UTC)
        # 00:00 is the end of the day.
        last = day if calendar.closes > calendar.opens else day + timedelta(days=1)
        closes = datetime.combine(last, calendar.closes, self._timezone).astimezone(UTC)
        while start + length <= closes:
            local = start.astimezone(self._timezone)
            # An hour that comes twice is told apart by its offset, the second time.
            time = local.strftime("%Y-%m-%dT%H:%M%z" if local.fold else "%Y-%m-%dT%H:%M")
            yield Slot(f"{calendar.name}@{time}", calendar.name, local)
            start += length
