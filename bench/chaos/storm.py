"""What a chaos run does to the system: processes and servers killed, restarted by this supervisor, Redis emptied."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, LiteralString

from app.telemetry import Milestone
from bench.chaos.self_killing import LAST_WORDS
from bench.chaos.store import HALF, LOCKS, Store
from bench.system import System
from devkit.embedded import EmbeddedError
from devkit.stack import listen_options

USUAL_ODDS = 0.04
ODDS = {
    Milestone.MESSAGE_STORED: 0.01,
    Milestone.LEG_RUN: 0.15,
    Milestone.LEG_COMMITTED: 0.15,
    Milestone.TOOL_RUN: 0.4,
    Milestone.TOOL_COMMITTED: 0.4,
}
"""How likely a process dies at the milestone that is its own; those of tools are passed rarely."""
ELSEWHERE = 0.001
API_MILESTONES = {Milestone.MESSAGE_STORED}

VICTIMS = {"worker": 6, "api": 3, "scheduler": 1}
PER_POSTGRES, PER_VALKEY, PER_FLUSH, PER_CUT = 30, 25, 12, 2
"""Kills for each kill of a server, each flush of Redis, and each cut of connections to Postgres."""
STRUCK = 0.4
"""The share of all kills that comes from outside, at any moment."""
OUTAGE = (0.0, 3.0)
LOOK_EVERY = 0.05
STRIKE_EVERY = 0.25
START_AGAIN_AFTER = 1.0
"""Seconds before a process is started again that ended by itself, such as one that found no Postgres."""


@dataclass
class Toll:
    """What was killed. `milestones`: where mortal processes killed themselves."""

    milestones: Counter[str] = field(default_factory=Counter)
    external: Counter[str] = field(default_factory=Counter)
    flushes: int = 0
    cuts: Counter[str] = field(default_factory=Counter)
    failed_starts: Counter[str] = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        """All kills of processes and servers."""
        return self.milestones.total() + self.external.total()


class Storm:
    """Kills so that the toll keeps up with `progress` (0 to 1), and starts again what has died."""

    def __init__(self, system: System, store: Store, kills: int, seed: int, progress: Callable[[], float]) -> None:
        self._system = system
        self._store = store
        self._kills = kills
        self._progress = progress
        self._random = random.Random(f"{seed}/storm")
        self._seed = seed
        # One hand for the servers: a restart is finished before another begins, and before everything ends.
        self._hand = ThreadPoolExecutor(1)
        self._began = time.monotonic()
        self._struck: set[str] = set()
        self._starts: Counter[str] = Counter()
        self._wait_until: dict[str, float] = {}
        self._own: dict[str, Milestone] = {}
        self._mortal = True
        self._tasks: list[asyncio.Task[None]] = []
        self.toll = Toll()
        self.events: list[str] = []

    def start(self) -> None:
        """Starts all processes, the supervision, and the kills."""
        for name in self._names():
            self._revive(name)
        self._tasks = [asyncio.create_task(self._supervise()), asyncio.create_task(self._strike())]

    async def cease(self) -> None:
        """No more kills; from now on processes are started as production starts them."""
        self._mortal = False
        strikes = self._tasks.pop()
        strikes.cancel()
        await asyncio.gather(strikes, return_exceptions=True)
        self._hand.submit(lambda: None).result()
        for server in (self._system.servers.postgres, self._system.servers.valkey):
            if server is not None:
                server.start()

    async def close(self) -> None:
        """Ends the supervision and waits for the servers' last restart."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hand.shutdown(wait=True)

    def _names(self) -> list[str]:
        return [name for name in self._system.children if name.partition("-")[0] in VICTIMS]

    def _note(self, what: str) -> None:
        self.events.append(f"{time.monotonic() - self._began:8.2f} {what}")

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for name in self._names():
                child = self._system.children[name]
                if child.alive or time.monotonic() < self._wait_until.get(name, 0.0):
                    continue
                if name in self._wait_until:
                    del self._wait_until[name]
                elif not self._count(name):
                    self._wait_until[name] = time.monotonic() + START_AGAIN_AFTER
                    continue
                self._revive(name)

    def _count(self, name: str) -> bool:
        """Books a death; False when the process was not killed, but ended by itself."""
        child = self._system.children[name]
        code = child.stop()
        _, found, words = child.output().rpartition(LAST_WORDS)
        if found:
            milestone = words.splitlines()[0]
            self.toll.milestones[milestone] += 1
            self._note(f"{name} killed itself at {milestone}")
        elif name in self._struck:
            self.toll.external[name.partition("-")[0]] += 1
            self._note(f"{name} was killed")
        else:
            self.toll.failed_starts[name.partition("-")[0]] += 1
            self._note(f"{name} ended with {code}")
        self._struck.discard(name)
        self._own.pop(name, None)
        return code == -signal.SIGKILL

    def _revive(self, name: str) -> None:
        kind = name.partition("-")[0]
        self._starts[name] += 1
        address = listen_options(self._system.addresses["api"]) if kind == "api" else ()
        if self._mortal and kind in ("api", "worker"):
            point = self._own[name] = self._next_point(kind)
            options = [f"--point={point}:{ODDS.get(point, USUAL_ODDS)}", f"--everywhere={ELSEWHERE}"]
            seed = f"{self._seed}/{name}/{self._starts[name]}"
            self._system.add(name, "bench.chaos.self_killing", kind, *address, *options, f"--seed={seed}")
        else:
            self._system.add(name, "cli", kind, *address)
        self._system.children[name].start()
        self._note(f"{name} starts, pid {self._system.children[name].pid}")

    def _next_point(self, kind: str) -> Milestone:
        """The milestone that has killed least so far, and kills nobody else just now."""
        mine = [m for m in Milestone if (m in API_MILESTONES) == (kind == "api")]
        return min(mine, key=lambda m: (self.toll.milestones[m] + list(self._own.values()).count(m), mine.index(m)))

    async def _strike(self) -> None:
        planned = self._planned()
        while True:
            await asyncio.sleep(STRIKE_EVERY)
            progress = self._progress()
            if planned and progress >= planned[0][0]:
                _, act = planned.pop(0)
                await act()
            elif self._behind(progress):
                self._strike_one()

    def _behind(self, progress: float) -> bool:
        """Whether too few have died so far, or too few from outside."""
        due, struck = self._kills * progress, len(self._struck)
        return self.toll.kills + struck < due or self.toll.external.total() + struck < STRUCK * due

    def _strike_one(self) -> None:
        kinds = self._random.choices(list(VICTIMS), list(VICTIMS.values()))
        names = [name for name in self._names() if name.partition("-")[0] == kinds[0]]
        name = self._random.choice(names)
        if self._system.children[name].alive:
            self._struck.add(name)
            self._system.children[name].send(signal.SIGKILL)

    def _planned(self) -> list[tuple[float, Callable[[], Coroutine[Any, Any, None]]]]:
        """Kills of servers, and flushes, each at its point of the progress."""
        acts = [
            *[self._flush] * max(2, self._kills // PER_FLUSH),
            *[self._cut_locks] * max(2, self._kills // PER_CUT),
            *[self._cut_half] * max(1, self._kills // PER_CUT // 2),
            *([self._kill_valkey] * max(1, self._kills // PER_VALKEY) if self._system.servers.valkey else []),
            *([self._kill_postgres] * max(1, self._kills // PER_POSTGRES) if self._system.servers.postgres else []),
        ]
        return sorted(((self._random.uniform(0.05, 0.95), act) for act in acts), key=lambda planned: planned[0])

    async def _flush(self) -> None:
        if self._store.flush():
            self.toll.flushes += 1
            self._note("redis flushed")

    async def _cut_locks(self) -> None:
        await self._cut("the workers' locks", LOCKS)

    async def _cut_half(self) -> None:
        await self._cut("half of all", HALF)

    async def _cut(self, which: str, connections: LiteralString) -> None:
        if count := await self._store.cut(connections):
            self.toll.cuts[which] += count
            self._note(f"{count} connections to Postgres cut: {which}")

    async def _kill_valkey(self) -> None:
        assert self._system.servers.valkey is not None
        await self._restart("valkey", self._system.servers.valkey.kill, self._system.servers.valkey.start)

    async def _kill_postgres(self) -> None:
        assert self._system.servers.postgres is not None
        await self._restart("postgres", self._system.servers.postgres.kill, self._system.servers.postgres.start)

    async def _restart(self, name: str, kill: Callable[[], None], start: Callable[[], None]) -> None:
        away = self._random.uniform(*OUTAGE)

        def act() -> None:
            kill()
            time.sleep(away)
            start()

        self.toll.external[name] += 1
        self._note(f"{name} killed, to be away for {away:.1f} s")
        try:
            await asyncio.wrap_future(self._hand.submit(act))
        except EmbeddedError as error:
            self._note(f"{name} did not start again: {error}")
            raise
        self._note(f"{name} is back")
