"""A provider's server is killed during a call, at each call of a turn with three remote writes."""

import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.supervisor import Child
from devkit.stack import simulated_access
from graphs.providers import PROVIDERS
from tests.app.turns.drivers import drain, replies_to
from tests.app.turns.remote_shop import LOOPBACK, RemoteShop, open_shop
from tests.platform import TENANT, Platform

TOOLS = ("reservar", "cobrar", "enviar")

YAML = """
name: Loja de três passos
language: pt-BR
models:
  default: {{provider: {first}, model: test-model, timeout: 60s}}
  fallbacks: [{{provider: {second}, model: test-model, timeout: 60s}}]
routing: {{otherwise: vendas}}
agents:
  vendas: {{description: vende, prompt: prompts/vendas.md, tools: [reservar, cobrar, enviar]}}
tools:
  reservar: {{description: reserva, http: {{method: POST, url: "{url}/reservar"}}, effects: write}}
  cobrar: {{description: cobra, http: {{method: POST, url: "{url}/cobrar"}}, effects: write}}
  enviar: {{description: envia, http: {{method: POST, url: "{url}/enviar"}}, effects: write}}
apology: Desculpe.
"""

RULES = (
    ("{result_of: enviar}", 'say: "Tudo certo."'),
    ("{result_of: cobrar}", "call: {name: enviar, arguments: {}}"),
    ("{result_of: reservar}", "call: {name: cobrar, arguments: {}}"),
    ('{user: "compre"}', "call: {name: reservar, arguments: {}}"),
    ("{}", 'say: "eco: {{ user }}"'),
)
STEPS = {"first call": 3, "second call": 2, "third call": 1, "words": 0}
"""The rule that matches at each step of the turn."""


def script(hangs_at: int | None = None) -> str:
    """Return a provider's script. At the step where it hangs it never answers."""
    lines = [
        f"  - {{when: {when}, {'fail: timeout' if position == hangs_at else does}}}"
        for position, (when, does) in enumerate(RULES)
    ]
    return "\n".join(["name: passos", "match: três passos", "rules:", *lines, ""])


@contextmanager
def provider_of_its_own(folder: Path, hangs_at: int) -> Iterator[tuple[Child, str]]:
    """Start a provider's server as a process, and return it with its address."""
    path = folder / "passos.yaml"
    path.write_text(script(hangs_at), encoding="utf-8")
    command = [sys.executable, "-m", "devkit.simulators.llm", "--port", "0", "--script", str(path)]
    child = Child("provider", command, {}, folder / "provider.log")
    child.start()
    try:
        yield child, child.wait_until_ready().split(" ready on ")[1].split()[0]
    finally:
        child.stop()


@pytest.fixture
async def shop() -> AsyncIterator[RemoteShop]:
    """Open the shop that the tools call."""
    async with open_shop() as running:
        yield running


async def asked(address: str) -> list[dict[str, Any]]:
    """Return the requests of a provider's server."""
    async with aiohttp.ClientSession() as http, http.get(f"{address}/control/requests?limit=100") as answer:
        requests: list[dict[str, Any]] = (await answer.json())["requests"]
        return requests


@pytest.mark.parametrize(("first", "second"), list(permutations(PROVIDERS, 2)))
@pytest.mark.parametrize("step", STEPS)
async def test_a_killed_provider_is_replaced_and_tools_run_once(
    platform: Platform, shop: RemoteShop, tmp_path: Path, first: str, second: str, step: str
) -> None:
    thinking = list(STEPS).index(step)
    async with platform.http.post(f"{platform.servers.model}/control/scripts", data=script().encode()) as answer:
        assert answer.status == 200, await answer.text()
    text = YAML.format(first=first, second=second, url=shop.url)
    await platform.publish(TENANT, {"assistant.yaml": text, "prompts/vendas.md": "Venda."})
    with provider_of_its_own(tmp_path, STEPS[step]) as (child, address):
        model = platform.servers.model
        providers = {first: simulated_access(address)[first], second: simulated_access(model)[second]}
        assert platform.engine is not None
        await platform.engine.close()
        async with platform.worker(providers=providers, allowed_networks=LOOPBACK) as platform.engine:
            await platform.say("compre")
            await platform.nudge()

            async def thinks() -> bool:
                return len(await asked(address)) > thinking

            await platform.until(thinks, f"the provider to think about the {step}")
            child.send(signal.SIGKILL)
            assert await platform.replies(1) == ["Tudo certo."]
            assert [path for path, _, _, _ in shop.requests] == [f"/{name}" for name in TOOLS]
            assert len({key for _, key, _, _ in shop.requests}) == len(TOOLS)
            await drain(platform)
            assert await replies_to(platform, "obrigado") == ["eco: obrigado"]
    turns = await platform.rows("select usage, error from turns order by turn")
    answered = [call["model"].partition("/")[0] for call in turns[0]["usage"]]
    assert answered == [first] * thinking + [second] * (len(STEPS) - thinking)
    assert [turn["error"] for turn in turns] == [None, None]
