"""Parse the description of a number."""

import json
import re
from typing import Any

from devkit.simulators.twilio.store import SimulatedNumber
from devkit.simulators.twilio.webhooks import is_loopback

ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}")
# A phone number, with or without a channel, or the business-scoped id of a contact who hides the number.
ADDRESS = re.compile(r"(whatsapp:)?\+[1-9][0-9]{6,14}|whatsapp:[A-Z]{2}\.[A-Za-z0-9.]{1,140}")
OPTION = re.compile(
    r"(?P<account_sid>AC\w+):(?P<auth_token>[^:]+):(?P<address>(whatsapp:)?\+\d+):(?P<webhook_url>http.+)"
)


def parse_number(data: dict[str, Any]) -> tuple[SimulatedNumber, str]:
    """Return a number and its account's token from JSON. Raises ValueError."""
    known = {"account_sid", "auth_token", "address", "webhook_url", "name", "suggestions"}
    if unknown := set(data) - known:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    for name in ("account_sid", "auth_token", "address", "webhook_url"):
        if not isinstance(data.get(name), str) or not data[name]:
            raise ValueError(f"{name} must be a text")
    if not ACCOUNT.fullmatch(data["account_sid"]):
        raise ValueError("account_sid must be AC and 32 hex digits")
    if not ADDRESS.fullmatch(data["address"]):
        raise ValueError("address must look like whatsapp:+551140000000")
    if not is_loopback(data["webhook_url"]):
        raise ValueError("webhook_url must be an http:// address of this machine (127.0.0.1, ::1 or localhost)")
    name = data.get("name") or data["address"].removeprefix("whatsapp:")
    suggestions = data.get("suggestions") or []
    if not isinstance(name, str):
        raise ValueError("name must be a text")
    if not isinstance(suggestions, list) or not all(isinstance(each, str) for each in suggestions):
        raise ValueError("suggestions must be a list of texts")
    number = SimulatedNumber(data["account_sid"], data["address"], data["webhook_url"], name, suggestions)
    return number, data["auth_token"]


def parse_option(text: str) -> tuple[SimulatedNumber, str]:
    """Return the same from the --number option: separated by colons, or as JSON. Raises ValueError."""
    if text.lstrip().startswith("{"):
        data = json.loads(text)
    elif match := OPTION.fullmatch(text):
        data = match.groupdict()
    else:
        raise ValueError("expected SID:TOKEN:ADDRESS:WEBHOOK_URL or a JSON object")
    return parse_number(data)
