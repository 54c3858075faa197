"""What a message has besides its text: buttons, forms, media, places, quotes, advertisements."""

import json
from collections.abc import Mapping
from typing import Any

MAX_MEDIA = 10
LONGEST_FORM = 8_000
"""The number of characters of a form's answers that are kept."""
MAX_NESTED = 500

CUTS = {"button": 256, "text": 1_000, "coordinate": 32, "place": 300, "referral": 1_000, "url": 1_000, "kind": 30}
"""The number of characters that are kept of each part."""


def parts_of(fields: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return what the contact has written, and the other parts of the message.

    The text of a pressed button, and the title of a list's entry, count as written. The parts are, if there are any:
    `kind` (MessageType), `button` (its id), `form` (the answers), `media`, `location`, `quoted` (the sid of the message
    that this one answers), `referral` (the advertisement that the contact has come from), `forwarded`.
    """
    body = fields.get("Body", "")
    if not body.strip():
        body = _cut(fields, "text", "ButtonText", "ListTitle") or body
    parts = {
        "kind": _kind(fields),
        "button": _cut(fields, "button", "ButtonPayload", "ListId"),
        "form": _form(fields),
        "media": _media(fields),
        "location": _location(fields),
        "quoted": _cut(fields, "url", "OriginalRepliedMessageSid"),
        "referral": _referral(fields),
        "forwarded": "true" in (fields.get("Forwarded", "").lower(), fields.get("FrequentlyForwarded", "").lower()),
    }
    return body, {name: part for name, part in parts.items() if part}


def _cut(fields: Mapping[str, str], part: str, *names: str) -> str:
    """Return the first of the fields that is not empty, cut to the length of the part."""
    return next((value for name in names if (value := fields.get(name, "")[: CUTS[part]].strip())), "")


def _kind(fields: Mapping[str, str]) -> str:
    kind = _cut(fields, "kind", "MessageType").lower()
    return "" if kind == "text" else kind


def _form(fields: Mapping[str, str]) -> Any:
    """Return the answers of a form, as JSON if they are JSON."""
    text = next((fields[name] for name in ("InteractiveData", "FlowData") if fields.get(name, "").strip()), "")
    if len(text) > LONGEST_FORM:
        return text[:LONGEST_FORM]
    try:
        form = json.loads(text)
        written = json.dumps(form, ensure_ascii=False, allow_nan=False)
        written.encode()
    except (ValueError, RecursionError):
        return text
    # Postgres cannot store a NUL, and would refuse a value that is nested too deeply.
    return text if "\\u0000" in written or written.count("[") + written.count("{") > MAX_NESTED else form


def _media(fields: Mapping[str, str]) -> list[dict[str, str]]:
    count = fields.get("NumMedia", "0")
    number = min(int(count), MAX_MEDIA) if count.isascii() and count.isdigit() and len(count) < 4 else 0
    return [
        {"url": fields[f"MediaUrl{i}"][:2_000], "content_type": fields.get(f"MediaContentType{i}", "")[:100]}
        for i in range(number)
        if f"MediaUrl{i}" in fields
    ]


def _location(fields: Mapping[str, str]) -> dict[str, str] | None:
    latitude, longitude = _cut(fields, "coordinate", "Latitude"), _cut(fields, "coordinate", "Longitude")
    if not latitude or not longitude:
        return None
    place = {"label": _cut(fields, "place", "Label"), "address": _cut(fields, "place", "Address")}
    return {"latitude": latitude, "longitude": longitude, **{name: text for name, text in place.items() if text}}


def _referral(fields: Mapping[str, str]) -> dict[str, str]:
    parts = {
        "headline": _cut(fields, "referral", "ReferralHeadline"),
        "body": _cut(fields, "referral", "ReferralBody"),
        "url": _cut(fields, "url", "ReferralSourceUrl"),
    }
    return {name: text for name, text in parts.items() if text}
