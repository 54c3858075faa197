"""What the contacts of a chaos run write is drawn from the seed alone."""

from collections import Counter
from datetime import date

import pytest

from bench.script import TOKEN, write

TODAY = date(2026, 1, 1)


def test_the_same_seed_writes_the_same_messages() -> None:
    assert write(300, 7, 60.0, 5, TODAY) == write(300, 7, 60.0, 5, TODAY)
    assert write(300, 7, 60.0, 5, TODAY) != write(300, 7, 60.0, 6, TODAY)


def test_every_message_has_a_token_of_its_own_in_order() -> None:
    script = write(300, 7, 60.0, 5, TODAY)
    assert sum(map(len, script)) == 300
    for contact, messages in enumerate(script):
        assert [message.token for message in messages] == [f"c{contact}-{n}" for n in range(len(messages))]
        assert all(TOKEN.findall(message.text) == [message.token] for message in messages)
        assert sum(message.pause for message in messages) == pytest.approx(60.0)


def test_every_booking_asks_for_a_day_of_its_own() -> None:
    bookings = [m for messages in write(2000, 60, 60.0, 5, TODAY) for m in messages if m.booking]
    assert len(bookings) > 100
    days = Counter(message.text.rpartition(" ")[2] for message in bookings)
    assert set(days.values()) == {1}
    assert all(f" reserve {message.booking} dia " in message.text for message in bookings)
