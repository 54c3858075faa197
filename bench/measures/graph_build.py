"""The time to load a tenant's files and to build its graph. A worker does both once for each version."""

import time

from bench.load.bench_context import BenchContext
from bench.report import ReportRow, at_most
from graphs.builder import build
from manifest.loader import MAIN, load

AGENTS, TOOLS = 20, 60
TARGET_MS = 50
ROUNDS = 5


async def graph_build(_: BenchContext) -> list[ReportRow]:
    """Measure a large tenant, and return the fastest of ROUNDS rounds."""
    files = {MAIN: _large_assistant_yaml(), **{f"prompts/a{number}.md": "Você ajuda." for number in range(AGENTS)}}
    load_ms, build_ms = [], []
    for _round in range(ROUNDS):
        started = time.perf_counter()
        loaded = load(files)
        loaded_at = time.perf_counter()
        build(loaded.assistant)
        build_ms.append((time.perf_counter() - loaded_at) * 1000)
        load_ms.append((loaded_at - started) * 1000)
    notes = f"reading and checking the YAML takes {min(load_ms):.0f} ms more, in a separate thread"
    name = f"building the graph of a tenant with {AGENTS} agents and {TOOLS} tools"
    return [at_most(name, TARGET_MS, min(build_ms), "ms", notes)]


def _large_assistant_yaml() -> str:
    agents = "\n".join(
        f"  a{number}: {{description: agente {number}, prompt: prompts/a{number}.md, tools: [{_tools_of(number)}]}}"
        for number in range(AGENTS)
    )
    tools = "\n".join(
        f"  t{number}: {{description: consulta {number}, http: {{method: GET, url: 'https://example.com/{number}/{{id}}'}},"
        f" parameters: {{type: object, properties: {{id: {{type: string}}}}, required: [id]}}}}"
        for number in range(TOOLS)
    )
    return f"""name: Grande
language: pt-BR
models: {{default: {{provider: openai, model: test-model}}}}
agents:
{agents}
tools:
{tools}
apology: Desculpe.
"""


def _tools_of(agent: int) -> str:
    per_agent = TOOLS // AGENTS
    return ", ".join(f"t{number}" for number in range(agent * per_agent, (agent + 1) * per_agent))
