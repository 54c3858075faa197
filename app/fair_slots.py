"""Slots that all tenants share, so that no tenant can keep the others waiting. Used in one event loop."""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

LONG_CYCLE = 0.005
"""Seconds. A cycle of the event loop that takes longer shows that more work is ready than can be done."""
FEW = 4
"""The slots that a tenant gets also while cycles are long."""


class FairSlots:
    """At most `size` slots in all, and at most `per_tenant` for one tenant. Waiting tenants are served in rotation.

    `grants_per_cycle` is the number of slots given out in one cycle of the event loop. It bounds the work that is ready
    at the same time: if 500 turns began in one cycle, the next one would wait until all of them have taken a step. With
    it, a tenant that has more than a FEW slots gets no more while cycles are long.
    """

    def __init__(
        self,
        size: int,
        per_tenant: int,
        grants_per_cycle: int | None = None,
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._free = size
        self._per_tenant = per_tenant
        self._per_cycle = grants_per_cycle or size
        self._watches_cycles = grants_per_cycle is not None
        self._granted = 0
        self._cycle_began: float | None = None
        self._is_long = False
        self._used: Counter[UUID | None] = Counter()
        self._waiting: OrderedDict[UUID | None, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def slot(self, tenant_id: UUID | None) -> AsyncIterator[None]:
        """Hold a slot for the block. What is done for no tenant waits as one tenant's."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant_id, deque()).append(turn)
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            # Cancelled after the slot was given.
            if turn.done() and not turn.cancelled():
                self._give_back(tenant_id)
            raise
        try:
            yield
        finally:
            self._give_back(tenant_id)

    def _give_back(self, tenant_id: UUID | None) -> None:
        self._free += 1
        self._used[tenant_id] -= 1
        if not self._used[tenant_id]:
            del self._used[tenant_id]
        self._grant()

    def _grant(self) -> None:
        """Give slots to the tenants that wait, one each, beginning with the one that was served longest ago."""
        passed_over = 0
        while self._free and self._granted < self._per_cycle and passed_over < len(self._waiting):
            tenant_id, turns = next(iter(self._waiting.items()))
            self._waiting.move_to_end(tenant_id)
            while turns and turns[0].cancelled():
                turns.popleft()
            if not turns:
                del self._waiting[tenant_id]
            elif self._used[tenant_id] < (FEW if self._is_long else self._per_tenant):
                self._take(tenant_id)
                turns.popleft().set_result(None)
                passed_over = 0
            else:
                passed_over += 1
        if self._is_long and self._waiting:
            # Otherwise those that wait now would wait for an end of what is at work, and not of the long cycles.
            self._watch_cycle()

    def _take(self, tenant_id: UUID | None) -> None:
        self._free -= 1
        self._used[tenant_id] += 1
        self._granted += 1
        self._watch_cycle()

    def _watch_cycle(self) -> None:
        """Call `_end_cycle` in the next cycle of the event loop."""
        if self._cycle_began is None:
            self._cycle_began = self._seconds()
            asyncio.get_running_loop().call_soon(self._end_cycle)

    def _end_cycle(self) -> None:
        assert self._cycle_began is not None
        self._is_long = self._watches_cycles and self._seconds() - self._cycle_began > LONG_CYCLE
        self._granted, self._cycle_began = 0, None
        self._grant()
