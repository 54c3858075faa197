"""`recado demo`."""

from pathlib import Path

import click

from cli import environment


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Where the demo keeps its data.")
@click.option("--smoke", "only_smoke", is_flag=True, help="Send one message, print the reply and its timing, and end.")
def command(folders: tuple[Path, ...], data: Path | None, only_smoke: bool) -> None:
    """Show the whole system on this machine: no keys, no account, no Docker.

    FOLDERS are tenants of your own, such as `recado tenants new` writes: they get a number each, beside ours.

    With OPENAI_API_KEY, GROQ_API_KEY or GOOGLE_API_KEY set, the real model answers; Twilio stays simulated.
    """
    demo = environment.devkit_module("devkit.demo")
    folder = data or demo.default_folder()
    with demo.run(folder.resolve(), [*demo.TENANTS, *demo.own_tenants(folders)], click.echo) as running:
        if only_smoke:
            demo.smoke(running, click.echo)
        else:
            demo.stay(running)
