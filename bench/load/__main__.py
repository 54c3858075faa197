"""`python -m bench.load`: measure the running system, and print a table of results and targets."""

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
from bench import cleanup, process_usage
from bench.load.bench_context import BenchContext, run_bench_context
from bench.load.closed_loop import MeasurementFailed
from bench.measures.debounce import debounce
from bench.measures.graph_build import graph_build
from bench.measures.idle_cpu import idle_cpu
from bench.measures.idle_latency import idle_latency
from bench.measures.long_conversation import long_conversation
from bench.measures.many_conversations import many_conversations
from bench.measures.many_tenants import many_tenants
from bench.measures.noisy_neighbour import noisy_neighbour
from bench.measures.publish import publish
from bench.measures.recovery import recovery
from bench.measures.startup import startup
from bench.measures.stock import stock
from bench.measures.throughput import concurrent_200, concurrent_1000, throughput
from bench.measures.webhook import webhook
from bench.report import ReportRow, format_report, write_report

MEASURES: dict[str, Callable[[BenchContext], Awaitable[list[ReportRow]]]] = {
    "startup": startup,
    "graph-build": graph_build,
    "webhook": webhook,
    "idle-cpu": idle_cpu,
    "idle-latency": idle_latency,
    "throughput": throughput,
    "stock": stock,
    "long-conversation": long_conversation,
    "many-conversations": many_conversations,
    "many-tenants": many_tenants,
    "concurrent-200": concurrent_200,
    "concurrent-1000": concurrent_1000,
    "debounce": debounce,
    "noisy-neighbour": noisy_neighbour,
    "recovery": recovery,
    "publish": publish,
}
REPORT = Path(__file__).parents[1] / "report.json"


async def run_measures(
    folder: Path, names: list[str], *, quick: bool, callbacks: bool
) -> tuple[list[ReportRow], list[float]]:
    """Run measures one after another. A measure that fails is a row of the report, too.

    Returns the rows, and the speed of this machine after each measure, in million additions per second.
    """
    rows: list[ReportRow] = []
    speeds: list[float] = []
    async with cleanup.cancel_on_sigterm(), run_bench_context(folder, quick=quick, callbacks=callbacks) as context:
        for name in names:
            started = time.perf_counter()
            try:
                rows += await MEASURES[name](context)
            except* (MeasurementFailed, RecadoError, TimeoutError, OSError) as failed:
                rows.append(_failed_row(name, failed.exceptions))
            speeds.append(process_usage.measure_additions_per_second())
            click.echo(f"  {name}: measured in {time.perf_counter() - started:.1f} s", err=True)
    return rows, speeds


def _failed_row(name: str, errors: tuple[BaseException, ...]) -> ReportRow:
    reasons = "; ".join(dict.fromkeys(str(error) or type(error).__name__ for error in errors))
    return ReportRow(name, "", "failed", f"{reasons}; to repeat it: just bench --only {name}", met=False)


@click.command()
@click.option("--quick", is_flag=True, help="Take a minute and a half. The results are less exact.")
@click.option("--only", "only", multiple=True, type=click.Choice(list(MEASURES)), help="Run this measure. Repeatable.")
@click.option("--callbacks", is_flag=True, help="Post two status callbacks for every reply, as Twilio does.")
@click.option("--report", "path", type=click.Path(path_type=Path), default=REPORT, show_default=True, help="JSON file.")
def command(quick: bool, only: tuple[str, ...], callbacks: bool, path: Path) -> None:
    """Measure Recado, and compare the results with their targets."""
    names = [name for name in MEASURES if not only or name in only]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="recado-bench-") as folder, cleanup.remove_server_data(Path(folder)):
        rows, speeds = uvloop.run(run_measures(Path(folder), names, quick=quick, callbacks=callbacks))
    facts = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "quick": quick,
        "status_callbacks": callbacks,
        "twilio": "a stub that accepts every message at once",
        "million_additions_per_second": [round(speed, 1) for speed in speeds],
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_report(path, rows, **facts)
    click.echo(format_report(rows))
    posted = "posts two status callbacks per reply" if callbacks else "posts no status callbacks"
    click.echo(f"\nTwilio is a stub that accepts every message at once and {posted}.")
    spread = f"{min(speeds):.0f} to {max(speeds):.0f} million additions per second"
    click.echo(f"Python on this machine made {spread} during the measures, which took {facts['seconds']} s.")
    click.echo(f"The same as JSON: {path}")
    sys.exit(1 if any(row.met is False for row in rows) else 0)


def main() -> None:
    """Run the command. Exits with 1 when a target was missed, when a measure failed, or when a start failed."""
    cleanup.run_command(command)


if __name__ == "__main__":
    main()
