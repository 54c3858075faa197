"""Find times of day in texts without case and accents."""

import re
from dataclasses import dataclass
from datetime import time

from graphs.config import language_code

MORNING = (
    r"am|a\. ?m\.?|(?:da|de|pela|por la|de la|en la) manha(?:na)?|(?:da|de|por la|de la) manana|in the morning|de manha"
)
DAWN = r"(?:da|de|de la|en la) madrugada"
AFTERNOON = r"(?:da|de|a|pela|por la|de la|en la) tarde|in the afternoon"
PM = r"pm|p\. ?m\.?"
NIGHT = r"(?:da|de|a|pela) noite|(?:por la|de la|en la) noche|in the evening|at night"
HALF = r"mei[oa]|media"
TIME = re.compile(
    rf"(?<![\w/.,:$-])(?P<at>(?:as|a las?|las?|at) )?(?P<hour>\d{{1,2}})"
    rf"(?:(?P<colon> ?: ?|\.)(?P<minute>\d{{2}})(?: ?h(?:s|rs?|oras?)?)?"
    rf"|(?P<mark> ?h(?:s|rs?|oras?|our|ours)?)"
    rf"(?: ?(?:(?:e|y|and) )?(?:(?P<minute2>\d{{1,2}})(?: ?m(?:in(?:utos?|utes?)?)?)?"
    rf"|(?P<half>{HALF})))?"
    rf"| (?:e|y|and) (?:(?P<minute3>\d{{2}}|5)(?: min(?:utos?)?)?|(?P<half2>{HALF})|(?P<quarter>cuarto)))?"
    r"(?: em ponto| en punto| sharp| ?o'?clock)?"
    rf"(?:(?:,? | ?)(?:(?P<am>{MORNING})|(?P<dawn>{DAWN})|(?P<pm>{PM})|(?P<afternoon>{AFTERNOON})|(?P<night>{NIGHT})))?"
    r"(?![\w/:]|[.,-]\d)",
    re.ASCII,
)
NOON = re.compile(rf"(?<!\w)(?:(?P<noon>meio[ -]dia|medio ?dia|noon|midday)|meia[ -]noite|media ?noche|midnight)"
    rf"(?P<half> (?:e|y) (?:{HALF}))?(?!\w)")  # fmt: skip
ONE = re.compile(r"(?<!\w)(?:uma|una|one)(?= (?:hora|h\b|da |de la |e mei|y media|y cuarto|pm\b|p\.m|in the ))")
DAY_PARTS = ("am", "dawn", "pm", "afternoon", "night")


@dataclass(frozen=True)
class Times:
    """The times of a text. `unclear` says that there is one that cannot be told. `rest` is the text without them."""

    found: frozenset[time]
    unclear: bool
    rest: str


def find_times(words: str, language: str) -> Times:
    """Return the times in a text. An hour without `h`, `:` or a part of the day is one only behind `at`."""
    found: set[time] = set()
    unclear = False
    for match in NOON.finditer(words):
        found.add(time(12 if match["noon"] else 0, 30 if match["half"] else 0))
    rest = ONE.sub("1", NOON.sub(" ", words))
    for match in filter(_is_time, TIME.finditer(rest)):
        if (value := _time(match, language)) is None:
            unclear = True
        else:
            found.add(value)
    return Times(frozenset(found), unclear, TIME.sub(lambda match: " " if _is_time(match) else match[0], rest))


def whole_hour(words: str) -> time | None:
    """Return the time of a text that is an hour from 13 to 23 and nothing else."""
    return time(int(words)) if re.fullmatch(r"1[3-9]|2[0-3]", words) else None


def _is_time(match: re.Match[str]) -> bool:
    names = ("at", "colon", "mark", "half", "half2", "quarter", *DAY_PARTS)
    return any(match[name] for name in names)


def _time(match: re.Match[str], language: str) -> time | None:
    minute = int(match["minute"] or match["minute2"] or match["minute3"] or 0)
    minute = 30 if match["half"] or match["half2"] else 15 if match["quarter"] else minute
    part = next((name for name in DAY_PARTS if match[name]), None)
    written = match["hour"]
    hour = _hour(written, part, language, bool(match["colon"] or match["mark"]))
    return time(hour, minute) if hour is not None and hour < 24 and minute < 60 else None


def _hour(written: str, part: str | None, language: str, marked: bool) -> int | None:
    """Return the hour from 0 to 23, or None where it may be two. `marked` says that it has `h` or minutes."""
    hour = int(written)
    match part:
        case None:
            return hour if _is_clear(written, language, marked) else None
        case "am":
            return hour % 12 if hour < 12 or (hour == 12 and language_code(language) == "en") else None
        case "dawn":
            return hour % 12 if hour <= 6 or hour == 12 else None
        case "pm":
            return hour % 12 + 12 if 1 <= hour <= 12 else hour
        case "afternoon":
            return hour % 12 + 12 if 1 <= hour <= 8 or hour == 12 else hour if hour > 12 else None
        case _:
            return 0 if hour == 12 else hour + 12 if 6 <= hour < 12 else hour if hour >= 18 or hour == 0 else None


def _is_clear(written: str, language: str, marked: bool) -> bool:
    """Return whether an hour without a part of the day is one of 24. "3h" may be in the afternoon, "03h" may not."""
    hour = int(written)
    if hour > 12 or not marked:
        return hour > 12
    earliest = 12 if language_code(language) == "en" else 6
    return (len(written) == 2 and (written[0] == "0" or hour == 12)) or hour == 0 or hour >= earliest
