"""Parse e-mail addresses, phone numbers, and Brazilian numbers: CPF, CNPJ, CEP."""

import re
from collections.abc import Callable, Iterable, Sequence

from graphs.answer_kinds.wording import normal, simple, unsure

EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)*\.[\w-]{2,}")
LONGEST_EMAIL = 254
AT, DOT = re.compile(r"\s+(?:arroba|at)\s+"), re.compile(r"\s+(?:ponto|punto|dot)\s+")
SPLIT = re.compile(
    r" +@ +(?=\S)|@ +(?=\S)|(?<=\w) +@(?=(?:gmail|hotmail|outlook|yahoo|icloud|live|msn|uol|bol|terra|ig)\.)"
)
"""A space beside the @, as keyboards add it. Before the @ it may also be a name of a social network."""

PHONE = re.compile(r"(?<![\w/.,:@-])\+?\(?\d(?:[\s().-]{0,3}\d){7,14}(?![\w/:@]|[.,-]\d)", re.ASCII)
OTHER_NUMBER = re.compile(
    r"(?<!\w)(?:cpf|cnpj|rg|cep|pedido|protocolo|conta|agencia|nasc\w*|order|account|dni|nif)(?!\w)"
)
"""Words for numbers that are no phone numbers."""

SPACED = r"[ .\-/]{0,3}"
CPF = re.compile(
    r"(?<![\d.-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\d-])"
    rf"|(?<!\d)(?<!\d[ .\-/])\d(?:{SPACED}\d){{10}}(?!{SPACED}\d)(?!\w)",
    re.ASCII,
)
CNPJ = re.compile(
    r"(?<![\w.-])[0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-\d{2}(?![\w-])"
    r"|(?<![\w.])[0-9A-Z]{2}[ .]?[0-9A-Z]{3}[ .]?[0-9A-Z]{3}[ /]{0,3}[0-9A-Z]{4}[ -]{0,3}\d{2}(?![\w])(?! \d)",
    re.ASCII,
)
CEP = re.compile(r"(?<![\w.-])(?<!\d )\d{2}\.?\d{3}(?:-| - | )?\d{3}(?![\w-]|[. ]\d)", re.ASCII)


def parse_email(said: str) -> str | None:
    """Return the only e-mail address of a text, in lower case, or None."""
    text = normal(said).lower()
    if "@" not in text:
        text = DOT.sub(".", AT.sub("@", text))
    text = SPLIT.sub("@", text).replace("mailto:", " ")
    found = {_without_marks(match) for match in EMAIL.findall(text)}
    around = EMAIL.sub(" ", text)
    # What is left of an address, such as a second @, was not understood.
    if len(found) != 1 or "@" in around or unsure(simple(around), ""):
        return None
    (email,) = found
    return email if len(email) <= LONGEST_EMAIL and EMAIL.fullmatch(email) else None


def _without_marks(email: str) -> str:
    """Return the address without quotes and WhatsApp's marks for bold and italics."""
    bare = email.strip(".'`*~")
    return bare.strip("_") if bare.startswith("_") and bare.endswith("_") else bare


def parse_phone(said: str, language: str) -> str | None:
    """Return the digits of the only phone number of a text, behind a + if it has one, or None."""
    text = normal(said)
    digits = re.sub(r"[\s().-]", "", text.removeprefix("tel:").strip(" ,;:!"))
    if re.fullmatch(r"\+?\d{8,15}", digits, re.ASCII):
        return digits
    around = simple(PHONE.sub(" ", text))
    if OTHER_NUMBER.search(around) or re.search(r"\d", around) or unsure(around, language):
        return None
    return _only(re.sub(r"[\s().-]", "", match[0]) for match in PHONE.finditer(text))


def parse_cpf(said: str) -> str | None:
    """Return the digits of the only valid Brazilian taxpayer number (CPF) of a text, or None."""
    return _only(_valid(CPF, normal(said), _is_cpf))


def parse_cnpj(said: str) -> str | None:
    """Return the only valid Brazilian company number (CNPJ) of a text, of digits or with letters, or None."""
    return _only(_valid(CNPJ, normal(said).upper(), _is_cnpj))


def parse_cpf_or_cnpj(said: str) -> str | None:
    """Return the only valid CPF or CNPJ of a text, or None."""
    text = normal(said)
    return _only([*_valid(CPF, text, _is_cpf), *_valid(CNPJ, text.upper(), _is_cnpj)])


def parse_cep(said: str) -> str | None:
    """Return the eight digits of the only Brazilian postal code (CEP) of a text, or None."""
    return _only(_valid(CEP, normal(said), lambda digits: digits >= "01000000"))


def format_identifier(kept: str) -> str:
    """Return a CPF, a CNPJ or a CEP as it is written."""
    match len(kept):
        case 8:
            return f"{kept[:5]}-{kept[5:]}"
        case 11:
            return f"{kept[:3]}.{kept[3:6]}.{kept[6:9]}-{kept[9:]}"
        case 14:
            return f"{kept[:2]}.{kept[2:5]}.{kept[5:8]}/{kept[8:12]}-{kept[12:]}"
        case _:
            return kept


def _only(found: Iterable[str]) -> str | None:
    values = set(found)
    return values.pop() if len(values) == 1 else None


def _valid(pattern: re.Pattern[str], text: str, is_valid: Callable[[str], bool]) -> list[str]:
    candidates = (re.sub(r"[^0-9A-Z]", "", match[0]) for match in pattern.finditer(text))
    return [candidate for candidate in candidates if is_valid(candidate)]


def _is_cpf(digits: str) -> bool:
    return len(set(digits)) > 1 and _has_check_digits(digits, range(10, 1, -1), range(11, 1, -1))


def _is_cnpj(characters: str) -> bool:
    weights = (*range(5, 1, -1), *range(9, 1, -1))
    return len(set(characters)) > 1 and _has_check_digits(characters, weights, (6, *weights))


def _has_check_digits(characters: str, *weights: Sequence[int]) -> bool:
    """Return whether the last two digits are the check digits modulo 11. A letter counts as its ASCII code less 48."""
    for weighting, check in zip(weights, characters[-2:], strict=True):
        rest = (
            sum(weight * (ord(character) - 48) for weight, character in zip(weighting, characters, strict=False)) % 11
        )
        if int(check) != (0 if rest < 2 else 11 - rest):
            return False
    return True
