"""Recado's processes in a chaos run: they kill themselves at milestones, and are started again when they end."""

import asyncio
import random
import signal
import time
from collections import Counter
from pathlib import Path

from app.telemetry import Milestone
from bench.chaos.bad_machine import write_clock
from bench.chaos.fault_record import FaultRecord
from bench.chaos.self_killing_process import KILL_LOG_PREFIX
from bench.stack import BenchStack
from devkit.stack import listen_options

RESTARTED_KINDS = ("worker", "api", "scheduler")
SELF_KILLING_KINDS = ("worker", "api")
API_MILESTONES = {Milestone.MESSAGE_STORED}

KILL_PROBABILITIES = {
    Milestone.MESSAGE_STORED: 0.01,
    Milestone.LEG_RUN: 0.15,
    Milestone.LEG_COMMITTED: 0.15,
    Milestone.TOOL_RUN: 0.4,
    Milestone.TOOL_COMMITTED: 0.4,
}
"""How likely a process kills itself each time it passes its milestone. Those of tools are passed rarely."""
DEFAULT_KILL_PROBABILITY = 0.04
PROBABILITY_ELSEWHERE = 0.001
"""The probability at the milestones that a process does not have as its own."""

BAD_MACHINE = "bench.chaos.bad_machine"
CLOCK_ERROR = 90.0
"""Seconds by which a process's clock is wrong at most."""
LOGS_FAIL, LOGS_FAIL_AFTER = 0.25, (3.0, 20.0)
"""The share of the processes whose logs fail, and the seconds until then."""

POLL = 0.05
FAILED_START_DELAY = 1.0
"""Seconds before a process is started again that ended without a kill, for example because Postgres was down."""


def process_kind(name: str) -> str:
    """Return the kind of a process: `worker` for `worker-2`."""
    return name.partition("-")[0]


class ProcessRestarter:
    """Starts Recado's processes, and starts each again when it ends. Counts and logs how each ended."""

    def __init__(self, stack: BenchStack, seed: int, record: FaultRecord) -> None:
        self._stack = stack
        self._seed = seed
        self._rng = random.Random(f"{seed}/machines")
        self._record = record
        self._self_kills_enabled = True
        self._killed: set[str] = set()
        self._starts: Counter[str] = Counter()
        self._start_not_before: dict[str, float] = {}
        self._milestones: dict[str, Milestone] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start all processes, and restart those that end from now on."""
        for name in self.process_names():
            self._start_process(name)
        self._task = asyncio.create_task(self._restart_ended_processes())

    async def close(self) -> None:
        """Stop to restart processes. Those that run are not ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def disable_self_kills(self) -> None:
        """Start processes as in production from now on. Those that run may still kill themselves."""
        self._self_kills_enabled = False

    def process_names(self) -> list[str]:
        """Return the names of all workers, APIs and schedulers."""
        return [name for name in self._stack.children if process_kind(name) in RESTARTED_KINDS]

    @property
    def uncounted_kills(self) -> int:
        """Return how many processes were killed and not yet found dead."""
        return len(self._killed)

    def kill(self, name: str) -> None:
        """Send SIGKILL to a process, if it runs. It is counted when it is found dead."""
        if self._stack.children[name].alive:
            self._killed.add(name)
            self._stack.children[name].send(signal.SIGKILL)

    async def _restart_ended_processes(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            for name in self.process_names():
                if self._stack.children[name].alive or time.monotonic() < self._start_not_before.get(name, 0.0):
                    continue
                if name in self._start_not_before:
                    del self._start_not_before[name]
                elif not self._count_end(name):
                    self._start_not_before[name] = time.monotonic() + FAILED_START_DELAY
                    continue
                self._start_process(name)

    def _count_end(self, name: str) -> bool:
        """Count and log the end of a process. Returns whether it was killed."""
        child, kind = self._stack.children[name], process_kind(name)
        exit_code = child.stop()
        _, killed_itself, rest = child.output().rpartition(KILL_LOG_PREFIX)
        if killed_itself:
            milestone = rest.splitlines()[0]
            self._record.self_kills[milestone] += 1
            self._record.log(f"{name} killed itself at milestone: {milestone}")
        elif name in self._killed:
            self._record.kills[kind] += 1
            self._record.log(f"{name} was killed")
        else:
            self._record.failed_starts[kind] += 1
            self._record.log(f"{name} ended by itself, exit code {exit_code}")
        self._killed.discard(name)
        self._milestones.pop(name, None)
        return exit_code == -signal.SIGKILL

    def step_clock(self, name: str) -> None:
        """Let a process's clock be wrong by another time."""
        error = self._rng.uniform(-CLOCK_ERROR, CLOCK_ERROR)
        write_clock(self._clock_of(name), error)
        self._record.log(f"the clock of {name} is {error:+.1f} s wrong")

    def _clock_of(self, name: str) -> Path:
        return self._stack.folder / f"{name}.clock"

    def _on_a_bad_machine(self, name: str) -> list[str]:
        """Return the command that runs a module on a machine whose clock is wrong, and whose logs may fail."""
        self.step_clock(name)
        options = [f"--clock={self._clock_of(name)}"]
        if self._rng.random() < LOGS_FAIL:
            self._record.failing_logs += 1
            options.append(f"--logs-fail-after={self._rng.uniform(*LOGS_FAIL_AFTER):.1f}")
        return options

    def _start_process(self, name: str) -> None:
        kind = process_kind(name)
        self._starts[name] += 1
        machine = self._on_a_bad_machine(name)
        address = listen_options(self._stack.addresses["api"]) if kind == "api" else ()
        if self._self_kills_enabled and kind in SELF_KILLING_KINDS:
            milestone = self._milestones[name] = self._next_milestone(kind)
            probability = KILL_PROBABILITIES.get(milestone, DEFAULT_KILL_PROBABILITY)
            options = [f"--kill-at={milestone}:{probability}", f"--elsewhere={PROBABILITY_ELSEWHERE}"]
            seed = f"{self._seed}/{name}/{self._starts[name]}"
            program = ["bench.chaos.self_killing_process", kind, *address, *options, f"--seed={seed}"]
        else:
            program = ["cli", kind, *address]
        self._stack.add(name, BAD_MACHINE, *machine, *program)
        self._stack.children[name].start()
        self._record.log(f"{name} started, pid {self._stack.children[name].pid}")

    def _next_milestone(self, kind: str) -> Milestone:
        """Return the milestone with the fewest kills. A process that runs with a milestone counts as one kill."""
        candidates = [milestone for milestone in Milestone if (milestone in API_MILESTONES) == (kind == "api")]
        running = list(self._milestones.values())
        # min() returns the first of equals, so equals are taken in the order of the milestones.
        return min(candidates, key=lambda milestone: self._record.self_kills[milestone] + running.count(milestone))
