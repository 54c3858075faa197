"""The oracle of chaos runs finds each kind of violation, in replies written by hand."""

from collections.abc import Sequence

import pytest

from bench.chaos import oracle
from bench.chaos.oracle import DeliveredReply, find_booking_violations, find_violations

ANNA, BIA = "whatsapp:+5511900000001", "whatsapp:+5511900000002"
WRITTEN = {ANNA: ["c1-0", "c1-1", "c1-2"], BIA: ["c2-0"]}


def reply(row: int, body: str, contact: str = ANNA, sid: str = "") -> DeliveredReply:
    return DeliveredReply(contact, body, sid or f"SM{row}", str(row))


GOOD = [reply(1, "eco: c1-0 oi"), reply(2, "eco: c2-0 oi", BIA), reply(3, "eco: c1-1 oi\nc1-2 oi")]


def kinds(delivered: Sequence[DeliveredReply], exempt: Sequence[str] = ()) -> list[str]:
    return [violation.kind for violation in find_violations(WRITTEN, delivered, exempt)]


def test_complete_ordered_replies_have_no_violations() -> None:
    assert find_violations(WRITTEN, GOOD) == []


def test_a_message_in_no_reply_is_lost() -> None:
    assert [(v.kind, v.contact, v.detail) for v in find_violations(WRITTEN, GOOD[:2])] == [
        (oracle.LOST, ANNA, "c1-1"),
        (oracle.LOST, ANNA, "c1-2"),
    ]


def test_a_message_that_waits_for_an_operator_is_not_lost() -> None:
    assert kinds(GOOD[:2], exempt=["c1-1", "c1-2"]) == []


def test_a_token_is_not_found_within_a_longer_one() -> None:
    written = {ANNA: ["c1-1", "c1-10"]}
    assert [v.detail for v in find_violations(written, [reply(1, "eco: c1-10 oi")])] == ["c1-1"]


def test_a_message_in_two_replies_is_answered_twice() -> None:
    again = reply(4, "eco: c1-0 oi\nc1-1 oi")
    assert kinds([GOOD[0], GOOD[1], again, reply(5, "eco: c1-2 oi")]) == [oracle.ANSWERED_TWICE]


@pytest.mark.parametrize(
    "delivered",
    [
        [GOOD[2], GOOD[1], GOOD[0]],
        [GOOD[0], GOOD[1], reply(3, "eco: c1-2 oi\nc1-1 oi")],
        [reply(3, "eco: c1-0 oi\nc1-2 oi"), GOOD[1], reply(4, "eco: c1-1 oi")],
    ],
)
def test_an_answer_before_an_earlier_one_is_out_of_order(delivered: list[DeliveredReply]) -> None:
    assert kinds(delivered) == [oracle.OUT_OF_ORDER]


def test_an_outbox_row_with_two_sids_is_delivered_twice() -> None:
    assert kinds([*GOOD, reply(3, GOOD[2].body, sid="SM-other")]) == [oracle.DELIVERED_TWICE]


def test_two_rows_with_the_same_text_are_delivered_twice() -> None:
    assert kinds([*GOOD, reply(4, GOOD[2].body)]) == [oracle.DELIVERED_TWICE]


def test_a_reply_to_somebody_else_is_sent_to_the_wrong_contact() -> None:
    assert kinds([*GOOD, reply(4, "eco: c1-0 oi", BIA)]) == [oracle.WRONG_CONTACT]


def test_bookings_are_made_once_and_journaled_once() -> None:
    requested = {"r1-0": ANNA, "r1-1": ANNA, "r1-2": ANNA, "r1-3": ANNA}
    appointments, journal = ["r1-0", "r1-1", "r1-1", "r1-3"], ["r1-0", "r1-1", "r1-1", "r1-3", "r1-3"]
    assert find_booking_violations({"r1-0": ANNA}, appointments, journal) == []
    assert [
        (v.kind, v.detail.partition(":")[0]) for v in find_booking_violations(requested, appointments, journal)
    ] == [
        (oracle.BOOKED_TWICE, "r1-1"),
        (oracle.NOT_BOOKED, "r1-2"),
        (oracle.BOOKED_TWICE, "r1-3"),
    ]
