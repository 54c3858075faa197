"""What `recado tenants test` prints."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devkit.scenarios.checks import Failure
from devkit.scenarios.transcript import Transcript, elapsed


@dataclass(frozen=True)
class Outcome:
    """What became of one scenario. `skipped`: why it was not run; `virtual`: how long it took inside, in seconds."""

    name: str
    place: str
    failures: Sequence[Failure] = ()
    transcript: Transcript | None = None
    virtual: float = 0.0
    skipped: str | None = None


class Report:
    """Prints as scenarios end, and counts."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._began = time.monotonic()
        self._outcomes: list[Outcome] = []

    @property
    def failed(self) -> bool:
        """Whether a scenario has failed."""
        return any(outcome.failures for outcome in self._outcomes)

    def add(self, outcome: Outcome) -> None:
        """Prints one line for what passed; for what failed, what was expected and all that happened."""
        self._outcomes.append(outcome)
        if outcome.skipped is not None:
            self._say(f"skipped  {outcome.name}: {outcome.skipped}")
            return
        self._say(f"{'FAILED' if outcome.failures else 'passed'}   {outcome.name}  ({elapsed(outcome.virtual)})")
        if outcome.failures:
            for failure in outcome.failures:
                self._say(f"    {failure}")
            self._say(f"  what happened in {outcome.place}:\n{outcome.transcript}\n")

    def close(self) -> None:
        """The line that sums up."""
        failed = sum(1 for outcome in self._outcomes if outcome.failures)
        skipped = sum(1 for outcome in self._outcomes if outcome.skipped is not None)
        parts = [f"{len(self._outcomes) - failed - skipped} passed", f"{failed} failed"]
        parts += [f"{skipped} skipped"] if skipped else []
        virtual = sum(outcome.virtual for outcome in self._outcomes)
        took = time.monotonic() - self._began
        self._say(f"{', '.join(parts)} in {took:.1f} s ({elapsed(virtual)} of virtual time)")
