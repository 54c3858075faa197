"""Whatever Twilio signs is stored, once, and the conversation goes on."""

import random
import uuid
from urllib.parse import quote_from_bytes, quote_plus

import pytest

from tests.platform import Platform

NAMES = [
    *("Body", "ProfileName", "MessageType", "NumMedia", "MediaUrl0", "MediaContentType0", "MediaUrl1", "ButtonText"),
    *("ButtonPayload", "ListId", "ListTitle", "InteractiveData", "FlowData", "Latitude", "Longitude", "Address"),
    *("Label", "OriginalRepliedMessageSid", "Forwarded", "ReferralHeadline", "ReferralBody", "ReferralSourceUrl"),
    *("WaId", "SmsStatus", "ChannelMetadata", "Something", "", "ã"),
]
TEXTS = [
    "oi",
    "ção",
    "👨‍👩‍👧",
    " ",
    "\n",
    '{"a": "',
    '"}',
    "[",
    "]",
    "{}",
    "\\u0000",
    "\\ud83d",
    "NaN",
    "1",
    "-23.5",
    "true",
]
MORE = [
    "x" * 3_000,
    "https://a/",
    "audio/ogg",
    "image/webp",
    "text/vcard",
    "%00",
    "&amp;",
    "${secret:X}",
    "{{",
    "\u202e",
]
BYTES = [b"\x00", b"\xff\xfe", b"\xed\xa0\xbd", b"\xed\xb8\x80", b"\xe1"]
PIECES = [*(text.encode() for text in [*TEXTS, *MORE]), *BYTES]


@pytest.fixture
def platform(lasting_platform: Platform) -> Platform:
    return lasting_platform


def any_form(chance: random.Random, contact: str, sid: str) -> bytes:
    """Return a form of Twilio's with any content in any of its fields."""
    named = {"AccountSid": "", "From": contact, "To": "", "MessageSid": sid}
    fields = [
        (name.encode(), b"".join(chance.choices(PIECES, k=chance.randint(0, 6))))
        for name in chance.sample(NAMES, chance.randint(0, len(NAMES)))
    ]
    fields += [(b"P" * chance.randint(1, 40), b"v") for _ in range(chance.choice([0, 0, 3, 400]))]
    return b"&".join(
        quote_from_bytes(name).encode() + b"=" + quote_from_bytes(value, safe="").encode() for name, value in fields
    ) + b"".join(f"&{name}={quote_plus(value)}".encode() for name, value in named.items() if value)


@pytest.mark.parametrize("seed", range(3))
async def test_any_content_is_stored_once(platform: Platform, seed: int) -> None:
    chance = random.Random(seed)
    contact = f"whatsapp:+55{uuid.uuid4().int % 10**11:011}"
    sids = [f"SM{uuid.uuid4().hex}" for _ in range(25)]
    own = dict(platform.webhook(""))
    tail = f"&AccountSid={own['AccountSid']}&To={quote_plus(own['To'])}".encode()
    for sid in sids:
        form = any_form(chance, contact, sid) + tail
        for _ in range(chance.choice([1, 2])):
            status, text = await platform.post_form(form)
            assert status == 200, (form, text)
    rows = await platform.rows(
        """select i.provider_sid from inbox i join conversations v on v.id = i.conversation_id
           join contacts c on c.id = v.contact_id where c.address = %(contact)s order by i.id""",
        contact=contact,
    )
    assert [row["provider_sid"] for row in rows] == sids
    await platform.nudge()
    await platform.replies(1, contact)
    left = await platform.rows(
        """select i.id from inbox i join conversations v on v.id = i.conversation_id
           join contacts c on c.id = v.contact_id where c.address = %(contact)s and i.disposition is null""",
        contact=contact,
    )
    assert left == []
