"""Serve a small shop over HTTP, and publish an assistant whose tools call it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from aiohttp import web

from app.crypto import SecretBox
from app.identity import secrets
from tests.platform import TENANT, Platform

LOOPBACK = (ip_network("127.0.0.0/8"),)
SECRET = "segredo-da-loja"

YAML = """
name: Loja de Testes
language: pt-BR
timezone: America/Sao_Paulo
models:
  default: {{provider: openai, model: test-model, timeout: 5s}}
routing:
  rules:
    - {{match: [atendente], to: handoff}}
    - {{match: [comprar], to: compra}}
    - {{tag: vip, match: [oi], to: vip}}
  otherwise: vendas
agents:
  vendas:
    description: vende
    prompt: prompts/agenda.md
    tools: [pedir, repetir, aprovar, estoque, preco, outra]
  vip:
    description: para clientes especiais
    prompt: prompts/duvidas.md
tools:
  pedir:
    description: pede
    parameters: &p {{type: object, properties: {{quanto: {{type: integer, minimum: 1}}}}}}
    http: {{method: POST, url: "{url}/pedir", headers: {{Authorization: "Bearer ${{secret:LOJA}}"}}}}
    timeout: 1s
  repetir:
    description: pede
    parameters: *p
    http: {{method: POST, url: "{url}/repetir"}}
    idempotent: true
    retries: 0
    timeout: 1s
  aprovar:
    description: pede
    parameters: *p
    approval: required
    http: {{method: POST, url: "{url}/aprovar"}}
    timeout: 1s
  estoque: {{description: estoque, http: {{url: "{url}/estoque"}}, retries: 0, timeout: 1s}}
  preco:
    description: preço
    parameters: {{type: object, required: [de], properties: {{de: {{type: string}}}}}}
    http: {{url: "{url}/preco/{{de}}"}}
    retries: 0
    timeout: 5s
  outra: {{description: sem segredo, http: {{url: "{url}/outra?k=${{secret:FALTA}}"}}, timeout: 1s}}
flows:
  compra:
    description: compra
    questions: vendas
    steps:
      - ask: {{field: quanto, question: "Quantas?", expect: number}}
      - ask: {{field: certo, question: "{{quanto}}, certo?", expect: choice, choices: [sim, não]}}
      - branch: {{field: certo, cases: {{não: quanto}}}}
      - call: {{tool: pedir, with: {{quanto: "{{quanto}}"}}, into: pedido}}
      - say: "Pedido {{pedido.result.numero}}."
approvals: {{queue: financeiro, message: Vou confirmar., timeout: 10m}}
apology: Desculpe, tive um problema.
handoff: {{message: Vou chamar uma pessoa., timeout: 2h}}
lifecycle: {{idle: 23h, while_running: {while_running}}}
"""

SCRIPT = """
name: loja
match: Loja de Testes
rules:
  - {when: {result_of: pedir, user: "(?i)insista"}, call: {name: aprovar, arguments: {quanto: 2}}}
  - {when: {result_of: [pedir]}, say: "pedir - {{ result }}"}
  - {when: {result_of: [repetir]}, say: "repetir - {{ result }}"}
  - {when: {result_of: [aprovar]}, say: "aprovar - {{ result }}"}
  - {when: {result_of: [estoque]}, say: "estoque - {{ result }}"}
  - {when: {result_of: [preco]}, say: "preco - {{ result }}"}
  - {when: {result_of: [outra]}, say: "outra - {{ result }}"}
  - {when: {user: "(?i)aprove"}, call: {name: aprovar, arguments: {quanto: 5}}}
  - {when: {user: "(?i)repita"}, call: {name: repetir, arguments: {quanto: 1}}}
  - {when: {user: "(?i)peça"}, call: {name: pedir, arguments: {quanto: 1}}}
  - {when: {user: "(?i)estoque"}, call: {name: estoque, arguments: {}}}
  - when: {user: "(?i)compare"}
    call:
      - {name: preco, arguments: {de: a}}
      - {name: preco, arguments: {de: b}}
      - {name: preco, arguments: {de: c}}
  - when: {user: "(?i)tudo"}
    call:
      - {name: preco, arguments: {de: a}}
      - {name: pedir, arguments: {quanto: 1}}
      - {name: preco, arguments: {de: b}}
  - {when: {user: "(?i)outra"}, call: {name: outra, arguments: {}}}
  - {when: {user: "(?i)recuse"}, fail: 401}
  - say: "eco: {{ user }}"
