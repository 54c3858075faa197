"""Dates and times, as people say them on Friday, 27 November 2026."""

from datetime import date

import pytest

from graphs.answer_kinds.moments import parse_date, parse_time

FRIDAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("31/12/2026.", "2026-12-31"),
        ("31 / 12 / 2026", "2026-12-31"),
        ("dia 31/12/2026", "2026-12-31"),
        ("31/12/26", "2026-12-31"),
        ("05/03/85", "1985-03-05"),
        ("31122026", "2026-12-31"),
        ("31/12", "2026-12-31"),
        ("26/11", "2027-11-26"),
        ("hoje", "2026-11-27"),
        ("AMANHÃ!", "2026-11-28"),
        ("amanhã de manhã", "2026-11-28"),
        ("depois de amanhã", "2026-11-29"),
        ("anteontem", "2026-11-25"),
        ("daqui a uma semana", "2026-12-04"),
        ("há 3 dias", "2026-11-24"),
        ("segunda", "2026-11-30"),
        ("2ª feira", "2026-11-30"),
        ("seg", "2026-11-30"),
        ("próxima segunda-feira", "2026-11-30"),
        ("sexta que vem", "2026-12-04"),
        ("esta sexta", "2026-11-27"),
        ("sexta passada", "2026-11-20"),
        ("quarta da semana que vem", "2026-12-02"),
        ("amanhã, sábado", "2026-11-28"),
        ("terça-feira, 1º de dezembro", "2026-12-01"),
        ("dia 5 às 14h", "2026-12-05"),
        ("dia 31", "2026-12-31"),
        ("dia primeiro", "2026-12-01"),
        ("cinco de março de 2027", "2027-03-05"),
        ("5/mar/2027", "2027-03-05"),
        ("1º de dez.", "2026-12-01"),
        ("\u200e３１/１２/２０２６", "2026-12-31"),
    ],
)
def test_a_date_is_understood(said: str, kept: str) -> None:
    assert parse_date(said, "pt-BR", FRIDAY) == kept


@pytest.mark.parametrize(
    "said",
    [
        "sexta",
        "sexta ou sábado",
        "segunda opção",
        "não posso sexta",
        "toda sexta",
        "amanhã, domingo",
        "sexta, 05/12",
        "até dia 5",
        "10/12 ou 11/12",
        "semana que vem",
        "semana que vem na terça",
        "um mês depois de amanhã",
        "3 dias",
        "março",
        "5",
        "31/11",
        "12/05/40",
        "amanhã?",
        "vocês abrem amanhã?",
        "vou ter que ver",
        "31/12/20266",
    ],
)
def test_a_date_that_is_not_certain_is_none(said: str) -> None:
    assert parse_date(said, "pt-BR", FRIDAY) is None


def test_without_today_only_whole_dates_are_understood() -> None:
    assert [parse_date(said, "pt", None) for said in ("amanhã", "5/3", "1/1/26", "sábado")] == [None] * 4
    assert parse_date("dia 5/3/2027", "pt", None) == "2027-03-05"


@pytest.mark.parametrize(
    ("language", "said", "kept"),
    [
        ("es", "mañana por la mañana", "2026-11-28"),
        ("es", "pasado mañana", "2026-11-29"),
        ("es", "el viernes que viene", "2026-12-04"),
        ("es", "el 5 de marzo del 2027", "2027-03-05"),
        ("es", "mañana o pasado", None),
        ("en", "tomorrow at 10", "2026-11-28"),
        ("en", "next Monday", "2026-11-30"),
        ("en", "March 5, 2027", "2027-03-05"),
        ("en", "the 5th of next month", "2026-12-05"),
        ("en", "Friday next week", "2026-12-04"),
        ("en", "in a week", "2026-12-04"),
        ("en", "a week from today", "2026-12-04"),
        ("en", "05/03/2027", "2027-03-05"),
        ("en-US", "05/03/2027", "2027-05-03"),
        ("en-US", "12/31", "2026-12-31"),
    ],
)
def test_dates_are_read_as_the_language_says_them(language: str, said: str, kept: str | None) -> None:
    assert parse_date(said, language, FRIDAY) == kept


def test_next_friday_on_a_monday_is_asked_again_in_english() -> None:
    assert parse_date("next Friday", "en", date(2026, 11, 23)) is None
    assert parse_date("sexta que vem", "pt", date(2026, 11, 23)) == "2026-11-27"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("14h", "14:00"),
        ("14h30", "14:30"),
        ("14h30min", "14:30"),
        ("14:30h", "14:30"),
        ("14.30", "14:30"),
        ("14 horas", "14:00"),
        ("às 14", "14:00"),
        ("14", "14:00"),
        ("vinte e duas horas", "22:00"),
        ("duas da tarde", "14:00"),
        ("2 e meia da tarde", "14:30"),
        ("uma da tarde", "13:00"),
        ("8 da noite", "20:00"),
        ("5 da madrugada", "05:00"),
        ("9h", "09:00"),
        ("03h", "03:00"),
        ("meio-dia", "12:00"),
        ("meio dia e meia", "12:30"),
        ("meia-noite", "00:00"),
        ("dia 5 às 14h", "14:00"),
        ("pode ser 16h?", "16:00"),
        ("１４：３０", "14:30"),
    ],
)
def test_a_time_is_understood(said: str, kept: str) -> None:
    assert parse_time(said, "pt-BR") == kept


@pytest.mark.parametrize(
    "said",
    [
        "às 2",
        "9",
        "3h",
        "2 e meia",
        "25h",
        "14:75",
        "das 14h às 15h",
        "14h ou 15h",
        "depois das 14h",
        "daqui a 2 horas",
        "dez para as três da tarde",
        "de manhã",
        "tenho 14 anos",
    ],
)
def test_a_time_that_is_not_certain_is_none(said: str) -> None:
    assert parse_time(said, "pt-BR") is None


@pytest.mark.parametrize(
    ("language", "said", "kept"),
    [
        ("en", "2pm", "14:00"),
        ("en", "2:30 p.m.", "14:30"),
        ("en", "12am", "00:00"),
        ("en", "noon", "12:00"),
        ("en", "9 in the morning", "09:00"),
        ("en", "2:30", None),
        ("en", "5 o'clock", None),
        ("en", "half past 2 pm", None),
        ("es", "dos y media de la tarde", "14:30"),
        ("es", "9 de la mañana", "09:00"),
        ("es", "3 menos cuarto de la tarde", None),
    ],
)
def test_times_are_read_as_the_language_says_them(language: str, said: str, kept: str | None) -> None:
    assert parse_time(said, language) == kept
