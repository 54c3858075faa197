"""`recado scheduler`."""

import click
import uvloop

from app import scheduler
from app.health import Address
from cli import environment


@click.command()
@environment.health_options
def command(health_at: Address | None) -> None:
    """Fire timers: idle conversations, handoffs that nobody took."""
    uvloop.run(scheduler.run(environment.process_settings(scheduler.REQUIRED_ENV), health_at=health_at))
