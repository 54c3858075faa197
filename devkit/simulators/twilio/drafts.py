"""Validate requests that create a message, and raise Twilio's error for what is wrong."""

import json
import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from devkit.simulators.twilio.errors import TwilioError
from devkit.simulators.twilio.numbers import ADDRESS
from devkit.simulators.twilio.store import MessageStore, SimulatedNumber

BODY_LIMIT = 1600
MEDIA_LIMIT = 10
SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
CONTENT = re.compile(r"HX[0-9a-fA-F]{32}")
URL = re.compile(r"https?://[!-~]+")
HOST = re.compile(r"[A-Za-z0-9.:-]+")

Form = dict[str, list[str]]


class Draft(NamedTuple):
    """A valid request to create a message. `details` are its optional parts."""

    number: SimulatedNumber
    to: str
    body: str
    details: dict[str, Any]


def read_draft(store: MessageStore, account: str, form: Form) -> Draft:
    """Return the message that a form asks for. Raises TwilioError."""
    to = _first(form, "To")
    if not to:
        raise TwilioError(21604)
    if not ADDRESS.fullmatch(to):
        raise TwilioError(21211, to)
    details: dict[str, Any] = {}
    number = _sender(store, account, form, details)
    if number.address.startswith("whatsapp:") != to.startswith("whatsapp:"):
        raise TwilioError(21910)
    _content(form, details)
    body = _first(form, "Body")
    if not body and not {"media_urls", "content_sid"} & details.keys():
        raise TwilioError(21602)
    if len(body) > BODY_LIMIT:
        raise TwilioError(21617)
    if callback := _first(form, "StatusCallback"):
        if not is_callback(callback):
            raise TwilioError(21609, callback)
        details["status_callback"] = callback
    return Draft(number, to, body, details)


def is_callback(url: str) -> bool:
    """Return whether Twilio accepts the URL as a status callback."""
    if not URL.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    return HOST.fullmatch(host) is not None


def _first(form: Form, name: str) -> str:
    return form.get(name, ("",))[0]


def _sender(store: MessageStore, account: str, form: Form, details: dict[str, Any]) -> SimulatedNumber:
    sender, service = _first(form, "From"), _first(form, "MessagingServiceSid")
    if service:
        if not SERVICE.fullmatch(service):
            raise TwilioError(21705, service)
        details["messaging_service_sid"] = service
        mine = (number for number in store.numbers.values() if number.account_sid == account)
        if not sender and (number := next(mine, None)):
            return number
    if not sender:
        raise TwilioError(21603)
    if not ADDRESS.fullmatch(sender):
        raise TwilioError(21212, sender)
    found = store.numbers.get(sender)
    if found is None or found.account_sid != account:
        raise TwilioError(21606, sender)
    return found


def _content(form: Form, details: dict[str, Any]) -> None:
    if media := form.get("MediaUrl"):
        if len(media) > MEDIA_LIMIT:
            raise TwilioError(21623)
        details["media_urls"] = media
    if content := _first(form, "ContentSid"):
        if not CONTENT.fullmatch(content):
            raise TwilioError(21655, content)
        details["content_sid"] = content
    if variables := _first(form, "ContentVariables"):
        try:
            details["content_variables"] = json.loads(variables)
        except ValueError as error:
            raise TwilioError(21656) from error
