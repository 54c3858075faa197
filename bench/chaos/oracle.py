"""What went wrong, told from outside: what contacts wrote, and what Twilio took. Pure, so that it can be tested."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.script import TOKEN

LOST = "lost"
ANSWERED_TWICE = "answered twice"
OUT_OF_ORDER = "out of order"
DELIVERED_TWICE = "delivered twice"
WRONG_CONTACT = "sent to the wrong contact"
NOT_BOOKED = "not booked"
BOOKED_TWICE = "booked twice"

KINDS = (LOST, ANSWERED_TWICE, OUT_OF_ORDER, DELIVERED_TWICE, WRONG_CONTACT, NOT_BOOKED, BOOKED_TWICE)


@dataclass(frozen=True)
class Delivered:
    """A reply that Twilio took at `accepted_at`, in epoch seconds. `row` is the outbox row that its callback names."""

    contact: str
    body: str
    sid: str
    row: str
    accepted_at: float = 0.0

    @property
    def tokens(self) -> list[str]:
        """The messages that it answers, in the order in which it names them."""
        return TOKEN.findall(self.body)


@dataclass(frozen=True)
class Violation:
    """One promise broken."""

    kind: str
    contact: str
    what: str


def judge(
    written: Mapping[str, Sequence[str]], delivered: Sequence[Delivered], excused: Collection[str] = ()
) -> list[Violation]:
    """Compares what each contact wrote, in order, with what was delivered, in the order of Twilio's acceptance.

    `excused` messages were visibly left to a human, and need no reply.
    """
    replies: defaultdict[str, list[Delivered]] = defaultdict(list)
    for reply in delivered:
        replies[reply.contact].append(reply)
    found: list[Violation] = []
    for contact in sorted({*written, *replies}):
        found += _of_contact(contact, written.get(contact, ()), replies[contact], excused)
    return found


def _of_contact(
    contact: str, tokens: Sequence[str], replies: Sequence[Delivered], excused: Collection[str]
) -> list[Violation]:
    found = [Violation(DELIVERED_TWICE, contact, what) for what in _delivered_twice(replies)]
    distinct = _first_of(_first_of(replies, lambda reply: reply.row), lambda reply: reply.body)
    answers = Counter(token for reply in distinct for token in set(reply.tokens))
    found += [Violation(WRONG_CONTACT, contact, token) for token in answers if token not in tokens]
    found += [Violation(LOST, contact, token) for token in tokens if not answers[token] and token not in excused]
    found += [
        Violation(ANSWERED_TWICE, contact, f"{token} in {count} replies")
        for token, count in answers.items()
        if count > 1
    ]
    position = {token: number for number, token in enumerate(tokens)}
    named = list(dict.fromkeys(token for reply in distinct for token in reply.tokens if token in position))
    found += [
        Violation(OUT_OF_ORDER, contact, f"{after} after {before}")
        for before, after in itertools.pairwise(named)
        if position[after] < position[before]
    ]
    return found


def _first_of(replies: Iterable[Delivered], key: Callable[[Delivered], str]) -> list[Delivered]:
    kept: dict[str, Delivered] = {}
    for reply in replies:
        kept.setdefault(key(reply), reply)
    return list(kept.values())


def _delivered_twice(replies: Sequence[Delivered]) -> list[str]:
    by_row: defaultdict[str, list[str]] = defaultdict(list)
    by_body: defaultdict[str, set[str]] = defaultdict(set)
    for reply in replies:
        by_row[reply.row].append(reply.sid)
        by_body[reply.body].add(reply.row)
    twice = [f"outbox row {row}: {', '.join(sids)}" for row, sids in by_row.items() if len(sids) > 1]
    return twice + [
        f"outbox rows {', '.join(sorted(rows))} say the same: {body}" for body, rows in by_body.items() if len(rows) > 1
    ]


def judge_bookings(asked: Mapping[str, str], appointments: Iterable[str], journal: Iterable[str]) -> list[Violation]:
    """Every booking that was asked for (code to contact) has one appointment and one entry in the journal."""
    booked, journaled = Counter(appointments), Counter(journal)
    found: list[Violation] = []
    for code, contact in asked.items():
        counts = f"{code}: {booked[code]} appointments, {journaled[code]} entries in the journal"
        if not booked[code]:
            found.append(Violation(NOT_BOOKED, contact, counts))
        elif booked[code] > 1 or journaled[code] != 1:
            found.append(Violation(BOOKED_TWICE, contact, counts))
    return found
