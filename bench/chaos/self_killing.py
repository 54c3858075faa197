"""`python -m bench.chaos.self_killing worker|api`: `recado worker` and `recado api`, dying at milestones."""

import os
import random
import signal
import sys
from collections.abc import Mapping, Sequence

import click
import uvloop

from app import asgi, db, listening, telemetry, worker
from app.config import Settings
from app.errors import RecadoError
from app.telemetry import Milestone

LAST_WORDS = "mortal: dies at "
"""What a process writes to its log before it kills itself; the milestone follows."""


class Mortality:
    """A listener that kills its own process, as `kill -9` would, at some of the milestones it is told of."""

    def __init__(self, odds: Mapping[Milestone, float], seed: str) -> None:
        self._odds = odds
        self._random = random.Random(seed)

    def __call__(self, milestone: Milestone) -> None:
        if self._random.random() < self._odds.get(milestone, 0.0):
            os.write(2, f"\n{LAST_WORDS}{milestone}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def _odds(points: Sequence[str], everywhere: float) -> dict[Milestone, float]:
    odds = dict.fromkeys(Milestone, everywhere)
    for point in points:
        name, _, chance = point.rpartition(":")
        try:
            odds[Milestone(name)] = float(chance)
        except ValueError:
            known = ", ".join(Milestone)
            raise click.BadParameter(f"{point!r} is not MILESTONE:PROBABILITY; milestones: {known}") from None
    return odds


POINT = click.option("--point", "points", multiple=True, help="MILESTONE:PROBABILITY, such as 'turn run:0.02'.")
EVERYWHERE = click.option("--everywhere", default=0.0, show_default=True, help="Probability at all other milestones.")
SEED = click.option("--seed", default="0", show_default=True, help="The same seed draws the same numbers.")


@click.group()
def command() -> None:
    """Run a process of Recado that kills itself now and then."""


@command.command("worker")
@POINT
@EVERYWHERE
@SEED
def mortal_worker(points: Sequence[str], everywhere: float, seed: str) -> None:
    """A worker process."""
    settings = Settings.from_environment(required=worker.REQUIRED_ENV)
    telemetry.setup(settings.log_format)
    db.require(settings.database_url)
    uvloop.run(worker.run(settings, announce=True, on_milestone=Mortality(_odds(points, everywhere), seed)))


@command.command("api")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@POINT
@EVERYWHERE
@SEED
def mortal_api(host: str, port: int, points: Sequence[str], everywhere: float, seed: str) -> None:
    """An API process."""
    settings = Settings.from_environment(required=asgi.REQUIRED_ENV)
    telemetry.setup(settings.log_format)
    db.require(settings.database_url)
    asgi.serve(settings, listening.listen(host, port), on_milestone=Mortality(_odds(points, everywhere), seed))


def main() -> None:
    """Runs the command; failures end with 1, as those of `recado` do."""
    try:
        command()
    except RecadoError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
