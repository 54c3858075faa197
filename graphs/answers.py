"""What a question takes for an answer. Flows keep values as texts."""

import re
from datetime import date

from graphs.config import Ask, plain

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]{2,}")
NUMBER = re.compile(r"-?\d{1,15}(?:[.,]\d{1,6})?", re.ASCII)
LONGEST = 500
"""Characters of an answer that are kept."""
LONGEST_RATING = 30
"""Characters: who writes more than "nota 5, obrigada" has something to say."""


def accepted(ask: Ask, said: str) -> str | None:
    """The answer as it is kept, or None when it does not fit."""
    text = " ".join(said.split())
    if not text or len(text) > LONGEST:
        return None
    match ask.expect:
        case "text":
            return text
        case "number":
            return text.replace(",", ".") if NUMBER.fullmatch(text) else None
        case "date":
            return _date(text)
        case "email":
            return text.lower() if EMAIL.fullmatch(text) else None
        case "phone":
            return _phone(text)
        case "cpf":
            return _cpf(text)
        case "choice":
            return _choice(text, ask.choices)


def rating_in(text: str) -> int | None:
    """The rating that an answer gives: its one number, if that is 1 to 5 and there is little else."""
    numbers = re.findall(r"\d+", text)
    return int(numbers[0]) if len(text) <= LONGEST_RATING and numbers in (["1"], ["2"], ["3"], ["4"], ["5"]) else None


def is_question(said: str) -> bool:
    """Whether the contact seems to ask rather than to answer."""
    return said.rstrip().endswith("?")


def _date(text: str) -> str | None:
    if match := re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", text):
        year, month, day = (int(part) for part in match.groups())
    elif match := re.fullmatch(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})", text):
        day, month, year = (int(part) for part in match.groups())
    else:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _phone(text: str) -> str | None:
    digits = re.sub(r"[\s().-]", "", text)
    return digits if re.fullmatch(r"\+?\d{8,15}", digits, re.ASCII) else None


def _cpf(text: str) -> str | None:
    """A Brazilian taxpayer's number with its two check digits, as digits only."""
    if not re.fullmatch(r"\d{3}\.?\d{3}\.?\d{3}-?\d{2}", text):
        return None
    digits = [int(character) for character in text if character.isdigit()]
    if len(set(digits)) == 1:
        return None
    for length in (9, 10):
        weighted = sum(digit * (length + 1 - place) for place, digit in enumerate(digits[:length]))
        if weighted * 10 % 11 % 10 != digits[length]:
            return None
    return "".join(map(str, digits))


def _choice(text: str, choices: tuple[str, ...]) -> str | None:
    wanted = plain(text).strip(" .!")
    exact = [choice for choice in choices if plain(choice) == wanted]
    begun = [choice for choice in choices if wanted and re.match(rf"{re.escape(wanted)}(?!\d)", plain(choice))]
    found = exact or begun
    if len(found) == 1:
        return found[0]
    # A number is a place in the list, if no choice goes by that number itself.
    return choices[int(wanted) - 1] if re.fullmatch(r"[1-9][0-9]?", wanted) and int(wanted) <= len(choices) else None
