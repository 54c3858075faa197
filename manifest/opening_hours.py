"""Read opening hours as businesses write them, in Portuguese, English and Spanish."""

import re
from collections.abc import Mapping
from datetime import time
from typing import Any

from pydantic_core import PydanticCustomError

from graphs.answer_kinds.dates import SHORT_WEEKDAYS, WEEKDAYS
from graphs.answer_kinds.wording import simple
from graphs.sections import ALL_DAY, Span
from manifest.special_days import HOLIDAYS, PartProblem, SpecialDaysReader
from manifest.yaml_source import WITHIN

DAY_NAMES: Mapping[str, int] = {
    **SHORT_WEEKDAYS,
    **WEEKDAYS,
    **{f"{day + 2}{mark}": day for day in range(5) for mark in "°a"},
    "tues": 1,
    "thur": 3,
    "thurs": 3,
}
GROUPS: Mapping[str, range] = {
    **dict.fromkeys(("todos os dias", "todo dia", "diariamente", "every day", "daily", "todos los dias"), range(7)),
    **dict.fromkeys(("dias uteis", "dias de semana", "weekdays", "entre semana", "dias laborables"), range(5)),
    **dict.fromkeys(
        ("fim de semana", "fins de semana", "weekend", "weekends", "fin de semana", "fines de semana"), range(5, 7)
    ),
}
TO = r"(?: ?- ?| a | ao | as | ate | to | until | till | through | hasta )"
AND = r" ?[,;/&+] ?| e | y | and "
DAYS_EXPECTED = "expected days such as mon-fri or mon,wed,sat, also in words: seg a sex, sábado e domingo"
HOURS_EXPECTED = 'expected hours such as "08:00-18:00" or "9h às 18h", several with commas, 24h, or closed'
HOLIDAYS_HAVE_DATES = "holidays have dates: write them as `holidays: {25/12: closed}`"

CLOSED = frozenset(("closed", "fechado", "fechada", "fechados", "cerrado", "cerrada", "nao abre", "folga"))
ROUND_THE_CLOCK = frozenset(("24h", "24 h", "24hs", "24 horas", "24 hours", "24/7", "all day", "aberto 24h"))
NAMED_TIMES = {
    **dict.fromkeys(("meio-dia", "meio dia", "mediodia", "noon", "midday"), time(12)),
    **dict.fromkeys(("meia-noite", "meia noite", "medianoche", "midnight"), time()),
}
TIME = (
    r"(?P<{0}_hour>\d{{1,2}})(?:(?: ?[:.] ?| ?h ?)(?P<{0}_minute>\d{{2}}))?(?: ?(?:hs?|hrs?|horas?|min|m))?"
    r"(?: ?(?P<{0}_half>[ap])\.? ?m\.?)?"
)
NAMED = "|".join(NAMED_TIMES)
SPAN = re.compile(
    rf"(?:das? |de |desde |from )?(?:las? )?(?:(?P<from_name>{NAMED})|{TIME.format('from')})"
    rf"{TO}(?:as? |las? |o )?(?:(?P<to_name>{NAMED})|{TIME.format('to')})"
)
"""Hours from and to."""


def weekdays(value: Any) -> tuple[int, ...]:
    """Return the days of a text, Monday being 0, in the order of the week. Raises ValueError."""
    text = simple(value).strip(" .") if isinstance(value, str) else ""
    text = re.sub(r"[- ]feiras?(?!\w)", "", text)
    found: set[int] = set()
    for part in re.split(AND, re.sub(r"^(?:de |das? |from )", "", text)):
        if part in HOLIDAYS:
            raise ValueError(HOLIDAYS_HAVE_DATES)
        found.update(GROUPS[part] if part in GROUPS else _days_between(part))
    return tuple(sorted(found))


def _days_between(text: str) -> list[int]:
    """Return the days of `fri` or of `fri-mon`, with which the week begins anew."""
    days = [_day(name) for name in re.split(TO, text)]
    first, last = days[0], days[-1]
    if first is None or last is None or len(days) > 2:
        raise ValueError(DAYS_EXPECTED)
    return [(first + more) % 7 for more in range((last - first) % 7 + 1)]


def _day(name: str) -> int | None:
    bare = re.sub(r"^(?:aos? |nos? |as? |on )", "", name.strip(" ."))
    return next((DAY_NAMES[form] for form in (bare, bare.removesuffix("s")) if form in DAY_NAMES), None)


