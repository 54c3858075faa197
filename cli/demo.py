"""`recado demo`."""

from pathlib import Path

import click

from cli import environment
from graphs.providers import PROVIDERS

HELP = f"""Show the whole system on this machine: no keys, no account, no Docker.

FOLDERS are tenants of your own, such as `recado tenants new` writes. Each gets a number, beside the demo's tenants.

Set the key of a model provider, and the real model answers. Twilio stays simulated. The keys are
{", ".join(provider.key_variable for provider in PROVIDERS.values())}.
"""


@click.command(help=HELP)
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Where the demo keeps its data.")
@click.option("--smoke", "only_smoke", is_flag=True, help="Send one message, print the reply and its timing, and end.")
def command(folders: tuple[Path, ...], data: Path | None, only_smoke: bool) -> None:
    """Run the demo until Ctrl-C, or until the reply to one message with `--smoke`."""
    demo = environment.devkit_module("devkit.demo")
    folder = data or demo.default_folder()
    with demo.run(folder.resolve(), [*demo.TENANTS, *demo.own_tenants(folders)], click.echo) as running:
        if only_smoke:
            demo.smoke(running, click.echo)
        else:
            demo.stay(running)
