"""What the contacts of a chaos run write, and when: drawn from a seed before anything starts."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

TOKEN = re.compile(r"\bc\d+-\d+\b")

BURSTS, BURST_LENGTHS = 0.12, (2, 5)
BOOKINGS = 0.08
DUPLICATES = 0.10


@dataclass(frozen=True)
class Written:
    """One message of a contact. `booking` is the code of the booking it asks for, if it does.

    `repeats`: it is posted twice more, `together` with the first post or some seconds `later`.
    """

    contact: int
    token: str
    text: str
    pause: float
    booking: str | None = None
    repeats: str | None = None


def write(messages: int, contacts: int, seconds: float, seed: int, today: date) -> list[Sequence[Written]]:
    """Every contact's messages in order, spread over about so many seconds. Each booking asks for a day of its own."""
    drawn = random.Random(f"{seed}/contacts")
    days = iter(range(2, 100_000))
    shares = [messages // contacts + (contact < messages % contacts) for contact in range(contacts)]
    return [
        [
            _message(drawn, contact, number, pause, today, days)
            for number, pause in enumerate(_pauses(drawn, share, seconds))
        ]
        for contact, share in enumerate(shares)
    ]


def _message(
    drawn: random.Random, contact: int, number: int, pause: float, today: date, days: Iterator[int]
) -> Written:
    token = f"c{contact}-{number}"
    booking, text = None, f"{token} oi"
    if drawn.random() < BOOKINGS:
        booking = f"r{contact}-{number}"
        day = today + timedelta(days=next(days))
        text = f"{token} reserve {booking} dia {day}"
    repeats = drawn.choice(("together", "later")) if drawn.random() < DUPLICATES else None
    return Written(contact, token, text, pause, booking, repeats)


def _pauses(drawn: random.Random, count: int, seconds: float) -> list[float]:
    """Pauses before each message: irregular ones, and nearly none within a burst."""
    pauses: list[float] = []
    while len(pauses) < count:
        pauses.append(drawn.expovariate(1.0))
        if drawn.random() < BURSTS:
            pauses.extend(drawn.uniform(0.0, 0.02) for _ in range(drawn.randint(*BURST_LENGTHS)))
    del pauses[count:]
    whole = sum(pauses)
    return [pause * seconds / whole for pause in pauses]
