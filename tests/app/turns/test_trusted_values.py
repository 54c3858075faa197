"""Tools know who the contact is, and no model can say otherwise."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.conversations import service as conversations
from tests.app.turns.drivers import replies_to
from tests.app.turns.remote_shop import RemoteShop, open_shop, workers_that_may_call
from tests.platform import CONTACT, NUMBER, TENANT, Platform

YAML = """
name: Loja de Testes
language: pt-BR
models: {{default: {{provider: openai, model: test-model, timeout: 5s}}}}
routing:
  rules:
    - {{match: [entrar], to: entrada}}
  otherwise: vendas
agents:
  vendas: {{description: vende, prompt: prompts/vendas.md, tools: [meus_pedidos, cancelar, conta]}}
tools:
  meus_pedidos:
    description: Os pedidos do contato.
    http:
      url: "{url}/clientes/${{contact.phone}}/pedidos?canal=${{channel.phone}}"
    retries: 0
  cancelar:
    description: Cancela um pedido.
    parameters: {{type: object, properties: {{pedido: {{type: string}}}}, additionalProperties: true}}
    http:
      method: POST
      url: "{url}/cancelar"
      headers: {{Authorization: "${{contact.phone}}"}}
      body:
        pedido: "{{pedido}}"
        de: "${{contact.address}}"
        nome: "${{contact.name}}"
        tags: "${{contact.tags}}"
        conversa: "${{conversation.id}}"
  conta:
    description: A conta do cliente.
    http: {{url: "{url}/contas/${{verified.cliente}}"}}
    retries: 0
  autenticar:
    description: Confere o CPF.
    parameters: {{type: object, properties: {{cpf: {{type: string}}}}, required: [cpf]}}
    http: {{url: "{url}/autenticar?cpf={{cpf}}"}}
flows:
  entrada:
    description: identifica o cliente
    steps:
      - ask: {{field: cpf, question: CPF?, expect: cpf}}
      - call: {{tool: autenticar, with: {{cpf: "{{cpf}}"}}, into: conta}}
      - verify: {{cliente: "c{{conta.result.numero}}"}}
      - say: Pronto.
apology: Desculpe, tive um problema.
"""

SCRIPT = """
name: loja
match: Loja de Testes
rules:
  - {when: {result_of: meus_pedidos}, say: "{{ result }}"}
  - {when: {result_of: cancelar}, say: "{{ result }}"}
  - {when: {result_of: conta}, say: "{{ result }}"}
  - {when: {user: "pedidos"}, call: {name: meus_pedidos, arguments: {}}}
  - when: {user: "cancele"}
    call: {name: cancelar, arguments: {pedido: "7", contact.phone: "+5599", contact.address: "whatsapp:+5599"}}
  - {when: {user: "conta"}, call: {name: conta, arguments: {}}}
  - say: "eco: {{ user }}"
"""


@pytest.fixture
async def shop(platform: Platform) -> AsyncIterator[RemoteShop]:
    """Publish a shop that identifies its contacts, with a worker that may call it."""
    async with open_shop() as opened, workers_that_may_call(platform):
        async with platform.http.post(f"{platform.servers.model}/control/scripts", data=SCRIPT.encode()) as answer:
            assert answer.status == 200, await answer.text()
        files = {"assistant.yaml": YAML.format(url=opened.url), "prompts/vendas.md": "Venda."}
        await platform.publish(TENANT, files)
        yield opened


def request(shop: RemoteShop) -> tuple[str, str | None, Any]:
    """Return path, Authorization and body of the last request."""
    path, _, authorization, body = shop.requests[-1]
    return path, authorization, body


async def test_the_contact_is_in_the_address(platform: Platform, shop: RemoteShop) -> None:
    await replies_to(platform, "meus pedidos")
    assert request(shop)[0] == f"/clientes/{CONTACT.removeprefix('whatsapp:')}/pedidos"
    assert shop.queries[-1] == {"canal": NUMBER.removeprefix("whatsapp:")}


async def test_no_model_can_say_who_the_contact_is(platform: Platform, shop: RemoteShop) -> None:
    await replies_to(platform, "oi")
    await conversations.tag_contact(platform.system, TENANT, CONTACT, ["ouro", "vip"], [])
    await replies_to(platform, "cancele")
    conversation = await platform.row("select id from conversations")
    path, authorization, body = request(shop)
    assert (path, authorization) == ("/cancelar", CONTACT.removeprefix("whatsapp:"))
    assert body == {
        "pedido": "7",
        "de": CONTACT,
        "nome": "Ana Pérez",
        "tags": ["ouro", "vip"],
        "conversa": str(conversation["id"]),
    }


async def test_a_contact_without_a_number_is_told_apart(platform: Platform, shop: RemoteShop) -> None:
    (reply,) = await replies_to(platform, "meus pedidos", contact="whatsapp:BR.abc123")
    assert "contact.phone is not known" in reply
    assert shop.requests == []


async def test_what_a_flow_has_verified_is_sent_by_later_tools(platform: Platform, shop: RemoteShop) -> None:
    (refused,) = await replies_to(platform, "minha conta")
    assert "cliente has not been verified in this conversation" in refused
    assert await replies_to(platform, "entrar") == ["CPF?"]
    assert await replies_to(platform, "529.982.247-25") == ["Pronto."]
    await replies_to(platform, "minha conta")
    assert request(shop)[0] == "/contas/c1"
