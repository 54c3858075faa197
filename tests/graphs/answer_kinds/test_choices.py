"""Choices by their words, their place, yes and no, and times."""

import pytest

from graphs.answer_kinds.choices import parse_choice

YES_NO = ("Sim", "Não")
WANTS = ("1️⃣ Segunda via", "2️⃣ Falar com vendas")
SHIFTS = ("Manhã (8h às 12h)", "Tarde (13h às 18h)")
PEOPLE = ("2 pessoas", "4 pessoas", "10 pessoas")
TIMES = ("08:30", "14:00")
PAYMENT = ("Pix: 5% de desconto", "Cartão - até 3x", "Boleto")
LETTERS = ("a) Azul", "b) Verde")
YEARS = ("Infantil 5", "1º ano", "2º ano")


@pytest.mark.parametrize(
    ("choices", "said", "place"),
    [
        *(
            (YES_NO, said, 0)
            for said in ("1️⃣", "1)", "(1)", "opção 1", "a primeira", "👍", "👍🏿", "claro que sim", "Siiim")
        ),
        *((YES_NO, said, 1) for said in ("👎", "não, obrigada", "2.", "dois", "última", "nope")),
        *((YES_NO, said, 0) for said in ("1 - Sim", "um", "01", "nº 1", "tá bom", "blz")),
        (WANTS, "segunda via", 0),
        (WANTS, "quero falar com vendas", 1),
        (WANTS, "opção 2", 1),
        (SHIFTS, "Tarde por favor", 1),
        (SHIFTS, "na parte da tarde", 1),
        (SHIFTS, "das 13h às 18h", 1),
        (SHIFTS, "prefiro de manhã", 0),
        (PEOPLE, "duas pessoas", 0),
        (PEOPLE, "dez", 2),
        (TIMES, "8h30", 0),
        (TIMES, "às 14h", 1),
        (TIMES, "2 da tarde", 1),
        (PAYMENT, "quero pagar no pix", 0),
        (PAYMENT, "cartao", 1),
        (LETTERS, "letra b", 1),
        (LETTERS, "verde", 1),
        (YEARS, "segundo ano", 2),
        (("1", "2", "3", "4", "5"), "⭐⭐⭐⭐", 3),
        (("1", "2", "3", "4", "5"), "dou nota cinco", 4),
    ],
)
def test_a_choice_is_understood(choices: tuple[str, ...], said: str, place: int) -> None:
    assert parse_choice(said, choices, "pt-BR") == choices[place]


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (YES_NO, "👍 não"),
        (YES_NO, "-1"),
        (YES_NO, "não sei"),
        (PAYMENT, "pix ou boleto bancário"),
        (YES_NO, "opção 3"),
        (WANTS, "a segunda"),
        (WANTS, "1 e 2"),
        (SHIFTS, "tarde ou manhã"),
        (SHIFTS, "tarde não"),
        (SHIFTS, "boa tarde"),
        (PEOPLE, "opção 2"),
        (TIMES, "9h"),
        (("Pix", "Boleto"), "👍"),
    ],
)
def test_a_choice_that_is_not_certain_is_none(choices: tuple[str, ...], said: str) -> None:
    assert parse_choice(said, choices, "pt-BR") is None


@pytest.mark.parametrize(
    ("language", "choices", "said", "place"),
    [
        ("en", ("Yes, please", "No, thanks"), "yep", 0),
        ("en", ("Yes, please", "No, thanks"), "the second one", 1),
        ("es", ("Sí", "No"), "claro que sí", 0),
        ("es", ("Sí", "No"), "no gracias", 1),
    ],
)
def test_choices_are_understood_in_other_languages(
    language: str, choices: tuple[str, ...], said: str, place: int
) -> None:
    assert parse_choice(said, choices, language) == choices[place]
