"""Replies per second, as ratios to a stock server on the same machine, in the same minute."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.load.bench_context import WORKERS, BenchContext
from bench.load.closed_loop import ClosedLoop, LoopResult
from bench.report import ReportRow, at_least, percentile
from bench.webhook_client import WebhookClient


@dataclass(frozen=True)
class Load:
    """So many contacts at once, and the milliseconds that the model takes."""

    contacts: int
    model_ms: float


AT_ONCE, SLOW_MODEL = Load(64, 0.0), Load(200, 500.0)


async def stock(context: BenchContext) -> list[ReportRow]:
    """Compare Recado with FastAPI, LangGraph's saver and ChatOpenAI in one process: same prompt, model and Twilio."""
    baseline = {load: await _stock_result(context, load) for load in (AT_ONCE, SLOW_MODEL)}
    one = await _recado_result(context, AT_ONCE, workers=1)
    both = await _recado_result(context, AT_ONCE, workers=WORKERS)
    slow = await _recado_result(context, SLOW_MODEL, workers=WORKERS)
    return [
        _row("replies/s, model at 0 ms, one worker / stock server", 3.0, one, baseline[AT_ONCE]),
        _row(f"replies/s, model at 0 ms, {WORKERS} workers / stock server", 4.0, both, baseline[AT_ONCE]),
        _row(
            f"replies/s, 200 contacts, model at 500 ms, {WORKERS} workers / stock server",
            4.0,
            slow,
            baseline[SLOW_MODEL],
        ),
    ]


def _row(name: str, target: float, result: LoopResult, baseline: LoopResult) -> ReportRow:
    notes = ", ".join(
        f"{who} {each.replies_per_second:.0f}/s with p50 {percentile(each.latencies, 0.5) * 1000:.0f} ms"
        for who, each in (("Recado", result), ("stock", baseline))
    )
    return at_least(name, target, result.replies_per_second / baseline.replies_per_second, "x", notes)


async def _recado_result(context: BenchContext, load: Load, *, workers: int) -> LoopResult:
    await context.restart(workers=workers, model_ms=load.model_ms)
    return await _run(context, context.new_closed_loop(), load)


async def _stock_result(context: BenchContext, load: Load) -> LoopResult:
    await context.restart(workers=0, model_ms=load.model_ms)
    with _stock_client(context) as client:
        loop = ClosedLoop(client, context.stack.number)
        context.reply_listeners.append(loop.on_reply)
        return await _run(context, loop, load)


async def _run(context: BenchContext, loop: ClosedLoop, load: Load) -> LoopResult:
    # The first turns of a conversation create rows that later turns only update, so they are not measured.
    await loop.run_rounds(range(load.contacts), 2)
    return await loop.run_for(range(load.contacts), context.size(10, 4))


@contextmanager
def _stock_client(context: BenchContext) -> Iterator[WebhookClient]:
    """Run a stock server during the block."""
    stack = context.stack
    urls = f"{stack.addresses['model']}/v1", stack.servers.databases.owner, stack.addresses["twilio"]
    stack.add("stock", "bench.measures.stock_server", *urls)
    client = WebhookClient(stack.start("stock")["stock"])
    try:
        yield client
    finally:
        client.close()
        stack.stop("stock")