"""


@dataclass
class RemoteShop:
    """The shop's requests: path, Idempotency-Key, Authorization and body; and their queries.

    `hangs` are paths whose requests are recorded and never answered. `fails` is an HTTP status for all answers. `echo`
    is a text in the answers. `at_path` is called before the first answer to a path. `together` is the number of
    requests that are awaited before any is answered.
    """

    url: str = ""
    requests: list[tuple[str, str | None, str | None, Any]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    hangs: set[str] = field(default_factory=set)
    fails: int | None = None
    echo: str | None = None
    at_request: Callable[[], None] | None = None
    at_path: dict[str, Callable[[], None]] = field(default_factory=dict)
    together: int = 0
    all_here: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Record a request, and answer it."""
        body = await request.json() if request.can_read_body else None
        headers = request.headers
        self.queries.append(dict(request.query))
        self.requests.append((request.path, headers.get("Idempotency-Key"), headers.get("Authorization"), body))
        if self.at_request is not None:
            act, self.at_request = self.at_request, None
            await asyncio.to_thread(act)
        if (act_at_path := self.at_path.pop(request.path, None)) is not None:
            await asyncio.to_thread(act_at_path)
        if len(self.requests) >= self.together:
            self.all_here.set()
        await self.all_here.wait()
        if request.path in self.hangs:
            await self.closing.wait()
        if self.fails is not None:
            return web.json_response({"erro": "não"}, status=self.fails)
        return web.json_response({"numero": len(self.requests), "echo": self.echo})

    @property
    def paths(self) -> list[str]:
        """The requested paths, in order."""
        return [path for path, *_ in self.requests]

    @property
    def keys(self) -> list[str | None]:
        """The Idempotency-Keys, in order."""
        return [key for _, key, _, _ in self.requests]


@asynccontextmanager
async def open_shop() -> AsyncIterator[RemoteShop]:
    """Run the shop's server in a thread, so that it answers while the test's loop is blocked."""
    shop, loop = RemoteShop(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="shop")
    thread.start()
    runner = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_serve(shop), loop))
    try:
        yield shop
    finally:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_close(shop, runner), loop))
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()


async def _serve(shop: RemoteShop) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", shop.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    return runner


async def _close(shop: RemoteShop, runner: web.AppRunner) -> None:
    shop.closing.set()
    await runner.cleanup()


async def publish_shop(platform: Platform, shop: RemoteShop, *, while_running: str = "queue") -> None:
    """Publish the shop as the test tenant, and set its secrets."""
    box = SecretBox(platform.settings.secret_key)
    for name, value in (("LOJA", SECRET), ("FALTA", "x")):
        await secrets.keep(platform.system, box, TENANT, name, value, platform.clock)
    async with platform.http.post(f"{platform.servers.model}/control/scripts", data=SCRIPT.encode()) as answer:
        assert answer.status == 200, await answer.text()
    prompts = {"prompts/agenda.md": "Venda.", "prompts/duvidas.md": "Mime."}
    text = YAML.format(url=shop.url, while_running=while_running)
    await platform.publish(TENANT, {"assistant.yaml": text, **prompts})


@asynccontextmanager
async def workers_that_may_call(platform: Platform) -> AsyncIterator[None]:
    """Replace the platform's worker by one that may call the shop."""
    assert platform.engine is not None
    await platform.engine.close()
    # Workers that a test starts later get these settings, too.
    object.__setattr__(platform.settings, "allowed_networks", LOOPBACK)
    async with platform.worker() as platform.engine:
        yield
