"""`python -m bench.chaos.self_killing_process worker|api`: a process of Recado that kills itself at milestones."""

import os
import random
import signal
import sys
from collections.abc import Mapping, Sequence

import click
import uvloop

from app import asgi, database_check, listening, telemetry, worker
from app.config import Settings
from app.errors import RecadoError
from app.telemetry import Milestone

KILL_LOG_PREFIX = "kills itself at milestone: "
"""The text that a process writes to its log before it kills itself. The milestone follows."""


class KillAtMilestone:
    """A milestone hook that kills its own process with SIGKILL, with a probability for each milestone."""

    def __init__(self, probabilities: Mapping[Milestone, float], seed: str) -> None:
        self._probabilities = probabilities
        self._rng = random.Random(seed)
        # On a bad machine, nothing can be written to stderr some seconds later.
        self._log = os.dup(sys.stderr.fileno())

    def __call__(self, milestone: Milestone) -> None:
        if self._rng.random() < self._probabilities.get(milestone, 0.0):
            os.write(self._log, f"\n{KILL_LOG_PREFIX}{milestone}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def _parse_probabilities(kill_at: Sequence[str], elsewhere: float) -> dict[Milestone, float]:
    probabilities = dict.fromkeys(Milestone, elsewhere)
    for option in kill_at:
        name, _, probability = option.rpartition(":")
        try:
            probabilities[Milestone(name)] = float(probability)
        except ValueError:
            known = ", ".join(Milestone)
            raise click.BadParameter(f"{option!r} is not MILESTONE:PROBABILITY; milestones: {known}") from None
    return probabilities


KILL_AT = click.option("--kill-at", multiple=True, help="MILESTONE:PROBABILITY, such as 'turn run:0.02'. Repeatable.")
ELSEWHERE = click.option("--elsewhere", default=0.0, show_default=True, help="Probability at all other milestones.")
SEED = click.option("--seed", default="0", show_default=True, help="The seed of the random numbers.")


@click.group()
def command() -> None:
    """Run a process of Recado that kills itself at random milestones."""


@command.command("worker")
@KILL_AT
@ELSEWHERE
@SEED
def run_worker(kill_at: Sequence[str], elsewhere: float, seed: str) -> None:
    """Run a worker."""
    settings = Settings.from_environment(required=worker.REQUIRED_ENV)
    telemetry.setup(settings.log_format)
    database_check.require(settings, worker.REQUIRED_ENV)
    on_milestone = KillAtMilestone(_parse_probabilities(kill_at, elsewhere), seed)
    uvloop.run(worker.run(settings, announce=True, on_milestone=on_milestone))


@command.command("api")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@KILL_AT
@ELSEWHERE
@SEED
def run_api(host: str, port: int, kill_at: Sequence[str], elsewhere: float, seed: str) -> None:
    """Run the API."""
    settings = Settings.from_environment(required=asgi.REQUIRED_ENV)
    telemetry.setup(settings.log_format)
    database_check.require(settings, asgi.REQUIRED_ENV)
    on_milestone = KillAtMilestone(_parse_probabilities(kill_at, elsewhere), seed)
    asgi.serve(settings, listening.listen(host, port), on_milestone=on_milestone)


def main() -> None:
    """Run the command. Exits with 1 and prints the error when the process cannot start, as `recado` does."""
    try:
        command()
    except RecadoError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
