"""Parse dates and times of day. A date may stand beside a time, and a time beside a date."""

import re
from datetime import date

from graphs.answer_kinds.dates import DateFinder
from graphs.answer_kinds.number_words import with_digits
from graphs.answer_kinds.times import find_times, whole_hour
from graphs.answer_kinds.wording import simple, unsure

FILLERS = re.compile(
    r"(?<!\w)(?:pode ser|prefiro|quero|as|por favor|pls|please|at|a las|puede ser|can be|por volta das)(?!\w)"
)
FIRST = re.compile(r"(?<!\w)(?:primeiro|primero)(?= de |$)|(?<=dia )primeiro")
DECEMBER = re.compile(r"(\d°?(?: de |[ /-]))dez(?!\w)")
"""The month whose abbreviation is also a number."""
DISTANCE = re.compile(
    r"\d+ (?:min\w* )?(?:para|pra|to|till|past|after) (?:as? |las? )?\d"
    r"|(?<!\w)(?:half|quarter|past|daqui|dentro de|in \d|faltam?)(?!\w)"
)
"""Ways to say a time by its distance from another one."""


def parse_date(said: str, language: str, today: date | None) -> str | None:
    """Return the only date of a text as 2026-12-31, or None. A date without a year is the next one from today on."""
    words = with_digits(DECEMBER.sub(r"\1dezembro", FIRST.sub("1", simple(said))), language)
    dates = DateFinder(language, today).find(words)
    rest = find_times(dates.rest, language).rest
    if dates.unclear or len(dates.found) != 1 or re.search(r"\d", rest) or unsure(rest, language):
        return None
    (found,) = dates.found
    return found.isoformat()


def parse_time(said: str, language: str) -> str | None:
    """Return the only time of a text as 14:30, or None."""
    words = with_digits(simple(said), language)
    if hour := whole_hour(FILLERS.sub(" ", words).strip(" .,!?")):
        return f"{hour:%H:%M}"
    times = find_times(words, language)
    rest = DateFinder(language, None).find(times.rest).rest
    if DISTANCE.search(words) or times.unclear or len(times.found) != 1:
        return None
    if re.search(r"\d", rest) or unsure(rest, language):
        return None
    (found,) = times.found
    return f"{found:%H:%M}"
