"""`recado worker`."""

import sys

import click
import uvloop

from app import worker
from app.errors import ConfigurationError
from app.health import Address
from app.supervisor import Supervisor
from cli import environment
from graphs.providers import PROVIDERS


@click.command()
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Worker processes to run.")
@click.option("--child", is_flag=True, hidden=True)
@environment.health_options
def command(processes: int, child: bool, health_at: Address | None) -> None:
    """Run turns: answer the messages that come in."""
    settings = environment.process_settings(worker.REQUIRED_ENV)
    if not settings.providers:
        keys = ", ".join(provider.key_variable for provider in PROVIDERS.values())
        raise ConfigurationError(f"no model provider: set one of {keys}")
    if processes == 1 or child:
        uvloop.run(worker.run(settings, announce=True, health_at=health_at))
        return
    command = [sys.executable, "-m", "cli", "worker", "--child"]
    commands = [[*command, *environment.health_arguments(health_at, position)] for position in range(processes)]
    # Each process says itself when it is ready.
    Supervisor(commands).run()
