"""The tenant's calendars: what is free, and who gets it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from app.appointments.service import Booker, TenantAppointments
from app.db import Database, Transaction
from graphs.config import Calendar
from tests.platform import CONTACT, Platform
from tools.ports import Slot, SlotUnavailable

NEW_YORK = ZoneInfo("America/New_York")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
EVERY_DAY = tuple(range(7))
OTHER_CONTACT = "whatsapp:+5511990000002"

SPRING = date(2026, 3, 8)  # 02:00 becomes 03:00 in New York
AUTUMN = date(2026, 11, 1)  # 02:00 becomes 01:00


def calendar(opens: int = 8, closes: int = 12, minutes: int = 60, days: tuple[int, ...] = EVERY_DAY) -> Calendar:
    return Calendar("sala", days, time(opens), time(closes), minutes * 60.0)


@dataclass
class Agenda:
    """The calendars, as one contact's tools see them."""

    db: Database
    booker: Booker
    calendars: tuple[Calendar, ...] = (calendar(),)
    timezone: ZoneInfo = SAO_PAULO
    now: datetime = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # Monday, 09:00 in São Paulo

    async def free(self, first: date = date(2026, 3, 2), days: int = 1, limit: int = 50) -> list[Slot]:
        """What is free."""
        async with self.db.statement(self.booker.tenant_id) as tx:
            return await self.appointments(tx).free_slots(first, days, limit)

    async def book(self, slot_id: str, patient: str = "Ana") -> Slot:
        """Books."""
        async with self.db.transaction(self.booker.tenant_id) as tx:
            return await self.appointments(tx).book(slot_id, patient)

    async def times(self, first: date = date(2026, 3, 2), days: int = 1) -> list[str]:
        """When something is free, in local time."""
        return [f"{slot.starts_at:%d %H:%M}" for slot in await self.free(first, days)]

    def appointments(self, tx: Transaction) -> TenantAppointments:
        """The port, within a transaction."""
        return TenantAppointments(tx, self.booker, self.calendars, self.timezone, self.now)


@pytest.fixture
async def agendas(platform: Platform) -> AsyncIterator[list[Agenda]]:
    """The same calendars for two contacts."""
    for contact in (CONTACT, OTHER_CONTACT):
        await platform.say("oi", contact=contact)
    rows = await platform.rows("select tenant_id, contact_id, id from conversations order by opened_at")
    async with Database(platform.settings.database_url, size=4) as db:
        yield [Agenda(db, Booker(row["tenant_id"], row["contact_id"], row["id"])) for row in rows]
    await platform.nudge()
    await platform.quiet()


@pytest.fixture
def agenda(agendas: list[Agenda]) -> Agenda:
    """One contact's."""
    return agendas[0]


# What is free.


async def test_slots_follow_each_other_while_the_calendar_is_open(agenda: Agenda) -> None:
    tomorrow = date(2026, 3, 3)
    assert await agenda.times(tomorrow) == ["03 08:00", "03 09:00", "03 10:00", "03 11:00"]
    agenda.calendars = (calendar(minutes=90),)
    assert await agenda.times(tomorrow) == ["03 08:00", "03 09:30"], "what would end after closing is none"


async def test_what_is_past_or_begins_now_is_not_free(agenda: Agenda) -> None:
    assert await agenda.times() == ["02 10:00", "02 11:00"]


async def test_only_open_days_have_slots(agenda: Agenda) -> None:
    agenda.calendars = (calendar(8, 9, days=(1, 5)),)
    assert await agenda.times(days=14) == ["03 08:00", "07 08:00", "10 08:00", "14 08:00"]


async def test_calendars_are_told_together_earliest_first(agenda: Agenda) -> None:
    agenda.calendars = (calendar(10, 12), Calendar("anexo", EVERY_DAY, time(10), time(11), 1800.0))
    ids = [slot.id for slot in await agenda.free(date(2026, 3, 3))]
    assert ids == ["anexo@2026-03-03T10:00", "sala@2026-03-03T10:00", "anexo@2026-03-03T10:30", "sala@2026-03-03T11:00"]
    assert [slot.id for slot in await agenda.free(date(2026, 3, 3), limit=2)] == ids[:2]


