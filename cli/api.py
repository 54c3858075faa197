"""`recado api`."""

import click

from app import asgi
from cli import environment


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
def command(host: str, port: int) -> None:
    """Serve the webhooks and the API."""
    asgi.serve(environment.process_settings(asgi.REQUIRED_ENV), host, port)
