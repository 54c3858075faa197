"""One load for all who want the same thing at the same time."""

import asyncio

import pytest

from tools.single_flight import SingleFlight


class Loads:
    """Counts loads, which end when they are told to."""

    def __init__(self) -> None:
        self.count = 0
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def load(self) -> str:
        self.count += 1
        return await asyncio.shield(self.end)


async def test_all_who_ask_share_one_load() -> None:
    flight, loads = SingleFlight[str, str](), Loads()
    asking = [asyncio.create_task(flight.run("a", loads.load)) for _ in range(5)]
    await asyncio.sleep(0)
    loads.end.set_result("found")
    assert await asyncio.gather(*asking) == ["found"] * 5
    assert loads.count == 1


async def test_keys_do_not_wait_for_each_other() -> None:
    flight, never, ends = SingleFlight[str, str](), Loads(), Loads()
    waiting = asyncio.create_task(flight.run("a", never.load))
    ends.end.set_result("found")
    assert await flight.run("b", ends.load) == "found"
    waiting.cancel()
    never.end.set_result("late")


async def test_who_gives_up_does_not_end_the_load() -> None:
    flight, loads = SingleFlight[str, str](), Loads()
    impatient, patient = (asyncio.create_task(flight.run("a", loads.load)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    loads.end.set_result("found")
    assert await patient == "found"


async def test_a_failure_is_for_all_and_not_kept() -> None:
    flight, loads = SingleFlight[str, str](), Loads()
    asking = [asyncio.create_task(flight.run("a", loads.load)) for _ in range(2)]
    await asyncio.sleep(0)
    loads.end.set_exception(OSError("away"))
    assert [type(ended) for ended in await asyncio.gather(*asking, return_exceptions=True)] == [OSError, OSError]
    again = Loads()
    again.end.set_result("found")
    assert await flight.run("a", again.load) == "found"
    with pytest.raises(OSError, match="away"):
        await loads.end
