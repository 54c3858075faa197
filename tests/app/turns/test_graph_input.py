"""What models, and what flows and rules, read of a contact's message."""

from typing import Any

import pytest

from app.turns.claim import InboxItem
from app.turns.graph_input import attachments_of, message_text, messages_input
from tests.app.turns.drivers import ask
from tests.platform import Platform


def media(content_type: str) -> dict[str, Any]:
    return {"media": [{"url": "https://m", "content_type": content_type}]}


@pytest.mark.parametrize(
    ("body", "payload", "text"),
    [
        (" oi ", {}, "oi"),
        ("", {}, "[empty message]"),
        ("foto", media("image/jpeg"), "foto\n[image/jpeg]"),
        ("", media("audio/ogg; codecs=opus") | {"kind": "audio"}, "[audio/ogg; codecs=opus]"),
        ("", media("image/webp") | {"kind": "sticker"}, "[sticker]"),
        ("", media("text/vcard") | {"kind": "contacts"}, "[a contact was shared]"),
        ("", media(""), "[attachment]"),
        ("", {"kind": "contacts"}, "[a contact was shared]"),
        ("", {"location": {"latitude": "-23.5", "longitude": "-46.6"}}, "[location -23.5, -46.6]"),
        (
            "aqui",
            {"location": {"latitude": "-23.5", "longitude": "-46.6", "label": "MASP", "address": "Av. Paulista"}},
            "aqui\n[location: MASP, Av. Paulista (-23.5, -46.6)]",
        ),
        (
            "",
            {"form": {"dia": "2026-01-12", "turno": "tarde"}},
            '[answers of a form: {"dia": "2026-01-12", "turno": "tarde"}]',
        ),
        (
            "oi",
            {"referral": {"headline": "Tênis 42", "url": "https://a"}},
            "oi\n[came from an advertisement: Tênis 42 - https://a]",
        ),
        ("veja", {"forwarded": True}, "[forwarded]\nveja"),
        ("esse", {"quoted": "SM1"}, '[answers the message "Temos o azul e o preto"]\nesse'),
        ("esse", {"quoted": "SM2"}, "[answers an earlier message]\nesse"),
    ],
)
def test_the_model_is_told_what_the_message_has(body: str, payload: dict[str, Any], text: str) -> None:
    assert message_text(body, payload, {"SM1": "Temos o azul\ne o preto"}) == text


def test_flows_and_rules_read_what_was_written() -> None:
    items = [
        InboxItem(1, "message", "SM1", "", media("audio/ogg"), None),
        InboxItem(2, "message", "SM2", " meu nome é Ana ", media("application/pdf"), None),
        InboxItem(3, "message", "SM3", "", {"location": {"latitude": "1", "longitude": "2"}, "button": "b1"}, None),
    ]
    given: Any = messages_input(items, {})
    turn = given["turn"]
    assert (turn["said"], turn["button"]) == ("meu nome é Ana", "b1")
    assert [each["kind"] for each in turn["attachments"]] == ["audio", "file", "location"]
    assert "attachments" not in given_turn(InboxItem(1, "message", "SM1", "oi", {}, None))


def given_turn(item: InboxItem) -> Any:
    given: Any = messages_input([item], {})
    return given["turn"]


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("image/png", "image"),
        ("video/mp4", "video"),
        ("AUDIO/AMR", "audio"),
        ("application/pdf", "file"),
        ("text/x-vcard", "contact"),
        ("", "file"),
    ],
)
def test_the_kind_of_media_is_that_of_its_type(content_type: str, kind: str) -> None:
    assert [each["kind"] for each in attachments_of(media(content_type))] == [kind]


async def test_a_quoted_message_is_read_with_the_answer(platform: Platform) -> None:
    (first,) = await ask(platform, "quanto custa?")
    sent = await platform.row("select provider_sid from outbox")
    asked = await platform.row("select provider_sid from inbox")
    await platform.say("esse aqui", OriginalRepliedMessageSid=sent["provider_sid"])
    await platform.nudge()
    replies = await platform.replies(2)
    assert replies[1] == f'eco: [answers the message "{first}"]\nesse aqui'
    await platform.say("e esse", OriginalRepliedMessageSid=asked["provider_sid"])
    await platform.nudge()
    assert (await platform.replies(3))[2] == 'eco: [answers the message "quanto custa?"]\ne esse'
