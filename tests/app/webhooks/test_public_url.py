"""Signatures are over the configured public URL, which Twilio calls. Headers that a proxy sets do not change it."""

import uuid
from collections.abc import AsyncIterator

import pytest

from tests.platform import ACCOUNT_SID, TOKEN, Log, Platform

PUBLIC = "https://bot.example.com"
WEBHOOK = "/api/v1/twilio/webhook"


@pytest.fixture(scope="module")
async def behind_a_proxy(lasting_platform: Platform) -> AsyncIterator[str]:
    """Where an API listens that the world knows as PUBLIC."""
    async with lasting_platform.api(public_url=PUBLIC) as address:
        yield address


async def stored(platform: Platform, contact: str) -> list[str]:
    rows = await platform.rows(
        """select body from inbox join conversations v on v.id = conversation_id join contacts c on c.id = contact_id
           where c.address = %(contact)s order by inbox.id""",
        contact=contact,
    )
    return [row["body"] for row in rows]


@pytest.fixture
def contact() -> str:
    return f"whatsapp:+55{uuid.uuid4().int % 10**11:011}"


async def posted(
    platform: Platform,
    contact: str,
    at: str,
    *,
    signed: str = PUBLIC,
    path: str = WEBHOOK,
    headers: dict[str, str] | None = None,
) -> int:
    parameters = platform.webhook("oi", contact=contact)
    status, _ = await platform.post(parameters, at=at, signed=signed, path=path, headers=headers)
    assert await stored(platform, contact) == (["oi"] if status == 200 else [])
    return status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "10.0.0.7:8000"},
        {"Host": "evil.example.com"},
        {"Host": "evil.example.com:99999999"},
        {"Host": "bot.example.com:443", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "80"},
        {"X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "gopher", "X-Forwarded-For": "8.8.8.8"},
        {"X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz", "X-Forwarded-Prefix": "/x"},
        {"Forwarded": "for=1.2.3.4;host=evil.example.com;proto=https"},
    ],
    ids=["plain", "inner host", "lying host", "broken host", "port and scheme", "forwarded", "rewritten", "rfc 7239"],
)
async def test_no_header_changes_what_was_signed(
    lasting_platform: Platform, behind_a_proxy: str, contact: str, headers: dict[str, str]
) -> None:
    assert await posted(lasting_platform, contact, behind_a_proxy, headers=headers) == 200


@pytest.mark.parametrize("base", ["https://evil.example.com", "http://bot.example.com", "https://bot.example.com:8443"])
async def test_no_header_makes_another_address_ours(
    lasting_platform: Platform, behind_a_proxy: str, contact: str, base: str
) -> None:
    scheme, host = base.split("://")
    headers = {"Host": host, "X-Forwarded-Host": host, "X-Forwarded-Proto": scheme}
    assert await posted(lasting_platform, contact, behind_a_proxy, signed=base, headers=headers) == 403


async def test_signatures_use_the_public_url(lasting_platform: Platform, behind_a_proxy: str, contact: str) -> None:
    assert await posted(lasting_platform, contact, behind_a_proxy, signed=behind_a_proxy) == 403


@pytest.mark.parametrize(
    ("public", "signed", "status"),
    [
        ("https://bot.example.com:8443", "https://bot.example.com:8443", 200),
        # Twilio leaves it out at times.
        ("https://bot.example.com:8443", "https://bot.example.com", 200),
        ("https://bot.example.com:8443", "https://bot.example.com:8444", 403),
        ("https://bot.example.com", "https://bot.example.com:443", 200),
        ("https://bot.example.com", "https://bot.example.com:80", 403),
        ("https://bot.example.com/recado", "https://bot.example.com/recado", 200),
        ("https://bot.example.com/recado", "https://bot.example.com", 403),
    ],
)
async def test_ports_and_prefixes(
    lasting_platform: Platform, contact: str, public: str, signed: str, status: int
) -> None:
    async with lasting_platform.api(public_url=public) as address:
        assert await posted(lasting_platform, contact, address, signed=signed) == status


@pytest.mark.parametrize(
    "query",
    ["?tenant=acme%20co&mid=01J9ZK", "?a=1&a=2&a=", "?x=%2F%3f+%C3%BC", "?=&&", "?o=%ED%A0%80"],
)
async def test_the_query_counts_byte_for_byte(
    lasting_platform: Platform, behind_a_proxy: str, contact: str, query: str
) -> None:
    assert await posted(lasting_platform, contact, behind_a_proxy, path=WEBHOOK + query) == 200


async def test_the_path_counts_byte_for_byte(lasting_platform: Platform, behind_a_proxy: str, contact: str) -> None:
    assert await posted(lasting_platform, contact, behind_a_proxy, path="/api/v1/twilio/webhoo%6B") == 200


async def test_neither_headers_nor_addresses_are_logged(
    lasting_platform: Platform, behind_a_proxy: str, contact: str, log: Log
) -> None:
    headers = {"X-Forwarded-For": "203.0.113.7", "Authorization": "Basic c2VjcmV0"}
    await posted(lasting_platform, contact, behind_a_proxy, headers=headers)
    await lasting_platform.post(lasting_platform.webhook("oi"), at=behind_a_proxy, token="no", headers=headers)
    for secret in ("203.0.113.7", "c2VjcmV0", contact, TOKEN, ACCOUNT_SID):
        assert secret not in log.text
