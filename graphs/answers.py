"""Parse a contact's answers to the questions of flows. Flows store values as texts."""

from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any

from graphs.answer_kinds.choices import parse_choice
from graphs.answer_kinds.identifiers import (
    format_identifier,
    parse_cep,
    parse_cnpj,
    parse_cpf,
    parse_cpf_or_cnpj,
    parse_email,
    parse_phone,
)
from graphs.answer_kinds.moments import parse_date, parse_time
from graphs.answer_kinds.numbers import POINT, parse_number
from graphs.answer_kinds.ratings import rating_in
from graphs.answer_kinds.wording import trim
from graphs.config import language_code
from graphs.sections import Ask
from graphs.state import Attachment

__all__ = [
    "LONGEST",
    "SENT",
    "attached_answer",
    "format_answer",
    "format_attachment",
    "is_question",
    "parse_answer",
    "rating_in",
]

YEAR_FIRST = {"hu", "ja", "ko", "lt", "sv", "zh"}
LONGEST = 500
"""The number of characters of an answer that are kept."""

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


def parse_answer(ask: Ask, said: str, language: str, today: date | None = None) -> str | None:
    """Return the answer as it is stored, or None when it does not fit, or may mean two things.

    `language` is the assistant's, such as pt-BR. `today` is the tenant's date; without it, dates that depend on it do
    not fit.
    """
    text = trim(said)
    if not text or len(text) > LONGEST:
        return None
    match ask.expect:
        case "text":
            return text
        case "number":
            return parse_number(said, language)
        case "date":
            return parse_date(said, language, today)
        case "time":
            return parse_time(said, language)
        case "email":
            return parse_email(said)
        case "phone":
            return parse_phone(said, language)
        case "choice":
            return parse_choice(said, ask.choices, language)
        case _:
            return _parse_identifier(ask, said)


def _parse_identifier(ask: Ask, said: str) -> str | None:
    match ask.expect:
        case "cpf":
            return parse_cpf(said)
        case "cnpj":
            return parse_cnpj(said)
        case "cpf_cnpj":
            return parse_cpf_or_cnpj(said)
        case "cep":
            return parse_cep(said)
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
        case "time":
            return time.fromisoformat(kept).strftime("%I:%M %p").lstrip("0") if language == "en-US" else kept
        case "cpf" | "cnpj" | "cpf_cnpj" | "cep":
            return format_identifier(kept)
        case _:
            return kept


def format_attachment(kept: Mapping[str, str]) -> str:
    """Return a stored attachment in words: a place by its name, or else its coordinates; media by their type."""
    if "latitude" not in kept:
        return kept.get("content_type", "")
    place = ", ".join(kept[part] for part in ("label", "address") if part in kept)
    return place or f"{kept['latitude']}, {kept.get('longitude', '')}"


def is_question(said: str) -> bool:
    """Return whether the contact seems to ask instead of answering."""
    return said.rstrip().endswith("?")
