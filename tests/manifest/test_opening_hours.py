"""Opening hours as businesses write them: days, hours, holidays and vacations."""

from datetime import date, datetime
from typing import Any

import pytest

from graphs.sections import Hours, Span
from manifest.loader import MAIN, load, load_form
from manifest.opening_hours import hours_of_a_day, opening_spans, weekdays
from tests.manifest.files import PROMPTS, TEXT, problems

WEEK = tuple(range(7))


def hours(*lines: str) -> Hours:
    """The hours of these lines, which the stored form has, too."""
    loaded = load({MAIN: TEXT + "\n".join(["hours:", *(f"  {line}" for line in lines), ""]), **PROMPTS})
    assert loaded.form_text is not None
    stored = load_form(loaded.form_text, loaded.content_hash)
    assert stored is not None
    assert stored.assistant.hours == loaded.assistant.hours
    return loaded.assistant.hours


def shown(spans: tuple[Span, ...]) -> list[str]:
    return [f"{opens:%H:%M}-{closes:%H:%M}" for opens, closes in spans]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("seg-sex", WEEK[:5]),
        ("seg a sex", WEEK[:5]),
        ("Segunda-feira a sexta-feira", WEEK[:5]),
        ("segunda à sexta", WEEK[:5]),
        ("2ª a 6ª", WEEK[:5]),
        ("Mon\u2013Fri", WEEK[:5]),
        ("lunes a viernes", WEEK[:5]),
        ("Monday to Friday", WEEK[:5]),
        ("dias úteis", WEEK[:5]),
        ("terças e quintas", (1, 3)),
        ("seg, qua e sex", (0, 2, 4)),
        ("sábado", (5,)),
        ("miércoles", (2,)),
        ("sáb/dom", (5, 6)),
        ("fim de semana", (5, 6)),
        ("dom a qui", (0, 1, 2, 3, 6)),
        ("fri-mon", (0, 4, 5, 6)),
        ("todos os dias", WEEK),
    ],
)
def test_days_have_names(text: str, days: tuple[int, ...]) -> None:
    assert weekdays(text) == days


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("9h-18h", ["09:00-18:00"]),
        ("9h30 às 18h", ["09:30-18:00"]),
        ("das 9 às 18", ["09:00-18:00"]),
        ("9-18", ["09:00-18:00"]),
        ("10:00 \u2013 22:00", ["10:00-22:00"]),
        ("9am-6pm", ["09:00-18:00"]),
        ("12:30 p.m. to 9 p.m.", ["12:30-21:00"]),
        ("9h ao meio-dia", ["09:00-12:00"]),
        ("8:00-12:00, 13:00-18:00", ["08:00-12:00", "13:00-18:00"]),
        ("8h às 12h e 13h30 às 18h", ["08:00-12:00", "13:30-18:00"]),
        (["8-12", "13-18"], ["08:00-12:00", "13:00-18:00"]),
        ("18:00-02:00", ["18:00-02:00"]),
        ("18:00-24:00", ["18:00-00:00"]),
        ("18h à meia-noite", ["18:00-00:00"]),
        ("24h", ["00:00-00:00"]),
        ("0h às 24h", ["00:00-00:00"]),
        ("Fechado", []),
        ("closed", []),
        ("cerrado", []),
    ],
)
def test_hours_are_written_in_many_ways(text: Any, spans: list[str]) -> None:
    assert shown(opening_spans(text)) == spans


@pytest.mark.parametrize(
    "text", ["9-5", "9-6pm", "08:00-08:00", "24:00-08:00", "25:00-26:00", "18:00", "aberto", 9, None]
)
def test_hours_that_are_not_certain_are_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"write|expected"):
        opening_spans(text)


def test_a_calendar_has_hours_within_a_day() -> None:
    assert shown((hours_of_a_day("18h às 24h"), hours_of_a_day("24h"))) == ["18:00-00:00", "00:00-00:00"]
    for text in ("8-12, 13-18", "closed", "18:00-02:00"):
        with pytest.raises(ValueError, match=r"one span|before it opens"):
            hours_of_a_day(text)


@pytest.mark.parametrize("key", ["holidays", "feriados", "festivos", "vacations", "férias"])
def test_holidays_and_vacations_are_closed(key: str) -> None:
    found = hours("todos os dias: 24h", f"{key}: [2026-12-25, 01/01, '20/02/2027 a 25/02/2027', 24/12 - 02/01]")
    closed = ["2026-12-25", "2031-01-01", "2027-02-20", "2027-02-25", "2028-12-24", "2029-01-02"]
    assert not any(found.open_at(datetime.fromisoformat(f"{day}T12:00")) for day in closed)
    opened = ["2026-12-23", "2027-02-26", "2027-01-03", "2028-02-22"]
    assert all(found.open_at(datetime.fromisoformat(f"{day}T12:00")) for day in opened)


def test_a_holiday_may_have_hours_of_its_own() -> None:
    found = hours(
        "seg-sex: 9-18",
        "holidays:",
        "  2026-12-24: 9h-12h",
        "  24/12: closed",
        "  31 de dezembro: 20:00-02:00",
        "vacations: {20/12 a 05/01: 10-14}",
    )
    at = {
        "2026-12-24T11:00": True,
        "2026-12-24T12:00": False,
        "2027-12-24T11:00": False,
        "2027-01-01T01:30": True,
        "2027-01-01T11:00": True,
        "2027-01-01T15:00": False,
        "2027-01-09T11:00": False,
        "2026-12-26T11:00": True,
    }
    assert {when: found.open_at(datetime.fromisoformat(when)) for when in at} == at


def test_dates_of_one_year_stay_holidays() -> None:
    """A published version of an earlier release has them as texts."""
    assert hours('holidays: ["2026-12-25", 2027-01-01]').holidays == {date(2026, 12, 25), date(2027, 1, 1)}
    assert hours('mon-fri: ["09:00-12:00"]', "sat: []").days[5] == ()


def test_every_line_that_cannot_be_read_is_a_problem() -> None:
    lines = ["hours:", "  mun: 9-18", "  tue: 9-99", "  holidays: [25/12, natal]", "  férias: {2026-12-24: talvez}", ""]
    found = problems(TEXT + "\n".join(lines))
    first = TEXT.count("\n") + 2
    assert [problem.split(":")[1] for problem in found] == [str(first + number) for number in range(4)]


def test_a_week_that_is_always_closed_is_a_problem() -> None:
    (problem,) = problems(TEXT + "hours: {domingo: fechado}\n")
    assert "hours: no day has hours: a day that is not named is closed, too" in problem
