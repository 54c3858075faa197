"""Faults of the simulated Twilio, and the messages that it has."""

from typing import Any

from tests.platform import CONTACT, Platform

SETTLED = 16
"""Seconds after which an unknown row may be looked up."""


async def faulty(platform: Platform, fault: str, *, count: int = 1, callbacks: bool = True) -> None:
    """Make the next `count` posts fail, and drop the callbacks unless `callbacks`."""
    plan: dict[str, Any] = {"create": {fault: 1, "count": count}}
    if not callbacks:
        plan["callbacks"] = {"p_drop": 1}
    await platform.control(platform.servers.twilio, "faults", plan)


async def twilio_has(platform: Platform, contact: str = CONTACT) -> list[tuple[str, str]]:
    """Return (sid, body) of the contact's messages at Twilio."""
    answer = await platform.control(
        platform.servers.twilio, f"messages?direction=outbound&contact={contact.replace('+', '%2B')}"
    )
    return [(message["sid"], message["body"]) for message in answer["messages"]]
