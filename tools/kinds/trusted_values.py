"""Values that Recado knows of a conversation, and that tools can send without a model passing them on."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from tools.ports import Unreachable

TRUSTED: Mapping[str, str] = {
    "contact.phone": "The contact's number, such as +5511990000001. Calls fail for a contact without a number.",
    "contact.address": "The contact's address, such as whatsapp:+5511990000001.",
    "contact.name": "The name that the contact has chosen at WhatsApp. It proves nothing; left out if there is none.",
    "contact.tags": "The tags that operators gave the contact: a list in a JSON body, elsewhere joined with commas.",
    "conversation.id": "The conversation's id.",
    "channel.phone": "The tenant's number that the contact writes to.",
    "channel.address": "The tenant's address that the contact writes to.",
}
"""The trusted values by name, with what they are."""

VERIFIED = "verified."
"""The prefix of the values that a flow's `verify` has kept."""
VERIFIED_NAME = re.compile(r"verified\.[a-z][a-z0-9_]{0,39}")
OPTIONAL = frozenset({"contact.name", "contact.tags"})

NAMES_OF_TRUSTED = ", ".join(f"`${{{name}}}`" for name in (*TRUSTED, "verified.NAME"))


def is_trusted(name: str) -> bool:
    """Return whether there is a trusted value of this name."""
    return name in TRUSTED or VERIFIED_NAME.fullmatch(name) is not None


def trusted_arguments(names: Collection[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the trusted values with these names. Raises Unreachable if one that identifies is not known."""
    for name in sorted(names - known.keys() - OPTIONAL):
        reason = "has not been verified in this conversation" if name.startswith(VERIFIED) else "is not known"
        raise Unreachable(f"{name.removeprefix(VERIFIED)} {reason}", sent=False)
    return {name: known.get(name) for name in names}
