"""The faults of a chaos run: processes and servers are killed, connections are broken, and Redis is emptied."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import LiteralString, NamedTuple

from app.supervisor import Child
from bench.chaos import outages
from bench.chaos.fault_record import FaultRecord
from bench.chaos.process_restarter import ProcessRestarter, process_kind
from bench.simulator_control import SimulatorControl
from bench.stack import BenchStack
from bench.storage import HALF_OF_CONNECTIONS, LOCK_CONNECTIONS, BenchStorage
from devkit.embedded import EmbeddedError
from devkit.embedded.process import ServerProcess
from devkit.simulators.lossy_proxy import LossyProxy

KILL_WEIGHTS = {"worker": 6, "api": 3, "scheduler": 1}
KILLS_PER_POSTGRES_KILL, KILLS_PER_VALKEY_KILL, KILLS_PER_REDIS_FLUSH, KILLS_PER_TERMINATION = 30, 25, 12, 2
KILLS_PER_OUTAGE, KILLS_PER_LOST_ANSWER, KILLS_PER_BROKEN_CHECKPOINT, KILLS_PER_CLOCK_STEP = 30, 4, 10, 5
REVOKED = "revoked"
LOST_ANSWER_SIZES = (0, 200, 1000)
"""The least bytes of a statement whose answer is lost: of any, of a claim, and of a commit."""
INJECTED_SHARE = 0.4
"""The smallest share of the kills so far that this injector makes. The rest are self-kills at milestones."""
OUTAGE_SECONDS = (0.0, 3.0)
POLL = 0.25


class PlannedFault(NamedTuple):
    """A fault that is due when this share of the messages is acknowledged, from 0 to 1."""

    progress: float
    inject: Callable[[], Awaitable[None]]


class FaultInjector:
    """Injects faults in proportion to `progress`, which returns the share of acknowledged messages, from 0 to 1."""

    def __init__(
        self,
        stack: BenchStack,
        storage: BenchStorage,
        restarter: ProcessRestarter,
        proxy: LossyProxy,
        twilio: SimulatorControl,
        record: FaultRecord,
        kills: int,
        seed: int,
        progress: Callable[[], float],
    ) -> None:
        self._stack = stack
        self._storage = storage
        self._restarter = restarter
        self._proxy = proxy
        self._twilio = twilio
        self._record = record
        self._kills = kills
        self._progress = progress
        self._rng = random.Random(f"{seed}/faults")
        # One thread, so that the restart of a server is complete before another one or the end of the run begins.
        self._server_thread = ThreadPoolExecutor(1)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to inject faults."""
        self._task = asyncio.create_task(self._inject_faults())

    async def stop(self) -> None:
        """Inject no more faults, and make sure that all servers run again."""
        await self._cancel()
        self._server_thread.submit(lambda: None).result()
        for server in (self._stack.servers.postgres, self._stack.servers.valkey):
            if server is not None:
                server.start()

    async def close(self) -> None:
        """Inject no more faults, and wait until the last restart of a server is complete."""
        await self._cancel()
        self._server_thread.shutdown(wait=True)

    async def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _inject_faults(self) -> None:
        planned = self._plan_faults()
        while True:
            await asyncio.sleep(POLL)
            progress = self._progress()
            if planned and progress >= planned[0].progress:
                await planned.pop(0).inject()
            elif self._kill_is_due(progress):
                self._kill_a_process()

    def _kill_is_due(self, progress: float) -> bool:
        """Return whether there are too few kills so far, or too few of them by this injector."""
        due, uncounted = self._kills * progress, self._restarter.uncounted_kills
        injected = self._record.kills.total() + uncounted
        return self._record.total_kills + uncounted < due or injected < INJECTED_SHARE * due

    def _kill_a_process(self) -> None:
        (kind,) = self._rng.choices(list(KILL_WEIGHTS), list(KILL_WEIGHTS.values()))
        names = [name for name in self._restarter.process_names() if process_kind(name) == kind]
        self._restarter.kill(self._rng.choice(names))

    def _plan_faults(self) -> list[PlannedFault]:
        """Return the faults of servers and connections, in order. Only embedded servers are killed."""
        faults = [
            *[self._flush_redis] * max(2, self._kills // KILLS_PER_REDIS_FLUSH),
            *[self._terminate_lock_connections] * max(2, self._kills // KILLS_PER_TERMINATION),
            *[self._terminate_half] * max(1, self._kills // KILLS_PER_TERMINATION // 2),
        ]
        faults += [self._lose_answer] * max(2, self._kills // KILLS_PER_LOST_ANSWER)
        faults += [self._break_checkpoint] * max(2, self._kills // KILLS_PER_BROKEN_CHECKPOINT)
        faults += [self._step_clock] * max(2, self._kills // KILLS_PER_CLOCK_STEP)
        faults += [self._revoke_token] * max(1, self._kills // KILLS_PER_OUTAGE)
        for name, outage in self._outages().items():
            faults += [partial(self._run_outage, name, outage)] * max(1, self._kills // KILLS_PER_OUTAGE)
        if self._stack.servers.valkey:
            faults += [self._kill_valkey] * max(1, self._kills // KILLS_PER_VALKEY_KILL)
        if self._stack.servers.postgres:
            faults += [self._kill_postgres] * max(1, self._kills // KILLS_PER_POSTGRES_KILL)
        planned = [PlannedFault(self._rng.uniform(0.05, 0.95), fault) for fault in faults]
        return sorted(planned, key=lambda fault: fault.progress)

    def _outages(self) -> Mapping[str, Callable[[], AbstractContextManager[None]]]:
        """Return the outages by name. Only what runs on this machine hangs."""
        servers, owner = self._stack.servers, self._stack.servers.databases.owner
        hanging: dict[str, ServerProcess | Child | None] = {
            "Postgres": servers.postgres,
            "Valkey": servers.valkey,
            "the simulated Twilio": self._stack.children.get("twilio"),
            "the simulated model": self._stack.children.get("model"),
        }
        return {
            "Postgres is read-only for new sessions": partial(outages.read_only_database, owner),
            "Postgres is read-only for all sessions": partial(outages.read_only_server, owner),
            "the disk of Postgres is full": partial(outages.full_disk, owner),
            "the schema is older than the code": partial(outages.older_schema, owner),
            **{f"{name} hangs": partial(_hang, server) for name, server in hanging.items() if server is not None},
        }

    async def _run_outage(self, name: str, outage: Callable[[], AbstractContextManager[None]]) -> None:
        seconds = self._rng.uniform(*OUTAGE_SECONDS)

        def begin_wait_end() -> None:
            with outage():
                time.sleep(seconds)

        self._record.outages[name] += 1
        self._record.log(f"{name} for {seconds:.1f} s")
        await asyncio.wrap_future(self._server_thread.submit(begin_wait_end))
        self._record.log(f"no longer: {name}")

    async def _revoke_token(self) -> None:
        """Let Twilio refuse our token for some seconds."""
        seconds = self._rng.uniform(*OUTAGE_SECONDS)
        self._record.outages["Twilio refuses the token"] += 1
        self._record.log(f"Twilio refuses the token for {seconds:.1f} s")
        try:
            await self._set_token(REVOKED)
            await asyncio.sleep(seconds)
        finally:
            await self._set_token(None)
        self._record.log("Twilio takes the token again")

    async def _set_token(self, token: str | None) -> None:
        """Replace the token of our numbers at Twilio. None restores it."""
        for number in (self._stack.number, self._stack.debounced_number):
            replaced = number if token is None else replace(number, auth_token=token)
            await self._twilio.post("numbers", replaced.as_simulated(self._stack.addresses["api"]))

    async def _step_clock(self) -> None:
        self._record.clock_steps += 1
        self._restarter.step_clock(self._rng.choice(self._restarter.process_names()))

    async def _lose_answer(self) -> None:
        self._record.lost_answers = self._proxy.lost
        self._proxy.lose_answer_after(self._rng.choice(LOST_ANSWER_SIZES))

    async def _break_checkpoint(self) -> None:
        if thread := await self._storage.break_checkpoint():
            self._record.broken_checkpoints += 1
            self._record.log(f"the checkpoint of {thread} is overwritten")

    async def _flush_redis(self) -> None:
        if self._storage.flush_redis():
            self._record.redis_flushes += 1
            self._record.log("redis was flushed")

    async def _terminate_lock_connections(self) -> None:
        await self._terminate("those that hold a worker's lease", LOCK_CONNECTIONS)

    async def _terminate_half(self) -> None:
        await self._terminate("half of all", HALF_OF_CONNECTIONS)

    async def _terminate(self, group: str, connections: LiteralString) -> None:
        if count := await self._storage.terminate_connections(connections):
            self._record.terminated_connections[group] += count
            self._record.log(f"{count} connections to Postgres were terminated: {group}")

    async def _kill_valkey(self) -> None:
        assert self._stack.servers.valkey is not None
        await self._kill_and_restart("valkey", self._stack.servers.valkey.kill, self._stack.servers.valkey.start)

    async def _kill_postgres(self) -> None:
        assert self._stack.servers.postgres is not None
        await self._kill_and_restart("postgres", self._stack.servers.postgres.kill, self._stack.servers.postgres.start)

    async def _kill_and_restart(self, name: str, kill: Callable[[], None], start: Callable[[], None]) -> None:
        outage = self._rng.uniform(*OUTAGE_SECONDS)

        def kill_wait_start() -> None:
            kill()
            time.sleep(outage)
            start()

        self._record.kills[name] += 1
        self._record.log(f"{name} is killed, and started again after {outage:.1f} s")
        try:
            await asyncio.wrap_future(self._server_thread.submit(kill_wait_start))
        except EmbeddedError as error:
            self._record.log(f"{name} did not start again: {error}")
            raise
        self._record.log(f"{name} runs again")


def _hang(server: ServerProcess | Child) -> AbstractContextManager[None]:
    return outages.hung([] if server.pid is None else [server.pid])
