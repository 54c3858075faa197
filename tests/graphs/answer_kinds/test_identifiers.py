"""E-mail addresses, phone numbers, CPF, CNPJ and CEP within what surrounds them."""

import pytest

from graphs.answer_kinds.identifiers import (
    format_identifier,
    parse_cep,
    parse_cnpj,
    parse_cpf,
    parse_cpf_or_cnpj,
    parse_email,
    parse_phone,
)


@pytest.mark.parametrize(
    "said",
    [
        "Ana@Exemplo.com.",
        "<ana@exemplo.com>",
        "mailto:ana@exemplo.com",
        "ana@exemplo.com\u200b",
        "meu email é ana@exemplo.com",
        "ana＠exemplo．com",
        "ana @ exemplo.com",
        "ana@ exemplo.com",
        "*ana@exemplo.com*",
        "ana arroba exemplo ponto com",
        "ana@exemplo.com, sim: ANA@exemplo.com",
    ],
)
def test_an_email_is_kept_without_what_surrounds_it(said: str) -> None:
    assert parse_email(said) == "ana@exemplo.com"


@pytest.mark.parametrize(
    "said", ["insta @ana.silva", "ana@@exemplo.com", "a@x.com ou b@x.com", "não é ana@exemplo.com", "ana@exemplo..com"]
)
def test_an_email_that_is_not_certain_is_none(said: str) -> None:
    assert parse_email(said) is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("meu zap é (11) 99000-0001", "11990000001"),
        ("tel: +55 11 4000-0001.", "+551140000001"),
        ("11‑99000‑0001 Ana", "11990000001"),
        ("1️⃣1️⃣990000001", "11990000001"),
        ("meu CPF é 529.982.247-25", None),
        ("11 4000-0001 ramal 23", None),
        ("11 4000-0001 e 11 4000-0002", None),
    ],
)
def test_a_phone_number_is_taken_out_of_a_sentence(said: str, kept: str | None) -> None:
    assert parse_phone(said, "pt-BR") == kept


@pytest.mark.parametrize(
    "said",
    [
        "529 982 247 25",
        "CPF 529.982.247-25",
        "529.982.247-25 é o meu",
        "529.982.247 – 25",
        "529.982.247/25",
        "5 2 9 9 8 2 2 4 7 2 5",
        "529.982.247-25 12/03/1990",
        "５２９.982.247-25",
    ],
)
def test_a_cpf_is_its_digits(said: str) -> None:
    assert parse_cpf(said) == parse_cpf_or_cnpj(said) == "52998224725"


@pytest.mark.parametrize("said", ["30 52998224725", "529.982.247-25 e 111.444.777-35", "11.222.333/0001-81"])
def test_a_cpf_that_is_not_certain_is_none(said: str) -> None:
    assert parse_cpf(said) is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("11.222.333/0001-81", "11222333000181"),
        ("CNPJ 11 222 333 0001 81.", "11222333000181"),
        ("12.ABC.345/01DE-35", "12ABC34501DE35"),
        ("meu cnpj é 12abc34501de35", "12ABC34501DE35"),
        ("11.222.333/0001-80", None),
        ("12.ABC.345/01DE-36", None),
        ("00.000.000/0000-00", None),
        ("529.982.247-25", None),
    ],
)
def test_a_cnpj_has_digits_or_letters(said: str, kept: str | None) -> None:
    assert parse_cnpj(said) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("01310-100", "01310100"),
        ("CEP: 01.310-100", "01310100"),
        ("Av. Paulista 1578, 01310-100", "01310100"),
        ("0131010", None),
        ("00000-000", None),
        ("99000-0001", None),
    ],
)
def test_a_cep_has_eight_digits(said: str, kept: str | None) -> None:
    assert parse_cep(said) == kept


def test_identifiers_are_shown_as_they_are_written() -> None:
    shown = [format_identifier(kept) for kept in ("01310100", "52998224725", "12ABC34501DE35", "?")]
    assert shown == ["01310-100", "529.982.247-25", "12.ABC.345/01DE-35", "?"]
