"""From a tenant's files to a graph that runs: once per version and process, then kept."""

import time

from bench.load.context import Lab
from bench.report import Row, at_most
from graphs.builder import build
from manifest.loader import MAIN, load

AGENTS, TOOLS = 20, 60
TARGET_MS = 50
ROUNDS = 5


async def building(_: Lab) -> list[Row]:
    """A tenant as large as any: the best of a few rounds, as nothing else is at work."""
    files = {MAIN: _yaml(), **{f"prompts/a{number}.md": "Você ajuda." for number in range(AGENTS)}}
    reading, compiling = [], []
    for _round in range(ROUNDS):
        began = time.perf_counter()
        loaded = load(files)
        read = time.perf_counter()
        build(loaded.assistant)
        compiling.append((time.perf_counter() - read) * 1000)
        reading.append((read - began) * 1000)
    notes = f"reading and checking the YAML takes {min(reading):.0f} ms more, in a thread of its own"
    what = f"compiling a tenant of {AGENTS} agents and {TOOLS} tools"
    return [at_most(what, TARGET_MS, min(compiling), "ms", notes)]


def _yaml() -> str:
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
    each = TOOLS // AGENTS
    return ", ".join(f"t{number}" for number in range(agent * each, (agent + 1) * each))
