"""The addresses under which one person may be known."""

import re

PREFIX = "whatsapp:"
NUMBER = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)

# Countries in which WhatsApp knows a number with and without a digit that was added to it or left out of it.
VARIANTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\+55[1-9]{2})9([6-9]\d{7})", re.ASCII), r"\1\2"),
    (re.compile(r"(\+55[1-9]{2})([6-9]\d{7})", re.ASCII), r"\g<1>9\2"),
    (re.compile(r"(\+54)9(\d{10})", re.ASCII), r"\1\2"),
    (re.compile(r"(\+54)([1-8]\d{9})", re.ASCII), r"\g<1>9\2"),
    (re.compile(r"(\+52)1(\d{10})", re.ASCII), r"\1\2"),
    (re.compile(r"(\+52)([2-9]\d{9})", re.ASCII), r"\g<1>1\2"),
)
"""Brazil's ninth digit of mobile numbers, Argentina's 9 and Mexico's 1 before them, each way."""


def same_person(address: str, wa_id: str = "") -> list[str]:
    """Return the addresses under which a contact may be known, the given one first.

    `wa_id` is the number that WhatsApp gives for the contact, without a plus sign, or "".
    """
    numbers = [address.removeprefix(PREFIX), f"+{wa_id}"]
    found = [variant for number in numbers for variant in _variants(number)]
    return list(dict.fromkeys([address, *(PREFIX + number for number in found)]))


def phone_of(address: str) -> str | None:
    """Return the number of an address, such as +5511990000001. None: the address is an id."""
    number = address.removeprefix(PREFIX)
    return number if NUMBER.fullmatch(number) else None


def _variants(number: str) -> list[str]:
    if not NUMBER.fullmatch(number):
        return []
    return [number, *(pattern.sub(other, number) for pattern, other in VARIANTS if pattern.fullmatch(number))]
