"""Parse a contact's answers to the questions of flows. Flows store values as texts."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from graphs.config import language_code
from graphs.patterns import plain
from graphs.sections import Ask
from graphs.state import Attachment

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]{2,}")
NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?", re.ASCII)
POINT = {"en", "he", "hi", "ja", "ko", "th", "zh"}
"""Languages that write 1,500.25. The others write 1.500,25."""
YEAR_FIRST = {"hu", "ja", "ko", "lt", "sv", "zh"}
LONGEST = 500
"""The number of characters of an answer that are kept."""
NO_WORDS = re.compile(r"[^\w/]+")
RATING = re.compile(
    r" ?(?:nota |dou |minha nota e |i give |le doy )?([1-5])(?: ?/ ?5| de 5| out of 5)?"
    r"(?: estrelas?| estrellas?| stars?)?(?: (?:muito |muchas )?(?:obrigad[oa]|valeu|gracias|thanks|thank you))? ?"
)
"""A number, with the words around it that do not change its meaning."""


SENT: Mapping[str, frozenset[str]] = {
    "image": frozenset({"image"}),
    "audio": frozenset({"audio"}),
    "location": frozenset({"location"}),
    "file": frozenset({"file", "image", "audio", "video", "contact"}),
}
"""The kinds of attachments that answer a question for what is no text."""


def attached_answer(ask: Ask, attachments: Sequence[Attachment]) -> dict[str, str] | None:
    """Return the newest attachment that the question asks for, or None."""
    wanted = SENT[ask.expect]
    return next((dict(each["content"]) for each in reversed(attachments) if each["kind"] in wanted), None)


def parse_answer(ask: Ask, said: str, language: str) -> str | None:
    """Return the answer as it is stored, or None when it does not fit. `language` is the assistant's, such as pt-BR."""
    text = " ".join(said.split())
    if not text or len(text) > LONGEST:
        return None
    match ask.expect:
        case "text":
            return text
        case "number":
            return _number(text, language)
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
        case _:
            return None


def format_answer(ask: Ask, kept: Any, language: str) -> Any:
    """Return a stored answer as it is written in the language."""
    if isinstance(kept, Mapping):
        return format_attachment(kept)
    match ask.expect:
        case "number":
            return kept if language_code(language) in POINT else kept.replace(".", ",")
        case "date":
            year_first = language_code(language) in YEAR_FIRST
            form = "%m/%d/%Y" if language == "en-US" else "%Y-%m-%d" if year_first else "%d/%m/%Y"
            return date.fromisoformat(kept).strftime(form)
        case "cpf":
            return f"{kept[:3]}.{kept[3:6]}.{kept[6:9]}-{kept[9:]}"
        case _:
            return kept


def format_attachment(kept: Mapping[str, str]) -> str:
    """Return a stored attachment in words: a place by its name, or else its coordinates; media by their type."""
    if "latitude" not in kept:
        return kept.get("content_type", "")
    place = ", ".join(kept[part] for part in ("label", "address") if part in kept)
    return place or f"{kept['latitude']}, {kept.get('longitude', '')}"


def rating_in(said: str) -> tuple[int | None, bool]:
    """Return the rating in a text, and whether the text says something else: "tem horário dia 3?" is no rating."""
    lines = [line for line in said.splitlines() if line.strip()]
    ratings = [match for line in lines if (match := RATING.fullmatch(NO_WORDS.sub(" ", plain(line))))]
    return int(ratings[-1][1]) if ratings else None, len(ratings) < len(lines)


def is_question(said: str) -> bool:
    """Return whether the contact seems to ask instead of answering."""
    return said.rstrip().endswith("?")


def _number(text: str, language: str) -> str | None:
    thousands, decimal = (",", ".") if language_code(language) in POINT else (".", ",")
    grouped = rf"-?\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+(?:{re.escape(decimal)}\d+)?"
    number = text.replace(thousands, "") if re.fullmatch(grouped, text, re.ASCII) else text
    number = number.replace(",", ".")
    return number if NUMBER.fullmatch(number) else None


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
    """Return the digits of a valid Brazilian taxpayer number (CPF), or None."""
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
    # Accepts "sim, por favor", if it contains no other choice.
    named = [choice for choice in choices if re.search(rf"(?<!\w){re.escape(plain(choice))}(?!\w)", wanted)]
    more = named if len(named) == 1 and wanted.startswith(plain(named[0])) else []
    found = exact or begun or more
    if len(found) == 1:
        return found[0]
    # A number is a place in the list, unless a choice begins with that number.
    return choices[int(wanted) - 1] if re.fullmatch(r"[1-9][0-9]?", wanted) and int(wanted) <= len(choices) else None
