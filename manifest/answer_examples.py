"""Examples of answers for the reference. A test parses each of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from graphs.sections import Expected

TODAY = date(2026, 11, 27)
"""The Friday on which the examples are said."""
YES_OR_NO = ("Sim", "Não")
SHIFTS = ("1️⃣ Manhã (8h às 12h)", "2️⃣ Tarde (13h às 18h)")


@dataclass(frozen=True)
class Examples:
    """What contacts say in a language, and how it is kept. None is asked again."""

    expect: Expected
    language: str
    kept: str | None
    said: tuple[str, ...]
    choices: tuple[str, ...] = ()


def _rows(expect: Expected, language: str, rows: Iterable[tuple[str | None, str]]) -> tuple[Examples, ...]:
    return tuple(Examples(expect, language, kept, tuple(said.split(" · "))) for kept, said in rows)


ANSWERS: tuple[Examples, ...] = (
    *_rows(
        "number",
        "pt-BR",
        (
            ("1500.00", "1.500,00 · R$ 1.500,00"),
            ("1500", "1500 reais · mil e quinhentos · 1,5 mil"),
            ("30", "30 anos · tenho trinta anos"),
            ("2", "2️⃣ · dois"),
            (None, "2 ou 3 · uns pares · 1 e meio · mais de 30"),
        ),
    ),
    *_rows("number", "en", (("1500.25", "1,500.25 · $1,500.25"), ("25", "twenty-five"))),
    *_rows("number", "es", (("1500.25", "1.500,25"), ("23", "veintitrés · tengo 23 años"))),
    *_rows(
        "date",
        "pt-BR",
        (
            ("2026-12-31", "31/12/2026 · 31/12/26 · 31 / 12 · dia 31 de dezembro · 2026-12-31 · 31122026"),
            ("2026-11-27", "hoje"),
            ("2026-11-28", "amanhã · amanhã às 10h · sábado · pode ser amanhã?"),
            ("2026-11-30", "próxima segunda · segunda-feira · daqui a 3 dias · 30/11"),
            ("2026-12-04", "sexta que vem · sexta da semana que vem · sexta, 04/12"),
            ("2026-12-05", "dia 5"),
            ("2027-03-05", "5 de março"),
            (None, "sexta · semana que vem · sexta ou sábado · até dia 5 · 12/05/40 · sexta, 05/12"),
        ),
    ),
    *_rows(
        "date",
        "en-US",
        (
            ("2026-12-31", "12/31/2026 · December 31 · Dec 31st, 2026"),
            ("2026-11-28", "tomorrow"),
            ("2026-11-30", "next Monday · in 3 days"),
        ),
    ),
    *_rows("date", "es", (("2026-11-28", "mañana"), ("2026-11-30", "el próximo lunes"), ("2027-03-05", "5 de marzo"))),
    *_rows(
        "time",
        "pt-BR",
        (
            ("14:00", "14h · 14:00 · às 14 · 2 da tarde · duas da tarde"),
            ("14:30", "14h30 · 14:30 · duas e meia da tarde"),
            ("09:00", "9h · 9 da manhã · 09:00"),
            ("12:00", "meio-dia"),
            (None, "às 2 · 3h · entre 14h e 15h · depois das 14h"),
        ),
    ),
    *_rows("time", "en", (("14:00", "2pm · 2 p.m. · 14:00"), ("12:00", "noon"), (None, "2:30 · at 9"))),
    *_rows("time", "es", (("14:00", "14h · 2 de la tarde"), ("12:00", "mediodía"))),
    *_rows(
        "email",
        "pt-BR",
        (
            (
                "ana@exemplo.com",
                "Ana@Exemplo.com. · meu email é ana@exemplo.com · <ana@exemplo.com> · ana arroba exemplo ponto com",
            ),
        ),
    ),
    *_rows(
        "phone",
        "pt-BR",
        (("11990000001", "(11) 99000-0001 · meu zap é 11 99000 0001"), ("+5511990000001", "+55 11 99000-0001")),
    ),
    *_rows("cpf", "pt-BR", (("52998224725", "529.982.247-25 · CPF 529 982 247 25"), (None, "529.982.247-24"))),
    *_rows(
        "cnpj",
        "pt-BR",
        (("11222333000181", "11.222.333/0001-81 · CNPJ 11222333000181"), ("12ABC34501DE35", "12.abc.345/01de-35")),
    ),
    *_rows("cpf_cnpj", "pt-BR", (("52998224725", "529.982.247-25"), ("11222333000181", "11.222.333/0001-81"))),
    *_rows("cep", "pt-BR", (("01310100", "01310-100 · CEP 01310100"),)),
    Examples("choice", "pt-BR", "Sim", ("sim, por favor", "1", "1️⃣", "opção 1", "👍", "isso mesmo"), YES_OR_NO),
    Examples("choice", "pt-BR", "Não", ("n", "não, obrigada", "👎", "a segunda"), YES_OR_NO),
    Examples("choice", "pt-BR", SHIFTS[1], ("à tarde", "Tarde por favor", "das 13h às 18h", "dois", "a 2"), SHIFTS),
    Examples("choice", "pt-BR", None, ("manhã ou tarde", "boa tarde", "3"), SHIFTS),
)
