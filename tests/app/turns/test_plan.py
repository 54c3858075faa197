"""What a turn does with the rows that wait, case by case: `plan` is a pure function."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.turns.plan import Run, plan
from app.turns.queries import Claim, InboxItem

ATTEMPTS = 5
ROWS = {
    "message": ("message", {}),
    "decision": ("decision", {"action": "return", "interrupt_id": "asked"}),
    "idle": ("timer", {"timer": "idle"}),
    "handoff_timeout": ("timer", {"timer": "handoff_timeout"}),
}
DISPOSITIONS = {"answered", "human", "resolved", "superseded", "parked"}


def items(*names: str, turn: int | None = None) -> list[InboxItem]:
    """Waiting rows, numbered from 1 on."""
    return [
        InboxItem(number, ROWS[name][0], f"SM{number}" if name == "message" else None, "", ROWS[name][1], turn)
        for number, name in enumerate(names, 1)
    ]


def claim(inbox: list[InboxItem], status: str = "bot", **changes: Any) -> Claim:
    """A claimed conversation after its third turn."""
    some = UUID(int=1)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    claimed = Claim(some, some, some, some, "whatsapp:+1", "Ana", 1, status, 3, 7, 1, 9, moment, inbox, ["asked"], ())
    return replace(claimed, **changes)


def outcome(names: str, status: str = "bot") -> tuple[Run, str]:
    """How the graph is run for rows named like `message idle`, and what becomes of each (`-`: it stays)."""
    inbox = items(*names.split())
    todo = plan(claim(inbox, status), ATTEMPTS)
    return todo.run, " ".join(todo.dispositions.get(item.id, "-") for item in inbox)


@pytest.mark.parametrize(
    ("names", "run", "dispositions"),
    [
        ("message", Run.MESSAGES, "answered"),
        ("message message message", Run.MESSAGES, "answered answered answered"),
        # Whoever writes is not sent away.
        ("message idle", Run.MESSAGES, "answered superseded"),
        ("idle message", Run.MESSAGES, "superseded answered"),
        ("idle", Run.CLOSE, "resolved"),
        # Decisions and timers of a handoff that is over.
        ("decision", Run.NOT_AT_ALL, "superseded"),
        ("handoff_timeout", Run.NOT_AT_ALL, "superseded"),
        ("decision handoff_timeout", Run.NOT_AT_ALL, "superseded superseded"),
        ("decision message", Run.MESSAGES, "superseded answered"),
        ("handoff_timeout message", Run.MESSAGES, "superseded answered"),
        ("idle handoff_timeout", Run.CLOSE, "resolved superseded"),
    ],
)
def test_with_the_assistant(names: str, run: Run, dispositions: str) -> None:
    assert outcome(names) == (run, dispositions)


@pytest.mark.parametrize("status", ["waiting", "human"])
@pytest.mark.parametrize(
    ("names", "run", "dispositions"),
    [
        ("message", Run.NOT_AT_ALL, "human"),
        ("message message", Run.NOT_AT_ALL, "human human"),
        ("idle", Run.NOT_AT_ALL, "superseded"),
        ("idle message", Run.NOT_AT_ALL, "superseded human"),
        ("decision", Run.RESUME, "resolved"),
        ("handoff_timeout", Run.RESUME, "resolved"),
        # What the contact said before the decision was said to the human; what came after it is for the next turn.
        ("message decision message", Run.RESUME, "human resolved -"),
        ("message message handoff_timeout message", Run.RESUME, "human human resolved -"),
        ("idle decision", Run.RESUME, "superseded resolved"),
        ("decision handoff_timeout", Run.RESUME, "resolved -"),
    ],
)
def test_while_a_human_has_the_conversation(status: str, names: str, run: Run, dispositions: str) -> None:
    assert outcome(names, status) == (run, dispositions)


def test_an_operators_decision_wins_over_the_timer_that_came_just_before_it() -> None:
    """The operator was told that it is decided, and may have written a reply."""
    inbox = items("handoff_timeout", "decision")
    todo = plan(claim(inbox, "waiting"), ATTEMPTS)
    assert todo.run is Run.RESUME
    assert todo.decision == inbox[1]


@pytest.mark.parametrize("names", ["message", "decision", "idle", "handoff_timeout", "message idle decision"])
def test_nothing_happens_in_a_closed_conversation(names: str) -> None:
    run, dispositions = outcome(names, "closed")
    assert run is Run.NOT_AT_ALL
    assert set(dispositions.split()) == {"superseded"}


def test_the_messages_of_a_turn_are_those_of_the_contact_in_their_order() -> None:
    inbox = items("message", "idle", "message")
    todo = plan(claim(inbox), ATTEMPTS)
    assert (todo.messages, todo.decision) == ([inbox[0], inbox[2]], None)


@pytest.mark.parametrize("name", ["decision", "handoff_timeout"])
def test_a_resume_names_what_decided_it(name: str) -> None:
    inbox = items("message", name)
    assert plan(claim(inbox, "waiting"), ATTEMPTS).decision == inbox[1]


# A turn that goes on from a leg.


@pytest.mark.parametrize("status", ["bot", "waiting"])
def test_a_turn_that_has_begun_goes_on_with_its_own_rows_only(status: str) -> None:
    begun = items("message", "message", turn=4)
    later = [replace(item, id=item.id + 10) for item in items("message", "idle")]
    todo = plan(claim([*begun, *later], status), ATTEMPTS)
    assert (todo.run, todo.dispositions) == (Run.GO_ON, {1: "answered", 2: "answered"})


def test_a_resumed_turn_that_has_begun_keeps_its_decision() -> None:
    begun = items("message", "decision", turn=4)
    todo = plan(claim(begun, "waiting"), ATTEMPTS)
    assert todo.run is Run.GO_ON
    assert todo.dispositions[2] == "resolved"


def test_rows_that_another_turn_began_are_new_again() -> None:
    """That turn was given up: its number is gone."""
    assert plan(claim(items("message", turn=3)), ATTEMPTS).run is Run.MESSAGES


# Poison.


@pytest.mark.parametrize(
    ("status", "names", "turn"),
    [
        *[("bot", names, turn) for names in ("message", "message message idle", "idle") for turn in (None, 4)],
        *[(status, names, 4) for status in ("waiting", "human") for names in ("message", "decision")],
        *[(status, "decision", None) for status in ("waiting", "human")],
    ],
)
def test_after_too_many_attempts_a_turn_is_given_up_with_all_its_rows(
    status: str, names: str, turn: int | None
) -> None:
    inbox = items(*names.split(), turn=turn)
    assert plan(claim(inbox, status, attempts=ATTEMPTS), ATTEMPTS).run is not Run.PARK
    todo = plan(claim(inbox, status, attempts=ATTEMPTS + 1), ATTEMPTS)
    assert (todo.run, set(todo.dispositions.values())) == (Run.PARK, {"parked"})
    assert set(todo.dispositions) == {item.id for item in inbox}


@pytest.mark.parametrize(("status", "names"), [("waiting", "message"), ("human", "message idle"), ("bot", "decision")])
def test_what_no_graph_runs_for_is_never_given_up(status: str, names: str) -> None:
    inbox = items(*names.split())
    assert plan(claim(inbox, status, attempts=ATTEMPTS + 1), ATTEMPTS) == plan(claim(inbox, status), ATTEMPTS)


# All cases at once.


@pytest.mark.parametrize("status", ["bot", "waiting", "human", "closed"])
def test_every_mix_of_rows_makes_progress_and_only_says_what_the_table_allows(status: str) -> None:
    for length in (1, 2, 3, 4):
        for names in itertools.product(ROWS, repeat=length):
            inbox = items(*names)
            todo = plan(claim(inbox, status), ATTEMPTS)
            assert todo.dispositions, f"{names} would be claimed for ever"
            assert set(todo.dispositions.values()) <= DISPOSITIONS
            assert set(todo.dispositions) <= {item.id for item in inbox}
            kept = [item.id for item in inbox if item.id not in todo.dispositions]
            assert not kept or min(kept) > min(todo.dispositions), "what stays came after what goes"
            assert (todo.run is Run.MESSAGES) == bool(todo.messages)
            answered = {id_ for id_, disposition in todo.dispositions.items() if disposition == "answered"}
            assert answered == {item.id for item in todo.messages}
            assert "human" not in todo.dispositions.values() or status in ("waiting", "human")
