"""What a conversation is woken for when nobody says anything."""

from datetime import datetime, timedelta
from typing import Literal

from app.turns.queries import Timer
from graphs.config import Assistant

RATES_WITHIN = 86_400.0
"""Seconds that a contact has to rate a conversation, where the tenant says nothing of silence."""

Waits = Literal["contact", "rating", "reminded", "handoff", "approval"]
"""For whom, or what, a conversation waits."""


def timer(waits_for: Waits, assistant: Assistant, now: datetime) -> Timer | None:
    """The conversation's next timer. What has none of its own expires."""
    lifecycle = assistant.lifecycle
    match waits_for:
        case "contact":
            wait, what = lifecycle.idle, "reminder" if lifecycle.idle_message else "idle"
        case "reminded":
            wait, what = lifecycle.idle, "idle"
        case "rating":
            wait, what = lifecycle.idle or lifecycle.expire or RATES_WITHIN, "idle"
        case "handoff":
            wait, what = assistant.handoff.timeout, "handoff_timeout"
        case "approval":
            wait, what = assistant.approvals.timeout, "handoff_timeout"
    return Timer(now + timedelta(seconds=wait), what) if wait else expiry(assistant, now)


def expiry(assistant: Assistant, now: datetime) -> Timer | None:
    """When the conversation ends without a word."""
    wait = assistant.lifecycle.expire
    return Timer(now + timedelta(seconds=wait), "expire") if wait else None
