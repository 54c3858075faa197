"""What a tenant has written down is found by the agent that looks for it, and by nobody else's."""

import pytest

from tests.app.knowledge.notes import ADDRESS, PRICES, found, publish
from tests.app.turns.drivers import drain, replies_to
from tests.platform import ACCOUNT_SID, Platform

NEIGHBOUR, NEIGHBOURS_NUMBER, NEIGHBOURS_CONTACT = "vizinha", "whatsapp:+551140000002", "whatsapp:+5511990000003"


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        ("quanto custa o clareamento?", "Preços / Clareamento"),
        ("CLAREAMENTOS", "Preços / Clareamento"),
        ("limpezas", "Preços / Limpeza"),
        ("descontos no pix", "Preços"),
        ("endereco", ""),
        ("onde estacionar", ""),
        ("avaliação", "Preços / Clareamento"),
        ("aceita cartoes?", "Preços"),
    ],
)
async def test_search_ignores_inflection_and_accents(platform: Platform, query: str, heading: str) -> None:
    await publish(platform)
    assert (await found(platform, query))[0]["heading"] == heading


async def test_a_passage_says_where_it_stands(platform: Platform) -> None:
    await publish(platform)
    assert await found(platform, "acácias") == [
        {"source": "knowledge/endereco.txt", "heading": "", "text": ADDRESS.strip()}
    ]


@pytest.mark.parametrize("query", ["submarino", "de a o que", "???", "'); drop table tenants; --", "a & | ! <-> b:*"])
async def test_what_is_not_written_down_is_not_found(platform: Platform, query: str) -> None:
    await publish(platform)
    assert await found(platform, query) == []


async def test_an_open_conversation_looks_in_its_own_version(platform: Platform) -> None:
    await publish(platform)
    await found(platform, "limpeza")
    await publish(platform, **{"knowledge/precos.md": PRICES.replace("220", "250"), "knowledge/endereco.txt": ADDRESS})
    assert "R$ 220" in (await found(platform, "limpeza"))[0]["text"]
    await replies_to(platform, "tchau")
    assert "R$ 250" in (await found(platform, "limpeza"))[0]["text"]


async def test_nobody_finds_what_a_neighbour_has_written_down(platform: Platform) -> None:
    await publish(platform)
    await publish(platform, NEIGHBOUR)
    await platform.add_channel(NEIGHBOUR, NEIGHBOURS_NUMBER, ACCOUNT_SID)
    await platform.rows(
        """update knowledge_passages set body = 'é segredo'
           where tenant_id = (select id from tenants where slug = %(slug)s)""",
        slug=NEIGHBOUR,
    )
    assert all("segredo" not in each["text"] for each in await found(platform, "limpeza clareamento endereço pix"))
    await platform.say("procure: limpeza", contact=NEIGHBOURS_CONTACT, To=NEIGHBOURS_NUMBER)
    await drain(platform)
    assert "é segredo" in (await platform.delivered(NEIGHBOURS_CONTACT))[0]


async def test_publishing_again_keeps_one_copy(platform: Platform) -> None:
    await publish(platform)
    await publish(platform)
    assert (await platform.row("select count(*) as n from knowledge_passages"))["n"] == 4
