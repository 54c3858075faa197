"""Slots that tenants share: caps, rotation, and cancelled waits."""

import asyncio
from uuid import UUID

import pytest

from app.fair_slots import FEW, LONG_CYCLE, FairSlots

NOISY, QUIET, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)


class Holders:
    """Tasks that hold a slot until they are told to end. `order` has the tenants in the order of their slots."""

    def __init__(self, slots: FairSlots) -> None:
        self.slots = slots
        self.order: list[UUID] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._ends: list[tuple[UUID, asyncio.Event]] = []

    def add(self, tenant_id: UUID, count: int = 1) -> None:
        self.tasks += [asyncio.create_task(self._hold(tenant_id)) for _ in range(count)]

    def end_oldest(self) -> None:
        self._ends.pop(0)[1].set()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _hold(self, tenant_id: UUID) -> None:
        async with self.slots.slot(tenant_id):
            self.order.append(tenant_id)
            end = asyncio.Event()
            self._ends.append((tenant_id, end))
            await end.wait()


async def cycles(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_tenant_gets_no_more_than_its_share() -> None:
    holders = Holders(FairSlots(4, 3))
    holders.add(NOISY, 10)
    await cycles()
    assert holders.order == [NOISY] * 3
    holders.add(QUIET)
    await cycles()
    assert holders.order == [NOISY] * 3 + [QUIET]
    await holders.close()


async def test_waiting_tenants_are_served_in_rotation() -> None:
    holders = Holders(FairSlots(1, 1))
    holders.add(NOISY, 4)
    await cycles()
    holders.add(QUIET, 2)
    holders.add(THIRD)
    for _ in range(6):
        await cycles()
        holders.end_oldest()
    await cycles()
    assert holders.order == [NOISY, NOISY, QUIET, THIRD, NOISY, QUIET, NOISY]
    await holders.close()


async def test_few_slots_are_given_out_in_one_cycle() -> None:
    holders = Holders(FairSlots(100, 100, grants_per_cycle=2))
    holders.add(NOISY, 10)
    seen = []
    for _ in range(6):
        await cycles(1)
        seen.append(len(holders.order))
    assert all(after - before <= 2 for before, after in zip([0, *seen], seen, strict=False)), seen
    await cycles(20)
    assert len(holders.order) == 10
    await holders.close()


@pytest.mark.parametrize("when", ["while it waits", "after it got the slot"])
async def test_a_cancelled_wait_keeps_no_slot(when: str) -> None:
    slots = FairSlots(1, 1)
    holders = Holders(slots)
    holders.add(NOISY, 2)
    await cycles()
    if when == "after it got the slot":
        holders.end_oldest()
        await asyncio.sleep(0)
    holders.tasks[1].cancel()
    await asyncio.gather(holders.tasks[1], return_exceptions=True)
    if when == "while it waits":
        holders.end_oldest()
    async with asyncio.timeout(5), slots.slot(QUIET):
        pass
    await holders.close()


async def test_a_busy_tenant_gets_no_more_while_cycles_are_long() -> None:
    """Others get their slots at once. When cycles are short again, it gets the rest."""
    now, cycle = 0.0, 2 * LONG_CYCLE

    def seconds() -> float:
        nonlocal now
        now += cycle
        return now

    slots, done = FairSlots(100, 75, grants_per_cycle=4, seconds=seconds), asyncio.Event()
    holders = list[UUID]()

    async def hold(tenant: UUID) -> None:
        async with slots.slot(tenant):
            holders.append(tenant)
            await done.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(hold(NOISY))
        await cycles(20)
        assert 0 < len(holders) <= FEW + 4, "those of the first cycle, whose length nobody knew"
        group.create_task(hold(QUIET))
        await cycles(3)
        assert holders[-1] == QUIET
        cycle = 0.0
        await cycles(40)
        assert holders.count(NOISY) == 50
        done.set()


async def test_a_long_cycle_that_is_over_keeps_nobody_waiting() -> None:
    """The cycle was long when nobody waited."""
    now, cycle = 0.0, 2 * LONG_CYCLE

    def seconds() -> float:
        nonlocal now
        now += cycle
        return now

    holders = Holders(FairSlots(100, 75, grants_per_cycle=4, seconds=seconds))
    for number in range(FEW + 10):
        cycle = 2 * LONG_CYCLE if number < FEW else 0.0
        holders.add(NOISY)
        await cycles(10)
    assert len(holders.order) == FEW + 10
    await holders.close()
