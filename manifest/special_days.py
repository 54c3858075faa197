"""Read holidays and vacations: dates, dates of each year, and spans of them, with hours of their own or without."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from graphs.answer_kinds.dates import MONTHS
from graphs.answer_kinds.wording import simple
from graphs.sections import DayOfYear, Span, SpecialDays
from manifest.yaml_source import Location

HOLIDAYS = frozenset(("holidays", "holiday", "feriados", "feriado", "festivos"))
VACATIONS = frozenset(("vacations", "vacation", "ferias", "vacaciones", "recesso"))
EXPECTED = (
    "expected a date such as 2026-12-25 or 25/12/2026, 25/12 for each year, or two such as 20/12/2026 - 05/01/2027; "
    "the day comes before the month"
)
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DATE = (
    r"(?:(?P<{0}_iso>\d{{4}}-\d{{1,2}}-\d{{1,2}})|(?P<{0}_day>\d{{1,2}})°?"
    rf"(?: ?/ ?(?P<{{0}}_number>\d{{{{1,2}}}})|(?: de | )(?P<{{0}}_month>{_MONTH}))"
    r"(?:(?: ?/ ?| de | )(?P<{0}_year>\d{{4}}))?)"
)
DAYS = re.compile(
    rf"(?:de |from )?{_DATE.format('first')}"
    rf"(?:(?: ?\.\.\.? ?| ?- ?| a | ate | to | until | hasta ){_DATE.format('last')})?"
)
LONGEST_YEAR = 2024
"""A leap year, in which 29 February is a date."""

PartProblem = tuple[Location, str, bool]
"""A place within the value, what is wrong there, and whether it is the key."""


class SpecialDaysReader:
    """Reads the lines of holidays and vacations. `closed` are the dates of holidays without hours."""

    def __init__(self, spans_of: Callable[[Any], tuple[Span, ...]]) -> None:
        self.closed: set[date] = set()
        self.problems: list[PartProblem] = []
        self._spans_of = spans_of
        self._found: list[SpecialDays] = []

    def read(self, key: str, value: Any) -> bool:
        """Return whether a line is about holidays or vacations, and add its days."""
        if simple(key) not in HOLIDAYS | VACATIONS:
            return False
        for where, days, hours in _entries((key,), value):
            try:
                first, last = days_between(days)
            except ValueError as error:
                self.problems.append((where, str(error), isinstance(hours, _Hours)))
                continue
            try:
                spans = self._spans_of(hours.value) if isinstance(hours, _Hours) else ()
            except ValueError as error:
                self.problems.append((where, str(error), False))
                continue
            if first == last and isinstance(first, date) and not spans:
                self.closed.add(first)
            else:
                self._found.append(SpecialDays(first, last, spans))
        return True

    def in_order(self) -> tuple[SpecialDays, ...]:
        """Return the days with those first that decide: dates before days of each year, shorter spans before longer."""
        return tuple(sorted(self._found, key=lambda days: (not isinstance(days.first, date), _length(days))))


class _Hours:
    """The hours that a line gives to a date."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _entries(where: Location, value: Any) -> Iterator[tuple[Location, Any, _Hours | None]]:
    """Yield each date or span of dates, with its place and its hours."""
    if isinstance(value, list):
        for number, part in enumerate(value):
            yield from _entries((*where, number), part)
    elif isinstance(value, Mapping) and value.keys() == {"from", "to"}:
        yield where, value, None
    elif isinstance(value, Mapping):
        for days, hours in value.items():
            yield (*where, days), days, _Hours(hours)
    else:
        yield where, value, None


def days_between(value: Any) -> tuple[date, date] | tuple[DayOfYear, DayOfYear]:
    """Return the first and the last day of a date or of a span of dates. Raises ValueError."""
    if isinstance(value, Mapping):
        (first, last), (first_to, last_to) = days_between(value["from"]), days_between(value["to"])
        if first != last or first_to != last_to:
            raise ValueError(EXPECTED)
        return _in_order(first, last_to)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value, value
    match = DAYS.fullmatch(simple(value).strip(" .")) if isinstance(value, str) else None
    if match is None:
        raise ValueError(EXPECTED)
    first = _day(match, "first")
    last = _day(match, "last") if match["last_iso"] or match["last_day"] else first
    return _in_order(first, last)


def _day(match: re.Match[str], end: str) -> date | DayOfYear:
    try:
        if iso := match[f"{end}_iso"]:
            year, month, day = map(int, iso.split("-"))
            return date(year, month, day)
        day = int(match[f"{end}_day"])
        month = MONTHS[name] if (name := match[f"{end}_month"]) else int(match[f"{end}_number"])
        if written := match[f"{end}_year"]:
            return date(int(written), month, day)
        date(LONGEST_YEAR, month, day)
    except ValueError:
        raise ValueError(f"there is no such date; {EXPECTED}") from None
    return month, day


def _in_order(first: date | DayOfYear, last: date | DayOfYear) -> tuple[date, date] | tuple[DayOfYear, DayOfYear]:
    if isinstance(first, date) and isinstance(last, date):
        if last < first:
            raise ValueError("ends before it begins")
        return first, last
    if isinstance(first, date) or isinstance(last, date):
        raise ValueError("write the year of both dates, or of neither: without it they come each year")
    return first, last


def _length(days: SpecialDays) -> int:
    if isinstance(days.first, date) and isinstance(days.last, date):
        return (days.last - days.first).days
    assert not isinstance(days.first, date), "both are dates, or neither is"
    assert not isinstance(days.last, date), "both are dates, or neither is"
    (month, day), (last_month, last_day) = days.first, days.last
    return ((last_month - month) * 31 + last_day - day) % (12 * 31)