def opening_spans(value: Any) -> tuple[Span, ...]:
    """Return the hours of a text, or of a list of texts. None of them means closed. Raises ValueError."""
    if isinstance(value, list):
        return tuple(span for part in value for span in opening_spans(part))
    text = simple(value).strip(" .") if isinstance(value, str) else ""
    if text in CLOSED:
        return ()
    if text in ROUND_THE_CLOCK:
        return ALL_DAY
    return tuple(_span(part) for part in re.split(AND, text))


def hours_of_a_day(value: Any) -> Span:
    """Return the hours of one span within one day. Raises ValueError."""
    spans = opening_spans(value)
    if len(spans) != 1:
        raise ValueError("expected the hours of one span: write a calendar for each of several")
    ((opens, closes),) = spans
    if closes <= opens and closes != time():
        raise ValueError("closes before it opens: bookable times end on the same day, at 24:00 at the latest")
    return opens, closes


def _span(text: str) -> Span:
    match = SPAN.fullmatch(text)
    if match is None:
        raise ValueError(HOURS_EXPECTED)
    opens, closes = _time(match, "from"), _time(match, "to")
    if match["to_hour"] and match["from_hour"] and bool(match["to_half"]) != bool(match["from_half"]):
        raise ValueError('expected am or pm behind both hours, such as "9am-6pm"')
    if re.fullmatch(r"\d{1,2} ?- ?\d{1,2}", text) and closes <= opens <= time(12) and closes != time():
        raise ValueError(
            f'{text} may end in the afternoon or on the next day: write "9-18", "9am-6pm" or "18:00-02:00"'
        )
    if match["from_hour"] == "24" or (opens == closes and match["to_hour"] != "24"):
        raise ValueError("closes when it opens: write 24h for the whole day")
    return opens, closes


def _time(match: re.Match[str], end: str) -> time:
    if name := match[f"{end}_name"]:
        return NAMED_TIMES[name]
    hour, minute = int(match[f"{end}_hour"]), int(match[f"{end}_minute"] or 0)
    if half := match[f"{end}_half"]:
        if not 1 <= hour <= 12:
            raise ValueError(HOURS_EXPECTED)
        hour = hour % 12 + (12 if half == "p" else 0)
    if (hour, minute) == (24, 0):
        return time()
    if hour > 23 or minute > 59:
        raise ValueError(f"{HOURS_EXPECTED}. Hours go from 00:00 to 24:00")
    return time(hour, minute)


def table_of_hours(value: Any) -> Any:
    """Return the weekly hours and the special days of a mapping. Raises PydanticCustomError with all problems."""
    if not isinstance(value, dict):
        raise ValueError('expected days and hours, such as {mon-fri: "08:00-18:00", holidays: [2026-12-25]}')
    week, special = _Week(), SpecialDaysReader(opening_spans)
    for key, hours in value.items():
        if not special.read(key, hours):
            week.read(key, hours)
    problems = [*week.problems, *week.contradictions(), *special.problems]
    if problems:
        raise PydanticCustomError(WITHIN, "hours that cannot be read", {"problems": problems})
    if week.is_always_closed():
        raise ValueError("no day has hours: a day that is not named is closed, too")
    return {"days": week.spans, "holidays": special.closed, "special": special.in_order()}


class _Week:
    """The hours of weekdays, and the problems found so far."""

    def __init__(self) -> None:
        self.spans: dict[int, list[Span]] = {}
        self.problems: list[PartProblem] = []
        self._closed: dict[str, tuple[int, ...]] = {}

    def read(self, key: str, hours: Any) -> None:
        """Add the hours of some days."""
        try:
            days = weekdays(key)
        except ValueError as error:
            self.problems.append(((key,), f"{error}; or `holidays`, `vacations`", True))
            return
        parts = hours if isinstance(hours, list) else [hours]
        for number, part in enumerate(parts):
            try:
                spans = opening_spans(part)
            except ValueError as error:
                self.problems.append(((key, number) if isinstance(hours, list) else (key,), str(error), False))
                continue
            if not spans:
                self._closed[key] = days
            for day in days:
                self.spans.setdefault(day, []).extend(spans)
        for day in days:
            self.spans.setdefault(day, [])

    def contradictions(self) -> list[PartProblem]:
        """Return the lines that close a day for which another line has hours."""
        return [
            ((key,), "closed, but another line has hours for the same day", False)
            for key, days in self._closed.items()
            if any(self.spans[day] for day in days)
        ]

    def is_always_closed(self) -> bool:
        """Return whether the week is closed in words, and has no hours at all."""
        return bool(self._closed) and not any(self.spans.values())
