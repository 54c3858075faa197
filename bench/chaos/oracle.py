"""The test oracle of chaos runs: compares what contacts wrote with what Twilio accepted, without any I/O."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.chaos.message_plan import TOKEN

LOST = "message lost"
ANSWERED_TWICE = "message answered twice"
OUT_OF_ORDER = "answer out of order"
DELIVERED_TWICE = "reply delivered twice"
WRONG_CONTACT = "reply to the wrong contact"
NOT_BOOKED = "booking not made"
BOOKED_TWICE = "booking made twice"

KINDS = (LOST, ANSWERED_TWICE, OUT_OF_ORDER, DELIVERED_TWICE, WRONG_CONTACT, NOT_BOOKED, BOOKED_TWICE)


@dataclass(frozen=True)
class DeliveredReply:
    """A reply that Twilio accepted at `accepted_at`, in epoch seconds.

    `outbox_id` is the id of the outbox row that the status callback's URL names.
    """

    contact: str
    body: str
    sid: str
    outbox_id: str
    accepted_at: float = 0.0

    @property
    def tokens(self) -> list[str]:
        """Return the tokens of the messages that the reply answers, in the order of its text."""
        return TOKEN.findall(self.body)


@dataclass(frozen=True)
class Violation:
    """One thing that must not happen. `kind` is one of KINDS, or the name of a check of the database."""

    kind: str
    contact: str
    detail: str


def find_violations(
    written: Mapping[str, Sequence[str]], delivered: Sequence[DeliveredReply], exempt: Collection[str] = ()
) -> list[Violation]:
    """Compare the tokens that each contact wrote with the replies that Twilio accepted, both in order.

    `exempt` are tokens of messages that may stay without a reply, because they were parked or wait for an operator.
    """
    replies: defaultdict[str, list[DeliveredReply]] = defaultdict(list)
    for reply in delivered:
        replies[reply.contact].append(reply)
    violations: list[Violation] = []
    for contact in sorted({*written, *replies}):
        violations += _find_for_contact(contact, written.get(contact, ()), replies[contact], exempt)
    return violations


def _find_for_contact(
    contact: str, tokens: Sequence[str], replies: Sequence[DeliveredReply], exempt: Collection[str]
) -> list[Violation]:
    violations = [Violation(DELIVERED_TWICE, contact, detail) for detail in _find_repeated(replies)]
    # A reply that was delivered twice is one violation. It does not count as a second answer, too.
    distinct = _keep_first(_keep_first(replies, lambda reply: reply.outbox_id), lambda reply: reply.body)
    answers = Counter(token for reply in distinct for token in set(reply.tokens))
    violations += [Violation(WRONG_CONTACT, contact, token) for token in answers if token not in tokens]
    violations += [Violation(LOST, contact, token) for token in tokens if not answers[token] and token not in exempt]
    violations += [
        Violation(ANSWERED_TWICE, contact, f"{token} in {count} replies")
        for token, count in answers.items()
        if count > 1
    ]
    position = {token: number for number, token in enumerate(tokens)}
    answered = list(dict.fromkeys(token for reply in distinct for token in reply.tokens if token in position))
    violations += [
        Violation(OUT_OF_ORDER, contact, f"{second} after {first}")
        for first, second in itertools.pairwise(answered)
        if position[second] < position[first]
    ]
    return violations


def _keep_first(replies: Iterable[DeliveredReply], key: Callable[[DeliveredReply], str]) -> list[DeliveredReply]:
    """Return the first reply of each key."""
    first: dict[str, DeliveredReply] = {}
    for reply in replies:
        first.setdefault(key(reply), reply)
    return list(first.values())


def _find_repeated(replies: Sequence[DeliveredReply]) -> list[str]:
    """Describe the outbox rows that were accepted more than once, and the different rows with the same text."""
    sids_of_row: defaultdict[str, list[str]] = defaultdict(list)
    rows_of_body: defaultdict[str, set[str]] = defaultdict(set)
    for reply in replies:
        sids_of_row[reply.outbox_id].append(reply.sid)
        rows_of_body[reply.body].add(reply.outbox_id)
    same_row = [f"outbox row {row}: {', '.join(sids)}" for row, sids in sids_of_row.items() if len(sids) > 1]
    return same_row + [
        f"outbox rows {', '.join(sorted(rows))} have the same text: {body}"
        for body, rows in rows_of_body.items()
        if len(rows) > 1
    ]


def find_booking_violations(
    requested: Mapping[str, str], appointments: Iterable[str], journal: Iterable[str]
) -> list[Violation]:
    """Check that every requested booking has one appointment and one entry in the journal of tool calls.

    `requested` maps the code of a booking to its contact. The others are the codes found in the database.
    """
    booked, journaled = Counter(appointments), Counter(journal)
    violations: list[Violation] = []
    for code, contact in requested.items():
        counts = f"{code}: {booked[code]} appointments, {journaled[code]} journal entries"
        if not booked[code]:
            violations.append(Violation(NOT_BOOKED, contact, counts))
        elif booked[code] > 1 or journaled[code] != 1:
            violations.append(Violation(BOOKED_TWICE, contact, counts))
    return violations
