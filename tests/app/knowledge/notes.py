"""A tenant that has written things down, and an agent that looks them up."""

import json
from typing import Any

from tests.app.turns.drivers import replies_to
from tests.platform import TENANT, Platform, tenant_manifest

PRICES = """# Preços

Pix tem 5 % de desconto, e cartão não.

## Limpeza

A limpeza custa R$ 220 e leva quarenta minutos.

## Clareamento

O clareamento custa R$ 900. Não é feito em gestantes. Avaliações às terças.
"""
ADDRESS = "O endereço é Rua das Acácias, 120. O estacionamento fica ao lado.\n"
KNOWLEDGE = {"knowledge/precos.md": PRICES, "knowledge/endereco.txt": ADDRESS}


async def publish(platform: Platform, slug: str = TENANT, **knowledge: str) -> None:
    """Publish the tests' tenant, with what it has written down."""
    files = dict(tenant_manifest().files) | (knowledge or KNOWLEDGE)
    text = files["assistant.yaml"].replace("    tools: [request_human]", "    tools: [request_human, search_knowledge]")
    await platform.publish(slug, {**files, "assistant.yaml": f"{text}knowledge: [knowledge/*.md, knowledge/*.txt]\n"})


async def found(platform: Platform, query: str) -> list[dict[str, Any]]:
    """Ask, and return the passages that the agent was given."""
    (reply,) = await replies_to(platform, f"procure: {query}")
    passages: list[dict[str, Any]] = json.loads(reply.removeprefix("achado - "))["passages"]
    return passages
