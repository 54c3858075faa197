"""Build the input of a graph run from the rows that a turn takes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.types import Command

from app.turns.claim import InboxItem
from graphs.nodes.handoff import ResumeValue
from graphs.state import Attachment, Event, new_turn

GraphInput = Mapping[str, Any] | Command[Any] | None
"""None continues from the last checkpoint."""

LONGEST_QUOTE = 300
"""The number of characters of a quoted message that models read."""
CONTACT_CARDS = ("text/vcard", "text/x-vcard", "text/directory")


def messages_input(items: Sequence[InboxItem], quoted: Mapping[str, str]) -> GraphInput:
    """Start a turn with the contact's messages. Their ids are the provider's, so a message is never added twice.

    `quoted` are the texts of quoted messages by sid. What has no text is no answer: models read of it in words, and
    flows are given it as attachments.
    """
    buttons = [str(item.payload["button"]) for item in items if "button" in item.payload]
    turn = new_turn(
        "message",
        said="\n".join(text for item in items if (text := item.body.strip())),
        button=buttons[-1] if buttons else None,
        attachments=[attachment for item in items for attachment in attachments_of(item.payload)],
    )
    return {"messages": human_messages(items, quoted), "turn": turn}


def quoted_sids(items: Sequence[InboxItem]) -> list[str]:
    """Return the sids of the messages that the contact has quoted."""
    return [str(item.payload["quoted"]) for item in items if "quoted" in item.payload]


def human_messages(items: Sequence[InboxItem], quoted: Mapping[str, str] | None = None) -> list[HumanMessage]:
    """Return the contact's messages for the history."""
    return [HumanMessage(message_text(item.body, item.payload, quoted), id=item.provider_sid) for item in items]


def timer_input(event: Event) -> GraphInput:
    """Start a turn for a silent contact: `reminder` reminds, `idle` says goodbye."""
    return {"messages": [], "turn": new_turn(event)}


def resume_input(decision: ResumeValue) -> GraphInput:
    """Continue from an interrupt."""
    return Command(resume=decision)


def attachments_of(payload: Mapping[str, Any]) -> list[Attachment]:
    """Return the media and the place of a contact's message."""
    found = [
        Attachment(
            kind=_kind_of_media(str(media.get("content_type", "")), payload.get("kind")),
            content={name: str(media.get(name, "")) for name in ("url", "content_type")},
        )
        for media in payload.get("media", ())
    ]
    if location := payload.get("location"):
        found.append(Attachment(kind="location", content=dict(location)))
    return found


def _kind_of_media(content_type: str, kind: str | None) -> str:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in CONTACT_CARDS or kind == "contacts":
        return "contact"
    if kind == "sticker":
        return "sticker"
    family = media_type.partition("/")[0]
    return family if family in ("image", "audio", "video") else "file"


def message_text(body: str, payload: Mapping[str, Any], quoted: Mapping[str, str] | None = None) -> str:
    """Return a contact's message as models read it: the text, and in brackets what else there is."""
    before = [_quote(str(payload["quoted"]), quoted or {})] if "quoted" in payload else []
    if payload.get("forwarded"):
        before.append("[forwarded]")
    after = [_described(attachment) for attachment in attachments_of(payload)]
    if payload.get("kind") == "contacts" and not payload.get("media"):
        after.append("[a contact was shared]")
    if form := payload.get("form"):
        written = form if isinstance(form, str) else json.dumps(form, ensure_ascii=False)
        after.append(f"[answers of a form: {written}]")
    if referral := payload.get("referral"):
        words = " - ".join(referral[part] for part in ("headline", "body", "url") if part in referral)
        after.append(f"[came from an advertisement: {words}]")
    return "\n".join(part for part in [*before, body.strip(), *after] if part) or "[empty message]"


def _quote(sid: str, quoted: Mapping[str, str]) -> str:
    if sid not in quoted:
        return "[answers an earlier message]"
    text = " ".join(quoted[sid].split())
    return f'[answers the message "{text[:LONGEST_QUOTE]}{"…" if len(text) > LONGEST_QUOTE else ""}"]'


def _described(attachment: Attachment) -> str:
    content = attachment["content"]
    match attachment["kind"]:
        case "contact":
            return "[a contact was shared]"
        case "sticker":
            return "[sticker]"
        case "location":
            place = ", ".join(content[part] for part in ("label", "address") if part in content)
            at = f"{content['latitude']}, {content['longitude']}"
            return f"[location: {place} ({at})]" if place else f"[location {at}]"
        case _:
            return f"[{content['content_type'] or 'attachment'}]"