async def test_times_are_the_tenants(agenda: Agenda) -> None:
    (slot, *_) = await agenda.free(date(2026, 3, 3))
    assert slot.starts_at == datetime(2026, 3, 3, 11, 0, tzinfo=UTC)
    assert slot.starts_at.utcoffset() == timedelta(hours=-3)


async def test_a_taken_slot_is_not_free_for_anybody(agendas: list[Agenda]) -> None:
    first, second = agendas
    await first.book("sala@2026-03-03T09:00")
    for agenda in agendas:
        assert await agenda.times(date(2026, 3, 3)) == ["03 08:00", "03 10:00", "03 11:00"]
    second.calendars = (Calendar("outra", EVERY_DAY, time(9), time(10), 3600.0),)
    assert await second.times(date(2026, 3, 3)) == ["03 09:00"], "it is taken in one calendar only"


async def test_another_tenants_bookings_take_nothing(platform: Platform, agenda: Agenda) -> None:
    await agenda.book("sala@2026-03-03T09:00")
    await platform.republish("memory: {window: 12}", "memory: {window: 12}", slug="outra-clinica")
    other = (await platform.row("select id from tenants where slug = 'outra-clinica'"))["id"]
    agenda.booker = Booker(other, UUID(int=1), UUID(int=1))
    assert len(await agenda.free(date(2026, 3, 3))) == 4


# Where the clock is put forward or back.


async def test_a_day_that_lacks_an_hour_has_a_slot_less(agenda: Agenda) -> None:
    agenda.timezone, agenda.calendars = NEW_YORK, (calendar(0, 5),)
    assert await agenda.times(SPRING) == ["08 00:00", "08 01:00", "08 03:00", "08 04:00"]
    for slot in await agenda.free(SPRING):
        assert (await agenda.book(slot.id)).starts_at == slot.starts_at
    assert await agenda.free(SPRING) == []


async def test_a_day_may_end_at_midnight(agenda: Agenda) -> None:
    agenda.calendars = (Calendar("sala", EVERY_DAY, time(22), time(0), 3600.0),)
    assert await agenda.times() == ["02 22:00", "02 23:00"]
    (_, last) = await agenda.free()
    assert (await agenda.book(last.id)).starts_at == last.starts_at


async def test_a_skipped_hour_makes_no_double_slot(agenda: Agenda) -> None:
    agenda.timezone = NEW_YORK
    agenda.calendars = (Calendar("sala", EVERY_DAY, time(2, 30), time(5), 1800.0),)
    found = await agenda.free(SPRING)
    assert len({slot.starts_at for slot in found}) == len({slot.id for slot in found}) == len(found)
    assert all(slot.starts_at.astimezone(UTC) >= datetime(2026, 3, 8, 7, tzinfo=UTC) for slot in found)


async def test_a_repeated_hour_gives_one_more_bookable_slot(agenda: Agenda) -> None:
    agenda.timezone, agenda.calendars = NEW_YORK, (calendar(0, 4),)
    found = await agenda.free(AUTUMN)
    assert [slot.starts_at.astimezone(UTC).hour for slot in found] == [4, 5, 6, 7, 8]
    assert len({slot.id for slot in found}) == 5, "one id for two times: the second cannot be booked"
    for slot in found:
        assert (await agenda.book(slot.id)).starts_at.astimezone(UTC) == slot.starts_at.astimezone(UTC)
    assert await agenda.free(AUTUMN) == []


async def test_a_slot_of_a_repeated_hour_is_booked_once(agenda: Agenda) -> None:
    """Python takes no time of that hour for equal to one in another zone, such as what Postgres gives back."""
    agenda.timezone, agenda.calendars = NEW_YORK, (calendar(1, 2, minutes=15),)
    (first, *rest) = await agenda.free(AUTUMN)
    await agenda.book(first.id)
    after = {slot.starts_at.astimezone(UTC) for slot in await agenda.free(AUTUMN)}
    assert after == {slot.starts_at.astimezone(UTC) for slot in rest}


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
async def test_a_taken_slot_of_such_a_day_is_not_offered_again(agenda: Agenda, day: date) -> None:
    agenda.timezone, agenda.calendars = NEW_YORK, (calendar(8, 12),)
    (first, *rest) = await agenda.free(day)
    await agenda.book(first.id)
    assert await agenda.free(day) == rest


