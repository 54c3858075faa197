"""Convert messages to Twilio's Message resource."""

from email.utils import formatdate
from functools import lru_cache
from typing import Any

from devkit.simulators.twilio.store import TwilioMessage


@lru_cache(maxsize=4096)
def _rfc2822(second: int) -> str:
    return formatdate(second)


def resource(message: TwilioMessage) -> dict[str, Any]:
    """Return the Message resource. As at Twilio, counts are strings and dates have whole seconds."""
    uri = f"/2010-04-01/Accounts/{message.account_sid}/Messages/{message.sid}"
    details, sent_at = message.details, message.sent_at
    return {
        "body": message.body,
        "num_segments": "1",
        "direction": message.direction,
        "from": message.sender,
        "to": message.recipient,
        "date_updated": _rfc2822(int(message.history[-1][1])),
        "price": None,
        "error_message": "The message was not delivered" if message.error_code else None,
        "uri": f"{uri}.json",
        "account_sid": message.account_sid,
        "num_media": str(len(details.get("media_urls", ()))),
        "status": message.status,
        "messaging_service_sid": details.get("messaging_service_sid"),
        "sid": message.sid,
        "date_sent": None if sent_at is None else _rfc2822(int(sent_at)),
        "date_created": _rfc2822(int(message.accepted_at)),
        "error_code": message.error_code,
        "price_unit": None,
        "api_version": "2010-04-01",
        "subresource_uris": {"media": f"{uri}/Media.json"},
    }
