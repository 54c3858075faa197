"""Choose the timer of a conversation that waits."""

from datetime import datetime, timedelta
from typing import Literal

from app.turns.commit import Timer
from graphs.config import Assistant

RATING_TIMEOUT = 86_400.0
"""Seconds that a contact has to rate a conversation when the tenant sets neither `idle` nor `expire`."""

Waiting = Literal["contact", "rating", "reminded contact", "handoff", "approval"]
"""What a conversation waits for."""


def next_timer(waiting_for: Waiting, assistant: Assistant, now: datetime) -> Timer | None:
    """Return the timer for what the conversation waits for, else the expiry timer, if the tenant sets one."""
    lifecycle = assistant.lifecycle
    match waiting_for:
        case "contact":
            wait, kind = lifecycle.idle, "reminder" if lifecycle.idle_message else "idle"
        case "reminded contact":
            wait, kind = lifecycle.idle, "idle"
        case "rating":
            wait, kind = lifecycle.idle or lifecycle.expire or RATING_TIMEOUT, "idle"
        case "handoff":
            wait, kind = assistant.handoff.timeout, "handoff_timeout"
        case "approval":
            wait, kind = assistant.approvals.timeout, "handoff_timeout"
    return Timer(now + timedelta(seconds=wait), kind) if wait else expiry_timer(assistant, now)


def expiry_timer(assistant: Assistant, now: datetime) -> Timer | None:
    """Return the timer that closes the conversation without a message, if the tenant sets `expire`."""
    wait = assistant.lifecycle.expire
    return Timer(now + timedelta(seconds=wait), "expire") if wait else None
