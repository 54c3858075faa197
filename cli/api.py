"""`recado api`."""

import sys

import click

from app import asgi, listening, telemetry
from app.supervisor import Supervisor
from cli import environment


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
@click.option("--fd", type=click.IntRange(3), help="Listening socket that is inherited, such as systemd's 3.")
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="API processes to run.")
def command(host: str, port: int, fd: int | None, processes: int) -> None:
    """Serve the webhooks and the API."""
    settings = environment.process_settings(asgi.REQUIRED_ENV)
    listener = listening.listen(host, port) if fd is None else listening.inherited(fd)
    if processes == 1:
        asgi.serve(settings, listener)
        return
    # This process keeps the socket open, so that connections wait while a process is started again.
    inherited = listener.fileno()
    command = [sys.executable, "-m", "cli", "api", "--fd", str(inherited)]
    address = listening.address_of(listener)
    Supervisor([command] * processes, pass_fds=[inherited]).run(
        lambda: telemetry.announce(f"recado api starts {processes} processes on {address}")
    )
