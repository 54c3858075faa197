"""What every measure works with: the running system, contacts that talk to it, and a light Twilio that listens."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.chaos.store import UNFINISHED, Store, store
from bench.control import Control
from bench.load.closed_loop import Stalled, Talk
from bench.receiver import Receiver, Sent
from bench.system import Plan, System, system
from bench.traffic import Poster

WORKERS = 2


@dataclass
class Lab:
    """One per run. `quick` measures are shorter, and noisier."""

    system: System
    store: Store
    model: Control
    poster: Poster
    quick: bool
    listeners: list[Callable[[Sent], None]] = field(default_factory=list)

    def scaled(self, full: int, quick: int) -> int:
        """The size of a measure."""
        return quick if self.quick else full

    def talk(self) -> Talk:
        """A group of contacts. It hears until the next measure begins."""
        talk = Talk(self.poster, self.system.number)
        self.listeners.append(talk.heard)
        return talk

    async def ready(self, *, workers: int = 1, model_ms: float = 0.0) -> None:
        """An empty system with so many workers, and a model that takes so long."""
        self.listeners.clear()
        names = [f"worker-{position}" for position in range(1, WORKERS + 1)]
        for name in names:
            self.system.children[name].send(signal.SIGKILL)
            self.system.children[name].stop()
        await self.store.empty()
        await self.model.post("faults", {"latency_ms": model_ms})
        wanted = ["api", "scheduler", *names[:workers]]
        self.system.start(*(name for name in wanted if not self.system.children[name].alive))
        if workers:
            await self._warm_up()

    async def calm(self, timeout: float = 60.0) -> None:
        """Waits until nothing is in hand. Raises Stalled."""
        deadline = time.monotonic() + timeout
        while await self.store.value(UNFINISHED):
            if time.monotonic() > deadline:
                raise Stalled(f"still at work after {timeout:.0f} s")
            await asyncio.sleep(0.05)

    async def _warm_up(self) -> None:
        # Connections, prepared statements, compiled graphs: a process in production has them.
        await self.talk().rounds(range(90_000, 90_008), 3)
        await self.calm()
        self.listeners.clear()


@asynccontextmanager
async def lab(folder: Path, *, quick: bool, callbacks: bool) -> AsyncIterator[Lab]:
    """Everything up but Recado's own processes, which the measures start."""
    listeners: list[Callable[[Sent], None]] = []

    def heard(sent: Sent) -> None:
        for listener in listeners:
            listener(sent)

    receiver = Receiver(heard)
    await receiver.start()
    try:
        async with (
            system(folder, Plan(workers=WORKERS, twilio_url=receiver.url)) as made,
            store(made.servers.databases, made.servers.redis_url) as opened,
            Control(made.addresses["model"]) as model,
        ):
            poster = Poster(made.addresses["api"])
            if callbacks:
                receiver.call_back(poster, made.number)
            yield Lab(made, opened, model, poster, quick, listeners)
            poster.close()
    finally:
        await receiver.close()