# Booking.


async def test_a_booking_is_on_record_for_its_contact(platform: Platform, agenda: Agenda) -> None:
    slot = await agenda.book("sala@2026-03-03T09:00", "Ana Pérez")
    assert slot == Slot("sala@2026-03-03T09:00", "sala", datetime(2026, 3, 3, 9, 0, tzinfo=SAO_PAULO))
    assert await platform.row("select calendar, patient, contact_id, starts_at, booked_at from appointments") == {
        "calendar": "sala",
        "patient": "Ana Pérez",
        "contact_id": agenda.booker.contact_id,
        "starts_at": datetime(2026, 3, 3, 12, 0, tzinfo=UTC),
        "booked_at": agenda.now,
    }


async def test_a_taken_slot_cannot_be_booked_again_by_anybody(agendas: list[Agenda]) -> None:
    await agendas[0].book("sala@2026-03-03T09:00")
    for agenda in agendas:
        with pytest.raises(SlotUnavailable, match="somebody else"):
            await agenda.book("sala@2026-03-03T09:00")


async def test_what_is_past_cannot_be_booked(agenda: Agenda) -> None:
    for slot_id in ("sala@2026-03-02T08:00", "sala@2026-03-02T09:00", "sala@2026-02-27T10:00"):
        with pytest.raises(SlotUnavailable, match="past"):
            await agenda.book(slot_id)


NO_SLOTS = [
    "",
    "sala",
    "sala@",
    "@2026-03-03T09:00",
    "outra@2026-03-03T09:00",
    "SALA@2026-03-03T09:00",
    "sala@2026-03-03T07:00",
    "sala@2026-03-03T12:00",
    "sala@2026-03-03T09:30",
    "sala@2026-03-03 09:00",
    "sala@2026-03-03T09:00:00",
    "sala@2026-03-03T09:00Z",
    "sala@2026-03-03T09:00-05:00",
    "sala@20260303T0900",
    "sala@2026-W10-2T09:00",
    "sala@2026-02-30T09:00",
    "sala@amanhã às 9h",
    "sala@sala@2026-03-03T09:00",
    "sala@2026-03-03T09:00' or true",
    "sala@9999-12-31T09:00",
    "sala@0001-01-01T09:00",
]


async def test_what_no_calendar_offers_cannot_be_booked(platform: Platform, agenda: Agenda) -> None:
    for slot_id in NO_SLOTS:
        with pytest.raises(SlotUnavailable, match="is not a slot"):
            await agenda.book(slot_id)
    assert await platform.rows("select 1 from appointments") == []


async def test_the_ends_of_time_are_no_slots_anywhere_in_the_world(agenda: Agenda) -> None:
    agenda.calendars = (calendar(0, 23),)
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        agenda.timezone = ZoneInfo(zone)
        for day in ("9999-12-31", "0001-01-01"):
            with pytest.raises(SlotUnavailable):
                await agenda.book(f"sala@{day}T22:00")


async def test_of_two_contacts_who_want_one_slot_exactly_one_gets_it(platform: Platform, agendas: list[Agenda]) -> None:
    for number in range(10):
        slot_id = f"sala@2026-03-{number + 3:02}T09:00"
        outcomes = await asyncio.gather(*(agenda.book(slot_id) for agenda in agendas), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Slot", "SlotUnavailable"]
    assert len(await platform.rows("select 1 from appointments")) == 10


async def test_a_rolled_back_booking_frees_the_slot(platform: Platform, agendas: list[Agenda]) -> None:
    first, second = agendas
    slot_id = "sala@2026-03-03T09:00"

    async def blocked() -> bool:
        return bool(await platform.rows("select 1 from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0"))

    async def book_and_fail() -> None:
        async with first.db.transaction(first.booker.tenant_id) as tx:
            await first.appointments(tx).book(slot_id, "Ana")
            waiting.append(asyncio.create_task(second.book(slot_id, "Bia")))
            await platform.until(blocked, "the second to wait for the first")
            raise ZeroDivisionError

    waiting: list[asyncio.Task[Slot]] = []
    with pytest.raises(ZeroDivisionError):
        await book_and_fail()
    assert (await waiting[0]).id == slot_id
    assert await platform.row("select patient from appointments") == {"patient": "Bia"}
