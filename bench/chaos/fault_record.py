"""The record of the faults that a chaos run caused: counts, and a log of events."""

import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class FaultRecord:
    """Counts of faults.

    `self_kills` counts by milestone: processes that killed themselves there.
    `kills` counts by name: processes and servers that the fault injector killed.
    `outages` counts the times in which a server hung, took no writes or refused our token, or the schema was older.
    `lost_answers` counts statements that Postgres ran, and whose answer never arrived. `broken_checkpoints` counts
    those that were overwritten. `clock_steps` counts steps of a process's clock, and `failing_logs` processes whose
    logs could not be written after some seconds.
    `terminated_connections` counts by group, and `failed_starts` by kind of process.
    """

    self_kills: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    outages: Counter[str] = field(default_factory=Counter)
    lost_answers: int = 0
    broken_checkpoints: int = 0
    clock_steps: int = 0
    failing_logs: int = 0
    redis_flushes: int = 0
    terminated_connections: Counter[str] = field(default_factory=Counter)
    failed_starts: Counter[str] = field(default_factory=Counter)
    events: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def total_kills(self) -> int:
        """Return the number of all kills of processes and servers."""
        return self.self_kills.total() + self.kills.total()

    def log(self, event: str) -> None:
        """Add an event to the log, with the seconds since the start of the run."""
        self.events.append(f"{time.monotonic() - self.started:8.2f} {event}")
