"""`recado scheduler`."""

import click
import uvloop

from app import scheduler
from cli import environment


@click.command()
def command() -> None:
    """Fire timers: idle conversations, handoffs that nobody took."""
    uvloop.run(scheduler.run(environment.process_settings(scheduler.REQUIRED_ENV)))
