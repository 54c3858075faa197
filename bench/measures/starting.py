"""How long processes take to be ready, how big they are then, and what the API does not import."""

import json
import subprocess
import sys
import time

from bench.load.context import Lab
from bench.report import Row, at_most

TARGETS = {"api": 1.0, "worker-1": 2.0}
MODEL_CLIENTS = (
    "langchain_core",
    "langchain_openai",
    "langchain_groq",
    "langchain_google_genai",
    "langgraph",
    "openai",
)
LOADED = "import app.asgi, json, sys; print(json.dumps([m for m in sys.argv[1:] if m in sys.modules]))"


async def starting(lab: Lab) -> list[Row]:
    """Warm starts: the byte code and the files are in memory."""
    await lab.ready(workers=0)
    rows = []
    for name, target in TARGETS.items():
        child, times = lab.system.children[name], []
        for _ in range(lab.scaled(6, 3)):
            child.stop()
            began = time.perf_counter()
            lab.system.start(name)
            times.append(time.perf_counter() - began)
        resident = lab.system.rss(name)
        what = f"start of {name.partition('-')[0]} to its ready line"
        middle = sorted(times[1:])[len(times[1:]) // 2]
        rows.append(at_most(what, target, middle, "s", f"{resident:.0f} MB resident then", resident_mb=resident))
    found = _loaded(lab)
    verdict = "met" if not found else "MISSED"
    rows.append(Row("model clients imported by the API", "none", ", ".join(found) or "none", verdict, not found))
    return rows


def _loaded(lab: Lab) -> list[str]:
    command = [sys.executable, "-c", LOADED, *MODEL_CLIENTS]
    output = subprocess.run(command, env=lab.system.environment, capture_output=True, check=True).stdout
    found: list[str] = json.loads(output)
    return found
