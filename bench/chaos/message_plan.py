"""The messages that the contacts of a chaos run will send. All are drawn from a seed before the run starts."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

TOKEN = re.compile(r"\bc\d+-\d+\b")
"""The unique part of a message's text. The simulated model repeats the text, so a reply shows what it answers."""

BURST_PROBABILITY, BURST_LENGTHS = 0.12, (2, 5)
BURST_DELAY = (0.0, 0.02)
BOOKING_PROBABILITY = 0.08
LOOK_UP_PROBABILITY = 0.03
"""Of a message whose answer asks a server whose name cannot be looked up."""
DUPLICATE_PROBABILITY = 0.10

Duplicates = Literal["together", "later"]


@dataclass(frozen=True)
class PlannedMessage:
    """One message of a contact, sent `delay` seconds after the one before was acknowledged.

    `booking` is the code of the booking that the message asks for, or None.
    A message with `duplicates` is posted two more times: together with the first post, or some seconds later.
    """

    contact: int
    token: str
    text: str
    delay: float
    booking: str | None = None
    duplicates: Duplicates | None = None


def plan_messages(
    messages: int, contacts: int, seconds: float, seed: int, today: date
) -> list[Sequence[PlannedMessage]]:
    """Return the messages of each contact, in order. The delays of a contact add up to `seconds`.

    Each booking asks for another day, so that no booking takes the slot of another.
    """
    rng = random.Random(f"{seed}/contacts")
    days = iter(range(2, 100_000))
    counts = [messages // contacts + (contact < messages % contacts) for contact in range(contacts)]
    return [
        [
            _plan_message(rng, contact, number, delay, today, days)
            for number, delay in enumerate(_plan_delays(rng, count, seconds))
        ]
        for contact, count in enumerate(counts)
    ]


def _plan_message(
    rng: random.Random, contact: int, number: int, delay: float, today: date, days: Iterator[int]
) -> PlannedMessage:
    token = f"c{contact}-{number}"
    booking, text = None, f"{token} oi"
    if rng.random() < BOOKING_PROBABILITY:
        booking = f"r{contact}-{number}"
        day = today + timedelta(days=next(days))
        text = f"{token} reserve {booking} dia {day}"
    elif rng.random() < LOOK_UP_PROBABILITY:
        text = f"{token} consulte"
    when: tuple[Duplicates, ...] = ("together", "later")
    duplicates = rng.choice(when) if rng.random() < DUPLICATE_PROBABILITY else None
    return PlannedMessage(contact, token, text, delay, booking, duplicates)


def _plan_delays(rng: random.Random, count: int, seconds: float) -> list[float]:
    """Return the delays before each message: irregular ones, and very short ones within a burst."""
    delays: list[float] = []
    while len(delays) < count:
        delays.append(rng.expovariate(1.0))
        if rng.random() < BURST_PROBABILITY:
            delays.extend(rng.uniform(*BURST_DELAY) for _ in range(rng.randint(*BURST_LENGTHS)))
    del delays[count:]
    total = sum(delays)
    return [delay * seconds / total for delay in delays]
