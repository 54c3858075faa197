"""`python -m bench.load`: measures the running system against its targets, and prints one table."""

import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import uvloop

from app.errors import RecadoError
from bench import lifecycle, report, usage
from bench.load.closed_loop import Stalled
from bench.load.context import Lab, lab
from bench.measures.building import building
from bench.measures.crowd import crowd
from bench.measures.folding import folding
from bench.measures.growth import growth
from bench.measures.idle import idle
from bench.measures.recovery import recovery
from bench.measures.replies import idle_latency, thousand, throughput, two_hundred
from bench.measures.starting import starting
from bench.measures.versions import versions
from bench.measures.webhook import webhook
from bench.report import Row

MEASURES: dict[str, Callable[[Lab], Awaitable[list[Row]]]] = {
    "starting": starting,
    "building": building,
    "webhook": webhook,
    "idle": idle,
    "idle-latency": idle_latency,
    "throughput": throughput,
    "growth": growth,
    "crowd": crowd,
    "two-hundred": two_hundred,
    "thousand": thousand,
    "folding": folding,
    "recovery": recovery,
    "versions": versions,
}
REPORT = Path(__file__).parent / "report.json"


async def measure(folder: Path, names: list[str], *, quick: bool, callbacks: bool) -> tuple[list[Row], list[float]]:
    """All the lines of the table, and how fast the machine was between. A measure that fails becomes a line, too."""
    rows: list[Row] = []
    speeds: list[float] = []
    async with lifecycle.until_terminated(), lab(folder, quick=quick, callbacks=callbacks) as ready:
        for name in names:
            began = time.perf_counter()
            try:
                rows += await MEASURES[name](ready)
            except* (Stalled, RecadoError, TimeoutError, OSError) as failed:
                reasons = "; ".join(dict.fromkeys(str(error) or type(error).__name__ for error in failed.exceptions))
                rows.append(Row(name, "", "failed", reasons, met=False))
            speeds.append(usage.machine_speed())
            click.echo(f"  {name}: {time.perf_counter() - began:.1f} s", err=True)
    return rows, speeds


@click.command()
@click.option("--quick", is_flag=True, help="Everything in a minute and a half, with more noise.")
@click.option("--only", "only", multiple=True, type=click.Choice(list(MEASURES)), help="Only this; repeatable.")
@click.option("--callbacks", is_flag=True, help="Post two status callbacks for every reply, as Twilio does.")
@click.option("--report", "path", type=click.Path(path_type=Path), default=REPORT, show_default=True, help="JSON file.")
def command(quick: bool, only: tuple[str, ...], callbacks: bool, path: Path) -> None:
    """Measure Recado against its targets."""
    names = [name for name in MEASURES if not only or name in only]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="recado-bench-") as folder, lifecycle.disposable(Path(folder)):
        rows, speeds = uvloop.run(measure(Path(folder), names, quick=quick, callbacks=callbacks))
    facts = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "quick": quick,
        "status_callbacks": callbacks,
        "twilio": "the driver's own receiver, which accepts at once",
        "million_additions_per_second": [round(speed, 1) for speed in speeds],
        "seconds": round(time.perf_counter() - began, 1),
    }
    report.write(path, rows, **facts)
    click.echo(report.show(rows))
    called_back = "two status callbacks per reply" if callbacks else "no status callbacks"
    click.echo(f"\nTwilio is the driver's own receiver, {called_back}; {facts['seconds']} s; report: {path}")
    spread = f"{min(speeds):.0f} to {max(speeds):.0f} million additions a second in Python"
    click.echo(f"This machine, while it was measured: {spread}.")
    sys.exit(1 if any(row.met is False for row in rows) else 0)


def main() -> None:
    """Runs the command. Exit codes: 0 all targets met, 1 not all, or something did not start."""
    lifecycle.to_the_end(command)


if __name__ == "__main__":
    main()
