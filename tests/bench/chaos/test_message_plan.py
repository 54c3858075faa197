"""The messages of a chaos run depend on the seed alone."""

from collections import Counter
from datetime import date

import pytest

from bench.chaos.message_plan import TOKEN, plan_messages

TODAY = date(2026, 1, 1)


def test_the_same_seed_plans_the_same_messages() -> None:
    assert plan_messages(300, 7, 60.0, 5, TODAY) == plan_messages(300, 7, 60.0, 5, TODAY)
    assert plan_messages(300, 7, 60.0, 5, TODAY) != plan_messages(300, 7, 60.0, 6, TODAY)


def test_every_message_has_its_own_token_in_order() -> None:
    plan = plan_messages(300, 7, 60.0, 5, TODAY)
    assert sum(map(len, plan)) == 300
    for contact, messages in enumerate(plan):
        assert [message.token for message in messages] == [f"c{contact}-{n}" for n in range(len(messages))]
        assert all(TOKEN.findall(message.text) == [message.token] for message in messages)
        assert sum(message.delay for message in messages) == pytest.approx(60.0)


def test_every_booking_asks_for_its_own_day() -> None:
    bookings = [m for messages in plan_messages(2000, 60, 60.0, 5, TODAY) for m in messages if m.booking]
    assert len(bookings) > 100
    days = Counter(message.text.rpartition(" ")[2] for message in bookings)
    assert set(days.values()) == {1}
    assert all(f" reserve {message.booking} dia " in message.text for message in bookings)
