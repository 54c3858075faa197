"""Read a contact's address as people type it."""

import re
from collections.abc import Sequence

import phonenumbers

from app.channels.addresses import PREFIX, same_person


def typed(text: str, own: Sequence[str]) -> list[str]:
    """Return the addresses that a person may mean: a number in any form, or an address.

    `own` are the tenant's addresses. A number without its country is one of a country of theirs.
    """
    written = text.strip().removeprefix(PREFIX).strip()
    if re.search(r"[A-Za-z]", written):
        return [PREFIX + written]
    digits = re.sub(r"\D", "", written, flags=re.ASCII)
    international = digits.removeprefix("00")
    numbers = [f"+{international}"]
    if not written.startswith("+") and digits == international:
        national = digits.removeprefix("0")
        numbers += [f"+{code}{national}" for code in _calling_codes(own) if not international.startswith(code)]
    return list(dict.fromkeys(address for number in numbers for address in same_person(PREFIX + number)))


def _calling_codes(addresses: Sequence[str]) -> list[str]:
    codes = []
    for address in addresses:
        try:
            codes.append(str(phonenumbers.parse(address.removeprefix(PREFIX)).country_code))
        except phonenumbers.NumberParseException:
            continue
    return list(dict.fromkeys(codes))
