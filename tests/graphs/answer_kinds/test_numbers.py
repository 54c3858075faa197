"""Numbers and amounts: with units, in words, and in the language's own writing."""

import pytest

from graphs.answer_kinds.numbers import parse_number


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("R$ 1.500,00", "1500.00"),
        ("R$1500", "1500"),
        ("US$ 1,500.00", "1500.00"),
        ("custa 1.234.567,89 reais", "1234567.89"),
        ("1\u00a0500,50", "1500.50"),
        ("1500 reais", "1500"),
        ("2 mil", "2000"),
        ("1,5 mil reais", "1500"),
        ("10k", "10000"),
        ("dois milhões", "2000000"),
        ("tenho 30 anos", "30"),
        ("70,5 kg", "70.5"),
        ("30 m²", "30"),
        ("10%", "10"),
        ("nº 15", "15"),
        ("2️⃣", "2"),
        ("1️⃣0️⃣", "10"),
        ("🔟", "10"),
        ("５００", "500"),
        ("\u200e30\u200b.", "30"),
        ("−5", "-5"),
        ("cento e vinte e três", "123"),
        ("mil e quinhentos", "1500"),
        ("dez mil e duzentos", "10200"),
        ("uma", "1"),
        ("uma pessoa", "1"),
        ("⭐⭐⭐", "3"),
    ],
)
def test_a_number_is_taken_out_of_what_surrounds_it(said: str, number: str) -> None:
    assert parse_number(said, "pt-BR") == number


@pytest.mark.parametrize(
    "said",
    [
        "2 ou 3",
        "entre 10 e 20",
        "10-15",
        "mais de 30",
        "até 500",
        "não são 30",
        "2 e meia",
        "1½",
        "uma dúzia",
        "2 dúzias",
        "um pouco",
        "- 5",
        "5+5",
        "2 adultos e 1 criança",
        "31/12/2026",
        "14:30",
        "são 30?",
        "dois três",
        "11 99000-0001",
    ],
)
def test_a_number_that_is_not_certain_is_none(said: str) -> None:
    assert parse_number(said, "pt-BR") is None


@pytest.mark.parametrize(
    ("language", "said", "number"),
    [
        ("en", "twenty-five", "25"),
        ("en", "two hundred and five", "205"),
        ("en-US", "$1,500.00", "1500.00"),
        ("en", "1.500,25", "1500.25"),
        ("en", "no 30", None),
        ("es", "veintitrés", "23"),
        ("es", "treinta y dos años", "32"),
        ("es", "30 o 40", None),
        ("fr", "vingt", None),
        ("fr", "20 ans", "20"),
    ],
)
def test_number_words_are_those_of_the_language(language: str, said: str, number: str | None) -> None:
    assert parse_number(said, language) == number
