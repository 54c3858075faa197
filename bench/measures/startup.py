"""The time that processes need to start, their memory after that, and the imports of the API."""

import json
import subprocess
import sys
import time

from bench.load.bench_context import BenchContext
from bench.report import ReportRow, at_most, met_or_missed

TARGET_SECONDS = {"api": 1.0, "worker-1": 2.0}
SHOWN_NAMES = {"api": "API", "worker-1": "worker"}
MODEL_CLIENTS = (
    "langchain_core",
    "langchain_openai",
    "langchain_groq",
    "langchain_google_genai",
    "langgraph",
    "openai",
)
PRINT_IMPORTED = "import app.asgi, json, sys; print(json.dumps([m for m in sys.argv[1:] if m in sys.modules]))"


async def startup(context: BenchContext) -> list[ReportRow]:
    """Measure the start of API and worker to their ready line.

    The first start is not measured: it writes byte code, and reads files that are not yet in memory.
    """
    await context.restart(workers=0)
    rows = []
    for process, target in TARGET_SECONDS.items():
        child, seconds = context.stack.children[process], []
        for _ in range(context.size(6, 3)):
            child.stop()
            started = time.perf_counter()
            context.stack.start(process)
            seconds.append(time.perf_counter() - started)
        resident_mb = context.stack.resident_mb(process)
        name = f"start of the {SHOWN_NAMES[process]} to its ready line"
        median = sorted(seconds[1:])[len(seconds[1:]) // 2]
        notes = f"{resident_mb:.0f} MB of resident memory after the start"
        rows.append(at_most(name, target, median, "s", notes, resident_mb=resident_mb))
    imported = _find_imported_model_clients(context)
    verdict = met_or_missed(not imported)
    measured = ", ".join(imported) or "none"
    rows.append(ReportRow("model clients that the API imports", "none", measured, verdict, not imported))
    return rows


def _find_imported_model_clients(context: BenchContext) -> list[str]:
    command = [sys.executable, "-c", PRINT_IMPORTED, *MODEL_CLIENTS]
    output = subprocess.run(command, env=context.stack.environment, capture_output=True, check=True).stdout
    imported: list[str] = json.loads(output)
    return imported
