"""A voice note, a sticker, a photo or a place in a flow: no answer to a question for text."""

import uuid
from typing import Any

import pytest

from tests.app.turns.drivers import ask, drain, replies_to
from tests.platform import TENANT, Platform, tenant_manifest

AUDIO = {"NumMedia": "1", "MediaUrl0": "https://m/a", "MediaContentType0": "audio/ogg", "MessageType": "audio"}
STICKER = {"NumMedia": "1", "MediaUrl0": "https://m/s", "MediaContentType0": "image/webp", "MessageType": "sticker"}
PHOTO = {"NumMedia": "1", "MediaUrl0": "https://m/p", "MediaContentType0": "image/jpeg", "MessageType": "image"}
PDF = {"NumMedia": "1", "MediaUrl0": "https://m/d", "MediaContentType0": "application/pdf", "MessageType": "document"}
PLACE = {"Latitude": "-23.5", "Longitude": "-46.6", "MessageType": "location"}
MASP = {**PLACE, "Label": "MASP", "Address": "Av. Paulista, 1578"}
CARD = {"NumMedia": "1", "MediaUrl0": "https://m/c", "MediaContentType0": "text/vcard", "MessageType": "contacts"}
NOT_TEXT = "Aqui só consigo ler texto."

FLOW = """
flows:
  queixa:
    description: registra uma queixa
    steps:
      - ask: {{field: nome, question: "Qual é o seu nome?"}}
      - ask: {{field: detalhe, question: "Conte o problema.", expect: {expect}, tries: 10}}
      - say: "Pronto, {{nome}}: {{detalhe}}."
      - end: true
"""


async def publish(platform: Platform, expect: str = "text") -> None:
    """Publish a tenant with a flow that asks for a text, and for what is expected."""
    files = dict(tenant_manifest().files)
    rule = "  rules:\n    - {match: [queixa], to: queixa}\n"
    files["assistant.yaml"] = files["assistant.yaml"].replace("  rules:\n", rule, 1) + FLOW.format(expect=expect)
    await platform.publish(TENANT, files)


async def sent(platform: Platform, fields: dict[str, Any], body: str = "") -> list[str]:
    """Send a message with these fields, and return the replies to it."""
    before = len(await platform.delivered())
    await platform.say(body, **fields)
    await drain(platform)
    return (await platform.delivered())[before:]


@pytest.mark.parametrize("fields", [AUDIO, STICKER, PHOTO, PDF, PLACE, MASP, CARD])
async def test_what_is_no_text_is_no_answer(platform: Platform, fields: dict[str, Any]) -> None:
    await publish(platform)
    assert await replies_to(platform, "queixa") == ["Qual é o seu nome?"]
    assert await sent(platform, fields) == [f"{NOT_TEXT}\nQual é o seu nome?"]
    assert await replies_to(platform, "Ana") == ["Conte o problema."]
    assert await sent(platform, fields, "Quebrou") == ["Pronto, Ana: Quebrou."]


async def test_an_empty_message_is_no_answer(platform: Platform) -> None:
    await publish(platform)
    await replies_to(platform, "queixa")
    assert await replies_to(platform, " ") == ["Qual é o seu nome?"]


@pytest.mark.parametrize(
    ("expect", "wrong", "hint", "right", "shown"),
    [
        ("location", AUDIO, "Compartilhe a localização", MASP, "MASP, Av. Paulista, 1578"),
        ("location", PHOTO, "Compartilhe a localização", PLACE, "-23.5, -46.6"),
        ("image", STICKER, "Envie uma foto", PHOTO, "image/jpeg"),
        ("audio", PHOTO, "Envie um áudio", AUDIO, "audio/ogg"),
        ("file", PLACE, "Envie o arquivo", PDF, "application/pdf"),
    ],
)
async def test_a_step_can_ask_for_it(
    platform: Platform, expect: str, wrong: dict[str, Any], hint: str, right: dict[str, Any], shown: str
) -> None:
    await publish(platform, expect)
    await replies_to(platform, "queixa")
    await replies_to(platform, "Ana")
    for asked_again in (await sent(platform, wrong), await replies_to(platform, "não tenho")):
        (text,) = asked_again
        assert text.startswith(hint)
        assert text.endswith("\nConte o problema.")
    assert await sent(platform, right) == [f"Pronto, Ana: {shown}."]


async def test_an_agent_is_told_of_what_is_no_text(platform: Platform) -> None:
    await ask(platform, "oi", contact=f"whatsapp:+55{uuid.uuid4().int % 10**11:011}")
    assert await sent(platform, AUDIO) == ["eco: [audio/ogg]"]
