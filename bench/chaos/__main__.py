"""`python -m bench.chaos`: inject faults into a running system while contacts write, and count what went wrong."""

import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click
import uvloop

from bench import cleanup
from bench.chaos.result_table import format_details, format_result
from bench.chaos.run import ChaosOptions, run_chaos

SMALL = {"messages": 300, "kills": 20, "contacts": 20}


@click.command()
@click.option("--messages", default=2000, show_default=True, type=click.IntRange(1), help="Messages to write.")
@click.option("--kills", default=100, show_default=True, type=click.IntRange(1), help="Kills, at least.")
@click.option("--contacts", default=60, show_default=True, type=click.IntRange(1), help="Contacts that write.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 16), help="Worker processes.")
@click.option("--seed", default=1, show_default=True, help="The seed of messages, faults and kills.")
@click.option("--small", is_flag=True, help="Take 1 to 2 minutes, for CI: 300 messages, 20 kills, 20 contacts.")
@click.option("--keep", is_flag=True, help="Keep the logs of a run that found nothing, too.")
def command(messages: int, kills: int, contacts: int, workers: int, seed: int, small: bool, keep: bool) -> None:
    """Kill processes and servers while contacts write, then look for messages lost, repeated or out of order."""
    options = ChaosOptions(messages, kills, contacts, workers, seed)
    if small:
        options = ChaosOptions(workers=workers, seed=seed, **SMALL)
    # The pool warns about each broken connection, and this run breaks them on purpose.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="recado-chaos-"))
    started, result = time.monotonic(), None
    try:
        with cleanup.remove_server_data(folder):
            result = uvloop.run(run_chaos(folder, options))
    finally:
        if keep or result is None or result.failed:
            click.echo(f"The logs are in {folder / 'logs'}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    click.echo(format_result(result))
    click.echo(f"\nseed {seed}, {time.monotonic() - started:.0f} s in all")
    if result.failed:
        for line in format_details(result):
            click.echo(line)
        click.echo(
            f"FAILED: evidence.json in {folder / 'logs'} has all rows of these contacts, and faults.log has all faults."
        )
        sys.exit(1)


def main() -> None:
    """Run the command. Exits with 1 when something went wrong or did not start."""
    cleanup.run_command(command)


if __name__ == "__main__":
    main()
