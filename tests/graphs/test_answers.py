"""What a flow's questions take for an answer."""

import pytest

from graphs.answers import LONGEST, format_answer, is_question, parse_answer, rating_in
from graphs.sections import Ask, Expected

CHOICES = ("Manhã", "Tarde", "Tarde da noite", "Não sei")


@pytest.mark.parametrize(
    ("expect", "said", "kept"),
    [
        ("text", "  Ana \n Pérez ", "Ana Pérez"),
        ("text", "{cpf}", "{cpf}"),
        ("number", "10", "10"),
        ("number", "10,5", "10.5"),
        ("number", "-3.25", "-3.25"),
        ("date", "31/12/2026", "2026-12-31"),
        ("date", "1-2-2026", "2026-02-01"),
        ("date", "01.02.2026", "2026-02-01"),
        ("date", "2026-2-1", "2026-02-01"),
        ("date", "29/02/2028", "2028-02-29"),
        ("email", "Ana.Perez+x@Exemplo.com.br", "ana.perez+x@exemplo.com.br"),
        ("phone", "+55 (11) 99000-0001", "+5511990000001"),
        ("phone", "1140000001", "1140000001"),
        ("cpf", "529.982.247-25", "52998224725"),
        ("cpf", "52998224725", "52998224725"),
        ("cpf", " 111.444.777-35 ", "11144477735"),
    ],
)
def test_an_answer_that_fits_is_kept_in_one_form(expect: Expected, said: str, kept: str) -> None:
    assert parse_answer(Ask(field="campo", question="?", expect=expect), said, "pt-BR") == kept


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("text", ""),
        ("text", " \n "),
        ("text", "a" * (LONGEST + 1)),
        ("number", "1e5"),
        ("number", "nan"),
        ("number", "٣"),
        ("number", "1" * 16),
        ("date", "31/02/2026"),
        ("date", "29/02/2026"),
        ("date", "12/31/2026"),
        ("date", "00/00/0000"),
        ("date", "amanhã"),
        ("date", "1/1/26"),
        ("email", "ana"),
        ("email", "ana@exemplo"),
        ("email", "ana@exemplo.com outra@exemplo.com"),
        ("email", "@exemplo.com"),
        ("phone", "123"),
        ("phone", "99000-0001 ou 99000-0002"),
        ("phone", "+" + "1" * 16),
        ("phone", "٠١٢٣٤٥٦٧٨"),
        ("cpf", "529.982.247-24"),
        ("cpf", "529.982.247-35"),
        ("cpf", "111.111.111-11"),
        ("cpf", "000.000.000-00"),
        ("cpf", "5299822472"),
        ("cpf", "529982247250"),
        ("cpf", "cpf"),
    ],
)
def test_an_answer_that_does_not_fit_is_none(expect: Expected, said: str) -> None:
    assert parse_answer(Ask(field="campo", question="?", expect=expect), said, "pt-BR") is None


@pytest.mark.parametrize(
    ("said", "chosen"),
    [
        ("manhã", "Manhã"),
        ("MANHA!", "Manhã"),
        ("man", "Manhã"),
        ("1", "Manhã"),
        ("2.", "Tarde"),
        ("4", "Não sei"),
        ("nao sei", "Não sei"),
        ("tarde", "Tarde"),
        ("tarde da", "Tarde da noite"),
        ("tar", None),
        ("0", None),
        ("5", None),
        ("-1", None),
        ("1 2", None),
        ("noite", None),
        ("!", None),
        ("²", "Tarde"),
        ("manhã ou tarde", None),
    ],
)
def test_a_choice_is_known_by_its_number_or_how_it_begins(said: str, chosen: str | None) -> None:
    assert parse_answer(Ask(field="turno", question="?", expect="choice", choices=CHOICES), said, "pt-BR") == chosen


@pytest.mark.parametrize(
    ("said", "chosen"),
    [("2", "2 pessoas"), ("4", "4 pessoas"), ("10", "10 pessoas"), ("1", "2 pessoas"), ("3", "10 pessoas")],
)
def test_a_number_that_is_a_choice_is_no_place_in_the_list(said: str, chosen: str) -> None:
    assert (
        parse_answer(
            Ask(field="quantos", question="?", expect="choice", choices=("2 pessoas", "4 pessoas", "10 pessoas")),
            said,
            "pt-BR",
        )
        == chosen
    )


@pytest.mark.parametrize(
    ("said", "asks"), [("quanto custa?", True), ("Ana? ", True), ("é?\n", True), ("Ana", False), ("", False)]
)
def test_who_ends_with_a_question_mark_asks(said: str, asks: bool) -> None:
    assert is_question(said) is asks


@pytest.mark.parametrize(
    ("language", "said", "kept"),
    [
        ("pt-BR", "1.500", "1500"),
        ("pt-BR", "1.500,25", "1500.25"),
        ("pt-BR", "1.5", "1.5"),
        ("pt-BR", "1,500", "1.500"),
        ("es", "-12.345.678", "-12345678"),
        ("en-US", "1,500", "1500"),
        ("en-US", "1,500.25", "1500.25"),
        ("en-US", "1.500", "1.500"),
        ("pt-BR", "1.50.0", None),
        ("pt-BR", "1.500.25", None),
    ],
)
def test_numbers_are_read_as_the_language_writes_them(language: str, said: str, kept: str | None) -> None:
    assert parse_answer(Ask(field="campo", question="?", expect="number"), said, language) == kept


@pytest.mark.parametrize(
    ("expect", "language", "kept", "text"),
    [
        ("date", "pt-BR", "2020-04-23", "23/04/2020"),
        ("date", "en-US", "2020-04-23", "04/23/2020"),
        ("date", "sv", "2020-04-23", "2020-04-23"),
        ("number", "pt-BR", "1500.25", "1500,25"),
        ("number", "en", "1500.25", "1500.25"),
        ("cpf", "pt-BR", "52998224725", "529.982.247-25"),
        ("text", "pt-BR", "1.5", "1.5"),
    ],
)
def test_answers_are_shown_as_the_language_writes_them(expect: Expected, language: str, kept: str, text: str) -> None:
    assert format_answer(Ask(field="campo", question="?", expect=expect), kept, language) == text


@pytest.mark.parametrize(
    "said", ["5", " 5. ", "nota 5", "Dou 5", "5 estrelas!", "5/5", "5 de 5", "5, muito obrigada 😊", "oi\n5"]
)
def test_a_rating_is_a_number_and_little_else(said: str) -> None:
    assert rating_in(said) == (5, "oi" in said)


@pytest.mark.parametrize(
    "said", ["", "6", "0", "10", "1 2", "5 pessoas", "dia 3", "às 2", "3 horas", "quero 2", "nota"]
)
def test_anything_else_is_no_rating(said: str) -> None:
    assert rating_in(said) == (None, bool(said))


@pytest.mark.parametrize(
    ("said", "chosen"),
    [("Sim, por favor", "Sim"), ("sim!", "Sim"), ("não quero", "Não"), ("sim ou não?", None), ("acho que sim", None)],
)
def test_a_choice_may_be_said_politely(said: str, chosen: str | None) -> None:
    assert (
        parse_answer(Ask(field="certo", question="?", expect="choice", choices=("Sim", "Não")), said, "pt-BR") == chosen
    )
