"""Build the input of a graph run from the rows that a turn takes."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.types import Command

from app.turns.claim import InboxItem
from graphs.nodes.handoff import ResumeValue
from graphs.state import Event, new_turn

GraphInput = Mapping[str, Any] | Command[Any] | None
"""None continues from the last checkpoint."""


def messages_input(items: Sequence[InboxItem]) -> GraphInput:
    """Start a turn with the contact's messages. Their ids are the provider's, so a message is never added twice."""
    messages = human_messages(items)
    buttons = [str(item.payload["button"]) for item in items if "button" in item.payload]
    said = "\n".join(message.text for message in messages)
    return {"messages": messages, "turn": new_turn("message", said=said, button=buttons[-1] if buttons else None)}


def human_messages(items: Sequence[InboxItem]) -> list[HumanMessage]:
    """Return the contact's messages for the history."""
    return [HumanMessage(message_text(item.body, item.payload), id=item.provider_sid) for item in items]


def timer_input(event: Event) -> GraphInput:
    """Start a turn for a silent contact: `reminder` reminds, `idle` says goodbye."""
    return {"messages": [], "turn": new_turn(event)}


def resume_input(decision: ResumeValue) -> GraphInput:
    """Continue from an interrupt."""
    return Command(resume=decision)


def message_text(body: str, payload: Mapping[str, Any]) -> str:
    """Return a contact's message as models read it. Attachments and locations become placeholders."""
    extras = [f"[{media.get('content_type') or 'attachment'}]" for media in payload.get("media", ())]
    if location := payload.get("location"):
        extras.append(f"[location {location['latitude']}, {location['longitude']}]")
    return "\n".join(part for part in [body.strip(), *extras] if part) or "[empty message]"
