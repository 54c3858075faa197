"""Find dates in texts without case and accents: with digits, with months in words, and those that depend on today."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from graphs.config import language_code

_MONTHS = (
    "janeiro january enero jan ene|fevereiro february febrero fev feb|marco march marzo mar|abril april abr apr|"
    "maio may mayo mai|junho june junio jun|julho july julio jul|agosto august ago aug|"
    "setembro september septiembre setiembre set sep sept|outubro october octubre out oct|"
    "novembro november noviembre nov|dezembro december diciembre dez dec dic"
)
MONTHS = {name: number for number, names in enumerate(_MONTHS.split("|"), 1) for name in names.split()}
_WEEKDAYS = (
    "segunda-feira segunda 2°-feira monday lunes|terca-feira terca 3°-feira tuesday martes|"
    "quarta-feira quarta 4°-feira wednesday miercoles|quinta-feira quinta 5°-feira thursday jueves|"
    "sexta-feira sexta 6°-feira friday viernes|sabado saturday|domingo sunday"
)
WEEKDAYS = {name: number for number, names in enumerate(_WEEKDAYS.split("|")) for name in names.split()}
_SHORT_WEEKDAYS = "seg mon lun|ter tue mar|qua wed mie|qui thu jue|sex fri vie|sab sat|dom sun"
SHORT_WEEKDAYS = {name: number for number, names in enumerate(_SHORT_WEEKDAYS.split("|")) for name in names.split()}
"""Abbreviations. Some are also other words, such as `ter`, `sex` and `sun`."""


def _any(names: dict[str, int]) -> str:
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))


MONTH = f"(?P<month>{_any(MONTHS)})"
ORDINAL = r"(?:°|o|a|st|nd|rd|th)?"
YEAR = r"(?P<year>\d{4}|\d{2})"
END = r"(?![\w/]|[.,:-]\d)"
BEGIN = r"(?<![\w/.,:-])"
NUMERIC = (
    re.compile(rf"{BEGIN}(?P<year>\d{{4}}) ?[/.-] ?(?P<number>\d{{1,2}}) ?[/.-] ?(?P<day>\d{{1,2}})(?:(?=t\d)|{END})"),
    re.compile(rf"{BEGIN}(?P<day>\d{{1,2}}) ?[/.-] ?(?P<number>\d{{1,2}}) ?[/.-] ?{YEAR}{END}"),
    re.compile(rf"{BEGIN}(?P<day>\d{{1,2}}) (?P<number>\d{{1,2}}) (?P<year>\d{{4}}){END}"),
    re.compile(rf"{BEGIN}(?P<day>\d{{2}})(?P<number>\d{{2}})(?P<year>(?:19|20)\d{{2}}){END}"),
    re.compile(rf"{BEGIN}(?P<day>\d{{1,2}}) ?/ ?(?P<number>\d{{1,2}}){END}"),
)
BY_MONTH = (
    re.compile(
        rf"{BEGIN}(?P<day>\d{{1,2}}){ORDINAL}(?: ?[/-] ?| de | of | del? mes de | do mes de | ?){MONTH}(?!\w)\.?"
        rf"(?:(?: ?[/-] ?| de | del |,? |,)(?P<year>\d{{4}})|(?: ?[/-] ?| de | del )(?P<short_year>\d{{2}}))?{END}"
    ),
    re.compile(rf"(?<!\w){MONTH}\.? ?(?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,? (?P<year>\d{{4}}))?{END}"),
)
WHOLE_SHORT = re.compile(r"(?P<day>\d{1,2})[.-](?P<number>\d{1,2})")
"""A day and a month that could be something else within a sentence."""
OF_MONTH = (
    r"(?:(?P<next> (?:do mes que vem|do proximo mes|del mes que viene|del proximo mes|of next month))"
    r"|(?P<this> (?:d?este mes|do mes|del mes|de este mes|of (?:this|the) month)))?"
)
DAY = re.compile(rf"(?<!\w)(?:dia|el) (?P<day>\d{{1,2}}){ORDINAL}(?![\w/]|[.,:]\d){OF_MONTH}")
NTH = re.compile(rf"(?<!\w)(?P<day>\d{{1,2}})(?:st|nd|rd|th)(?!\w){OF_MONTH}")
AWAY = re.compile(
    r"(?<!\w)(?:daqui(?: a)?|de aqui a|em|en|in|within|dentro de|ha|hace)? ?(?P<count>\d{1,3}) "
    r"(?P<unit>dias?|days?|semanas?|weeks?)(?P<after> from now| from today| ago| atras)?(?!\w)"
)
AHEAD = re.compile(r"(?<!\w)(?:daqui|de aqui|em|en|in|within|dentro de)(?!\w)")
AGO = re.compile(r"(?<!\w)(?:ha|hace)(?!\w)|ago$|atras$")
ONE = re.compile(r"(?<!\w)(?:um|uma|un|una|one|(?<=in )a|a(?= \w+ from))(?= (?:dia|semana|day|week)(?!\w))")
RELATIVE = {
    "depois de amanha": 2, "pasado manana": 2, "the day after tomorrow": 2, "day after tomorrow": 2,
    "antes de ontem": -2, "anteontem": -2, "antes de ayer": -2, "anteayer": -2, "the day before yesterday": -2,
    "day before yesterday": -2, "amanha": 1, "amanhan": 1, "tomorrow": 1, "tmrw": 1, "manana": 1,
    "hoje": 0, "hj": 0, "hoy": 0, "today": 0, "tonight": 0, "ontem": -1, "ayer": -1, "yesterday": -1,
}  # fmt: skip
TODAY = re.compile(rf"(?<!\w)(?:{_any(RELATIVE)})(?!\w)")
SPANISH_MORNING = re.compile(r"(?<!\w)(?:por|de|en|a) la manana(?!\w)")
NEXT_WEEK = r"da (?:proxima semana|semana que vem)|de la (?:proxima semana|semana que viene)|(?:of )?next week"
BEFORE = (
    r"(?:(?P<next_before>(?:a |na |o |no |el )?(?:proxim[oa]|next|coming))"
    r"|(?P<this_before>(?:n?est[ea]|n?ess[ea]|this))|(?P<last_before>(?:a |na |el )?(?:ultim[oa]|last)))"
)
BEHIND = (
    rf"(?:(?P<next_week>{NEXT_WEEK})|(?P<next_behind>que vem|que viene|proxim[oa]|seguinte)"
    r"|(?P<this_behind>agora|d?esta semana|de esta semana|this week)|(?P<last_behind>passad[oa]|pasado))"
)


def _weekday_pattern(names: dict[str, int]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{BEFORE} )?(?P<name>{_any(names)})(?: {BEHIND})?(?!\w)")


WEEKDAY, SHORT_WEEKDAY = _weekday_pattern(WEEKDAYS), _weekday_pattern(SHORT_WEEKDAYS)
NO_WEEKDAY = re.compile(r"(?<!\w)(?:opcao|vez|via|aula|option|fim de semana|fin de semana|weekend)(?!\w)")
"""Words that make `segunda` mean second."""
PERIOD = re.compile(r"(?<!\w)(?:semanas?|weeks?|mes|meses|months?|anos?|years?)(?!\w)")
"""Periods. What is left of one moves a date by as much as is not understood."""
FURTHEST_SHORT_YEAR, CLOSEST_BIRTH = 10, 30
"""Years from now until which a year of two digits is in this century, and from which it is in the last one."""


@dataclass(frozen=True)
class Dates:
    """The dates of a text. `unclear` says that there is one that cannot be told. `rest` is the text without them."""

    found: frozenset[date]
    unclear: bool
    rest: str


class DateFinder:
    """Finds dates. Without `today` it does not know those that depend on it, and they are unclear."""

    def __init__(self, language: str, today: date | None) -> None:
        self._code = language_code(language)
        self._month_first = language == "en-US"
        self._today = today
        self._found: set[date] = set()
        self._unclear = False

    def find(self, words: str) -> Dates:
        """Return the dates in a text. A weekday beside a date must be that date's."""
        rest = words.replace(" feira", "-feira")
        if WHOLE_SHORT.fullmatch(rest):
            rest = rest.replace("-", "/").replace(".", "/")
        for pattern in (*NUMERIC, *BY_MONTH):
            rest = self._take(pattern, rest, self._calendar_date)
        rest = self._take(DAY, rest, self._day_of_month)
        if self._code == "en":
            rest = self._take(NTH, rest, self._day_of_month)
        rest = self._take(AWAY, ONE.sub("1", rest), self._away)
        if self._code == "es":
            rest = SPANISH_MORNING.sub(" ", rest)
        rest = self._take(TODAY, rest, lambda match: self._after_today(RELATIVE[match[0]]))
        found, unclear, rest = self._with_weekdays(rest)
        return Dates(found, unclear or PERIOD.search(rest) is not None, rest)

    def _take(self, pattern: re.Pattern[str], text: str, read: Callable[[re.Match[str]], date | None]) -> str:
        """Keep what a pattern finds, and return the text without it."""

        def keep(match: re.Match[str]) -> str:
            value = read(match)
            self._unclear |= value is None
            if value is not None:
                self._found.add(value)
            return " "

        return pattern.sub(keep, text)

    def _calendar_date(self, match: re.Match[str]) -> date | None:
        parts = match.groupdict()
        day = int(parts["day"])
        month = MONTHS[parts["month"]] if parts.get("month") else int(parts["number"])
        if self._month_first and not parts.get("month") and match.start("day") < match.start("number") and day <= 12:
            day, month = month, day
        written = parts.get("year") or parts.get("short_year")
        if written is None:
            return self._next_date(month, day)
        year = self._year(written)
        return None if year is None else _date(year, month, day)

    def _year(self, written: str) -> int | None:
        """Return the year, or None for two digits that may be of either century."""
        if len(written) == 4:
            return int(written)
        if self._today is None:
            return None
        year = self._today.year // 100 * 100 + int(written)
        if year <= self._today.year + FURTHEST_SHORT_YEAR:
            return year
        return year - 100 if year > self._today.year + CLOSEST_BIRTH else None

    def _next_date(self, month: int, day: int) -> date | None:
        """Return the next date from today on, in this year or the next."""
        if self._today is None:
            return None
        dates = (_date(self._today.year + more, month, day) for more in (0, 1))
        return next((found for found in dates if found is not None and found >= self._today), None)

    def _day_of_month(self, match: re.Match[str]) -> date | None:
        parts, today = match.groupdict(), self._today
        if today is None:
            return None
        months = [(today.year + (today.month - 1 + more) // 12, (today.month - 1 + more) % 12 + 1) for more in range(3)]
        if parts.get("next"):
            months = months[1:2]
        elif parts.get("this"):
            months = months[:1]
        dates = (_date(year, month, int(parts["day"])) for year, month in months)
        return next((found for found in dates if found is not None and found >= today), None)

    def _away(self, match: re.Match[str]) -> date | None:
        """Return the date so many days or weeks away. Without a word for its direction it is a duration."""
        days = int(match["count"]) * (7 if match["unit"].startswith(("semana", "week")) else 1)
        if AGO.search(match[0]):
            return self._after_today(-days)
        return self._after_today(days) if match["after"] or AHEAD.search(match[0]) else None

    def _after_today(self, days: int) -> date | None:
        return None if self._today is None else self._today + timedelta(days=days)

    def _with_weekdays(self, rest: str) -> tuple[frozenset[date], bool, str]:
        pattern, names = WEEKDAY, WEEKDAYS
        if not self._found and SHORT_WEEKDAY.fullmatch(rest.strip(" .,!")):
            pattern, names = SHORT_WEEKDAY, SHORT_WEEKDAYS
        matches = [] if NO_WEEKDAY.search(rest) else list(pattern.finditer(rest))
        rest = pattern.sub(" ", rest)
        if self._found or self._unclear:
            fits = all(found.weekday() == names[match["name"]] for match in matches for found in self._found)
            return frozenset(self._found), self._unclear or not fits, rest
        days = {self._weekday(match, names[match["name"]]) for match in matches}
        return frozenset(day for day in days if day), None in days, rest

    def _weekday(self, match: re.Match[str], weekday: int) -> date | None:
        """Return the date of a weekday, or None where two are meant by it."""
        today = self._today
        if today is None:
            return None
        ahead = (weekday - today.weekday()) % 7
        parts = match.groupdict()
        if parts["next_week"]:
            return today + timedelta(days=7 - today.weekday() + weekday)
        if parts["last_before"] or parts["last_behind"]:
            return today - timedelta(days=(today.weekday() - weekday) % 7 or 7)
        if parts["this_before"] or parts["this_behind"]:
            return today + timedelta(days=ahead)
        if parts["next_before"] or parts["next_behind"]:
            # "Next Friday" on a Monday is four days away for some, and eleven for others.
            same_week = self._code == "en" and today.weekday() < weekday
            return None if same_week else today + timedelta(days=ahead or 7)
        return today + timedelta(days=ahead) if ahead else None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
