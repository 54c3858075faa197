"""One person has one contact, whichever form of the number is used."""

import pytest

from app.channels.addresses import same_person
from app.channels.typed_address import typed

OWN = ["whatsapp:+551140000001"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("whatsapp:+551187654321", "whatsapp:+5511987654321"),
        ("whatsapp:+556181234567", "whatsapp:+5561981234567"),
        ("whatsapp:+541155551234", "whatsapp:+5491155551234"),
        ("whatsapp:+525512345678", "whatsapp:+5215512345678"),
    ],
)
def test_a_number_has_two_forms(one: str, other: str) -> None:
    assert same_person(one) == [one, other]
    assert same_person(other) == [other, one]
    assert other in same_person("whatsapp:BR.abc", one.removeprefix("whatsapp:+"))


@pytest.mark.parametrize(
    "address",
    [
        "whatsapp:+551133334444",  # a landline
        "whatsapp:+55119876543210",
        "whatsapp:+14155238886",
        "whatsapp:+351912345678",
        "whatsapp:US.ABC123",
        "whatsapp:+5511",
        "whatsapp:+",
        "",
    ],
)
def test_other_addresses_have_one(address: str) -> None:
    assert same_person(address) == [address]


@pytest.mark.parametrize("wa_id", ["", "x", "55119 8765", "0" * 200])
def test_a_number_of_whatsapp_that_is_none_is_ignored(wa_id: str) -> None:
    assert same_person("whatsapp:US.ABC", wa_id) == ["whatsapp:US.ABC"]


@pytest.mark.parametrize(
    "text",
    [
        *("+5511987654321", "whatsapp:+5511987654321", "5511987654321", "+55 (11) 98765-4321", "+55 11 8765-4321"),
        *("(11) 98765-4321", "11987654321", "011 98765 4321", "00551198765-4321", " 11 9 8765.4321 "),
    ],
)
def test_a_number_is_understood_as_people_write_it(text: str) -> None:
    assert "whatsapp:+5511987654321" in typed(text, OWN)


def test_a_country_that_is_written_counts() -> None:
    assert typed("+1 415 523 8886", OWN) == ["whatsapp:+14155238886"]
    assert typed("US.ABC1", OWN) == ["whatsapp:US.ABC1"]
    assert typed("11 98765-4321", ["whatsapp:US.ABC1"]) == ["whatsapp:+11987654321"]
