"""The plan of a turn for every mix of waiting rows."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.turns.claim import Claim, InboxItem
from app.turns.plan import Action, plan_turn

ATTEMPTS = 5
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "message": ("message", {}),
    "decision": ("decision", {"interrupt_id": "i", "action": "return", "reply": None}),
    "words": ("decision", {"interrupt_id": "i", "action": "return", "reply": "oi"}),
    "other": ("decision", {"interrupt_id": "another", "action": "return", "reply": None}),
    "idle": ("timer", {"timer": "idle"}),
    "reminder": ("timer", {"timer": "reminder"}),
    "expire": ("timer", {"timer": "expire"}),
    "handoff_timeout": ("timer", {"timer": "handoff_timeout"}),
}
DISPOSITIONS = {"answered", "human", "resolved", "superseded", "parked"}


def items(*names: str, turn: int | None = None) -> list[InboxItem]:
    """Return waiting rows, numbered from 1."""
    return [
        InboxItem(number, ROWS[name][0], f"SM{number}" if name == "message" else None, "", ROWS[name][1], turn)
        for number, name in enumerate(names, 1)
    ]


def claim(inbox: list[InboxItem], status: str = "bot", **changes: Any) -> Claim:
    """Return a claimed conversation after its third turn."""
    some = UUID(int=1)
    return replace(
        Claim(
            id=some,
            tenant_id=some,
            channel_id=some,
            contact_id=some,
            contact_address="whatsapp:+1",
            contact_name="Ana",
            version_id=1,
            status=status,
            turn=3,
            epoch=7,
            attempts=1,
            owner=9,
            claimed_at=datetime(2026, 1, 1, tzinfo=UTC),
            pending=len(inbox),
            inbox=inbox,
            interrupts=["i"] if status in ("waiting", "human") else [],
            checkpoints=(),
        ),
        **changes,
    )


def outcome(names: str, status: str = "bot") -> tuple[Action, str]:
    """Return the action for rows named like `message idle`, and the disposition of each (`-`: it stays)."""
    inbox = items(*names.split())
    todo = plan_turn(claim(inbox, status), ATTEMPTS)
    return todo.action, " ".join(todo.dispositions.get(item.id, "-") for item in inbox)


@pytest.mark.parametrize(
    ("names", "run", "dispositions"),
    [
        ("message", Action.ANSWER, "answered"),
        ("message message message", Action.ANSWER, "answered answered answered"),
        # A message has priority over a close.
        ("message idle", Action.ANSWER, "answered superseded"),
        ("idle message", Action.ANSWER, "superseded answered"),
        ("idle", Action.CLOSE, "resolved"),
        ("reminder", Action.REMIND, "resolved"),
        ("message reminder", Action.ANSWER, "answered superseded"),
        ("expire", Action.EXPIRE, "resolved"),
        ("expire message", Action.ANSWER, "superseded answered"),
        # Decisions and timers of a handoff that has ended.
        ("decision", Action.SKIP, "superseded"),
        ("handoff_timeout", Action.SKIP, "superseded"),
        ("decision handoff_timeout", Action.SKIP, "superseded superseded"),
        ("decision message", Action.ANSWER, "superseded answered"),
        ("handoff_timeout message", Action.ANSWER, "superseded answered"),
        ("idle handoff_timeout", Action.CLOSE, "resolved superseded"),
        # An operator's reply that is too late for its handoff is sent, and the next turn takes the other rows.
        ("words", Action.SKIP, "superseded"),
        ("message words", Action.SKIP, "- superseded"),
    ],
)
def test_with_the_assistant(names: str, run: Action, dispositions: str) -> None:
    assert outcome(names) == (run, dispositions)


@pytest.mark.parametrize("status", ["waiting", "human"])
@pytest.mark.parametrize(
    ("names", "run", "dispositions"),
    [
        ("message", Action.SKIP, "human"),
        ("message message", Action.SKIP, "human human"),
        ("idle", Action.SKIP, "superseded"),
        ("idle message", Action.SKIP, "superseded human"),
        ("decision", Action.RESUME, "resolved"),
        ("handoff_timeout", Action.RESUME, "resolved"),
        ("expire", Action.EXPIRE, "resolved"),
        ("expire message", Action.SKIP, "superseded human"),
        ("expire decision", Action.RESUME, "superseded resolved"),
        ("reminder", Action.SKIP, "superseded"),
        # Messages before the decision were for the human. Messages after it are for the next turn.
        ("message decision message", Action.RESUME, "human resolved -"),
        ("message message handoff_timeout message", Action.RESUME, "human human resolved -"),
        ("idle decision", Action.RESUME, "superseded resolved"),
        ("decision handoff_timeout", Action.RESUME, "resolved -"),
        ("handoff_timeout words", Action.RESUME, "superseded resolved"),
        # A decision about another interrupt decides nothing.
        ("other", Action.SKIP, "superseded"),
        ("other message decision", Action.RESUME, "superseded human resolved"),
    ],
)
def test_while_a_human_has_the_conversation(status: str, names: str, run: Action, dispositions: str) -> None:
    assert outcome(names, status) == (run, dispositions)


def test_a_decision_has_priority_over_an_earlier_timer() -> None:
    """The operator saw the decision accepted, and may have written a reply."""
    inbox = items("handoff_timeout", "decision")
    todo = plan_turn(claim(inbox, "waiting"), ATTEMPTS)
    assert todo.action is Action.RESUME
    assert todo.decision == inbox[1]


@pytest.mark.parametrize("words", [None, "até amanhã"])
@pytest.mark.parametrize("status", ["bot", "closed"])
def test_words_that_came_too_late_are_passed_on(status: str, words: str | None) -> None:
    (late,) = items("decision")
    late = replace(late, payload={"interrupt_id": "gone", "action": "return", "reply": words})
    assert plan_turn(claim([late], status), ATTEMPTS).operator_reply == words


def test_words_that_the_graph_says_are_not_passed_on_as_well() -> None:
    todo = plan_turn(claim(items("words"), "waiting"), ATTEMPTS)
    assert (todo.action, todo.operator_reply) == (Action.RESUME, None)


def test_words_of_a_turn_that_is_given_up_are_passed_on() -> None:
    todo = plan_turn(claim(items("message", "words"), "waiting", attempts=ATTEMPTS + 1), ATTEMPTS)
    assert (todo.action, todo.operator_reply) == (Action.HAND_OVER, "oi")


@pytest.mark.parametrize("names", ["message", "decision", "idle", "expire", "handoff_timeout", "message idle decision"])
def test_nothing_happens_in_a_closed_conversation(names: str) -> None:
    run, dispositions = outcome(names, "closed")
    assert run is Action.SKIP
    assert set(dispositions.split()) == {"superseded"}


def test_the_messages_of_a_turn_are_in_order() -> None:
    inbox = items("message", "idle", "message")
    todo = plan_turn(claim(inbox), ATTEMPTS)
    assert (todo.messages, todo.decision) == ([inbox[0], inbox[2]], None)


@pytest.mark.parametrize("name", ["decision", "handoff_timeout"])
def test_a_resume_names_what_decided_it(name: str) -> None:
    inbox = items("message", name)
    assert plan_turn(claim(inbox, "waiting"), ATTEMPTS).decision == inbox[1]


# A turn that goes on from a leg.


@pytest.mark.parametrize("status", ["bot", "waiting"])
def test_a_turn_that_has_begun_goes_on_with_its_own_rows_only(status: str) -> None:
    begun = items("message", "message", turn=4)
    later = [replace(item, id=item.id + 10) for item in items("message", "idle")]
    todo = plan_turn(claim([*begun, *later], status), ATTEMPTS)
    assert (todo.action, todo.dispositions) == (Action.CONTINUE, {1: "answered", 2: "answered"})


def test_a_resumed_turn_that_has_begun_keeps_its_decision() -> None:
    begun = items("message", "decision", turn=4)
    todo = plan_turn(claim(begun, "waiting"), ATTEMPTS)
    assert todo.action is Action.CONTINUE
    assert todo.dispositions[2] == "resolved"


def test_rows_that_another_turn_began_are_new_again() -> None:
    """A parked turn has used its number."""
    assert plan_turn(claim(items("message", turn=3)), ATTEMPTS).action is Action.ANSWER


# Poison.


@pytest.mark.parametrize("turn", [None, 4])
@pytest.mark.parametrize(
    ("status", "names"), [("bot", "message"), ("bot", "message message idle"), ("bot", "idle"), ("waiting", "decision")]
)
def test_too_many_attempts_park_all_rows_of_the_turn(status: str, names: str, turn: int | None) -> None:
    inbox = items(*names.split(), turn=turn)
    todo = plan_turn(claim(inbox, status, attempts=ATTEMPTS), ATTEMPTS)
    assert todo.action not in (Action.PARK, Action.HAND_OVER)
    given_up = plan_turn(claim(inbox, status, attempts=ATTEMPTS + 1), ATTEMPTS)
    action = Action.PARK if names == "idle" else Action.HAND_OVER
    assert (given_up.action, set(given_up.dispositions.values())) == (action, {"parked"})
    assert set(given_up.dispositions) == set(todo.dispositions)


def test_what_came_after_a_decision_is_not_given_up_with_it() -> None:
    given_up = plan_turn(claim(items("decision", "message"), "waiting", attempts=ATTEMPTS + 1), ATTEMPTS)
    assert given_up.dispositions == {1: "parked"}


def test_what_needs_no_graph_is_never_given_up() -> None:
    assert plan_turn(claim(items("message"), "human", attempts=ATTEMPTS + 1), ATTEMPTS).dispositions == {1: "human"}


# All cases at once.


@pytest.mark.parametrize("status", ["bot", "waiting", "human", "closed"])
def test_every_mix_of_rows_makes_progress(status: str) -> None:
    for length in (1, 2, 3, 4):
        for names in itertools.product(ROWS, repeat=length):
            inbox = items(*names)
            todo = plan_turn(claim(inbox, status), ATTEMPTS)
            assert todo.dispositions, f"{names} would be claimed for ever"
            assert set(todo.dispositions.values()) <= DISPOSITIONS
            assert set(todo.dispositions) <= {item.id for item in inbox}
            assert (todo.action is Action.ANSWER) == bool(todo.messages)
            answered = {id_ for id_, disposition in todo.dispositions.items() if disposition == "answered"}
            assert answered == {item.id for item in todo.messages}
            assert "human" not in todo.dispositions.values() or status in ("waiting", "human")
