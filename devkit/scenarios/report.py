"""Print the results of `recado tenants test`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devkit.scenarios.checks import Failure
from devkit.scenarios.transcript import Transcript, elapsed


@dataclass(frozen=True)
class ScenarioResult:
    """The result of one scenario.

    `place` is the scenario's file, `virtual_seconds` its duration, and `skipped` the reason why it was not run.
    """

    name: str
    place: str
    failures: Sequence[Failure] = ()
    transcript: Transcript | None = None
    virtual_seconds: float = 0.0
    skipped: str | None = None


class SuiteReport:
    """Prints each result when it is added, and a summary at the end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._began = time.monotonic()
        self._results: list[ScenarioResult] = []

    @property
    def failed(self) -> bool:
        """Whether a scenario has failed."""
        return any(result.failures for result in self._results)

    def add(self, result: ScenarioResult) -> None:
        """Print one line. For a failed scenario, print also its failures and its transcript."""
        self._results.append(result)
        if result.skipped is not None:
            self._say(f"skipped  {result.name}: {result.skipped}")
            return
        self._say(f"{'FAILED' if result.failures else 'passed'}   {result.name}  ({elapsed(result.virtual_seconds)})")
        if result.failures:
            for failure in result.failures:
                self._say(f"    {failure}")
            self._say(f"  what happened in {result.place}:\n{result.transcript}\n")

    def print_summary(self) -> None:
        """Print the numbers of scenarios that passed, failed and were skipped."""
        failed = sum(1 for result in self._results if result.failures)
        skipped = sum(1 for result in self._results if result.skipped is not None)
        parts = [f"{len(self._results) - failed - skipped} passed", f"{failed} failed"]
        parts += [f"{skipped} skipped"] if skipped else []
        virtual_seconds = sum(result.virtual_seconds for result in self._results)
        took = time.monotonic() - self._began
        self._say(f"{', '.join(parts)} in {took:.1f} s ({elapsed(virtual_seconds)} of virtual time)")
