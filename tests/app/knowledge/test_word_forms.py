"""One thing is written in many ways, and found by each."""

import pytest

from app.knowledge.word_forms import search_forms
from tests.app.knowledge.notes import found, publish
from tests.platform import Platform

CONTACT = """## Contato

E-mail: contato@exemplo.com.

## Internet na recepção

Temos Wi-Fi gratuito.

## Entrega

Até 10kg, o frete custa R$ 1.500,00. Leva 40 min.

## Chegada

O check in é às 14h, na Avenida Brasil.

## Horário

De segunda a sexta.
"""


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        ("email", "Contato"),
        ("qual o email?", "Contato"),
        ("e-mail", "Contato"),
        ("exemplo.com", "Contato"),
        ("contato@exemplo.com", "Contato"),
        ("wifi", "Internet na recepção"),
        ("tem wi fi?", "Internet na recepção"),
        ("wi-fi", "Internet na recepção"),
        ("10 kg", "Entrega"),
        ("10kg", "Entrega"),
        ("1500", "Entrega"),
        ("checkin", "Chegada"),
        ("check-in", "Chegada"),
        ("av. brasil", "Chegada"),
        ("seg", "Horário"),
        ("recepc\u0327a\u0303o", "Internet na recepção"),
    ],
)
async def test_a_word_is_found_however_it_is_written(platform: Platform, query: str, heading: str) -> None:
    await publish(platform, **{"knowledge/contato.md": CONTACT, "knowledge/outro.txt": "Outra coisa."})
    assert (await found(platform, query))[0]["heading"] == heading


def test_forms_of_a_long_text_stay_in_proportion() -> None:
    text = "palavra comum de um texto longo " * 1_000
    assert len(search_forms(text, "pt")[0]) < 1.2 * len(text)
