"""Parse numbers and amounts."""

import re
from decimal import Decimal

from graphs.answer_kinds.number_words import with_digits
from graphs.answer_kinds.wording import normal, simple, unsure
from graphs.config import language_code

POINT = {"en", "he", "hi", "ja", "ko", "th", "zh"}
"""Languages that write 1,500.25. The others write 1.500,25."""
NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?", re.ASCII)
SUPERSCRIPT = re.compile("(?<=[a-z])[²³]")
"""Of square and cubic metres."""
STARS = re.compile(r"[⭐🌟★ ]{1,10}")
CURRENCY = r"(?:(?:r|us|u|a)?\$|[€£]|brl|usd|eur)"
UNIT = (
    r"%|x|kg|kgs|g|mg|km|m|cm|mm|l|ml|h|hs|hrs?|horas?|hours?|min|mins|minutos?|minutes?|reais|real|rs|dolar(?:es)?|"
    r"dollars?|pesos?|euros?|anos?|anios?|years?|meses|mes|months?|dias?|days?|semanas?|weeks?|pessoas?|personas?|people|"
    r"person|itens|items?|unidades?|units?|vezes|veces|times|quartos?|noites?|nights?|noches?|estrelas?|stars?|estrellas?|€"
)
TOKEN = re.compile(
    rf"(?<![\w.,/:\u2044-]){CURRENCY}? ?(?P<number>-?\d(?:[\d.,]*\d)?)(?![\d/:\u2044+*]|-\d)"
    rf"(?: ?(?P<times>mil|k|thousand|milhao|milhoes|million|millon|millones)(?!\w))?(?:(?:{UNIT})(?!\w)|(?!\w))",
    re.ASCII,
)
TIMES = {"mil": 1000, "k": 1000, "thousand": 1000}
"""Words behind a number, and what they multiply it with. The others are millions."""
PARTIAL = re.compile(
    r"(?<!\w)(?:mei[oa]s?|medi[oa]s?|half|quarter|cuarto|terco|third|tercio|duzias?|dozens?|docenas?|pares|par|pair|"
    r"couple|dezenas?|decenas?|centenas?|hundreds|thousands|bilh\w+|billion|bi|mi)(?!\w)|- +\d"
)
"""Words that multiply or divide in ways that are not read here, and a dash that may be a minus."""
ONE = re.compile(rf"(?<!\w)(?:um|uma|un|una|uno|one)(?= (?:{UNIT})(?!\w)|$)")


def parse_number(said: str, language: str) -> str | None:
    """Return the only number of a text, such as 1500.25, or None."""
    text = normal(said)
    if (whole := _value(text, language)) is not None:
        return whole
    words = simple(SUPERSCRIPT.sub("", said))
    if STARS.fullmatch(words):
        return str(len(words.replace(" ", "")))
    if unsure(words, language) or PARTIAL.search(words):
        return None
    words = with_digits(ONE.sub("1", words.strip(" .!")), language)
    values = {_amount(found, language) for found in TOKEN.finditer(words)}
    return values.pop() if len(values) == 1 and not re.search(r"\d", TOKEN.sub(" ", words)) else None


def _amount(found: re.Match[str], language: str) -> str | None:
    value = _value(found["number"], language)
    if value is None or found["times"] is None:
        return value
    return format((Decimal(value) * TIMES.get(found["times"], 1_000_000)).normalize(), "f")


def _value(text: str, language: str) -> str | None:
    """Return a number as it is stored. With both separators the last one is the decimal one."""
    thousands, decimal = (",", ".") if language_code(language) in POINT else (".", ",")
    if "," in text and "." in text:
        thousands, decimal = (",", ".") if text.rindex(".") > text.rindex(",") else (".", ",")
    grouped = rf"-?\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+(?:{re.escape(decimal)}\d+)?"
    number = text.replace(thousands, "") if re.fullmatch(grouped, text, re.ASCII) else text
    number = number.replace(",", ".")
    return number if NUMBER.fullmatch(number) else None
