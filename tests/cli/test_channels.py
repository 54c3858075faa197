"""`recado channels`: the tenants' numbers, and their tokens, which nobody gets to see."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from app.crypto import SecretBox, new_secret_key
from app.db import Database, Role
from app.identity import service as identity
from app.identity import suspension
from app.identity.service import Channels
from tests.cli.shell import Done, recado

ACCOUNT, OTHER_ACCOUNT = "AC" + "1" * 32, "AC" + "b" * 32
NUMBER = "whatsapp:+551140000009"
TOKENS = ["the-first-token", "the-second-token", "the-third-token"]
KEY = new_secret_key()

REFUSED: list[tuple[tuple[str, ...], dict[str, str], str]] = [
    (("--account-sid", "AC123"), {}, "'AC123' is no account SID"),
    (("--account-sid", f"{ACCOUNT}\n"), {}, "is no account SID"),
    (("--address", "+551140000009"), {}, "'+551140000009' is no WhatsApp number"),
    (("--address", "whatsapp:+55 11 4000-0009"), {}, "is no WhatsApp number"),
    (("--tenant", "ninguem"), {}, "there is no tenant 'ninguem'"),
    ((), {"RECADO_SECRET_KEY": "short"}, "RECADO_SECRET_KEY is not usable"),
    ((), {"RECADO_SECRET_KEY": ""}, "RECADO_SECRET_KEY is not set"),
]
"""Options and settings with which nothing is added, and what is said about them."""


@pytest.fixture
async def url(database_url: str) -> str:
    """A database that knows two tenants."""
    async with Database(database_url, role=Role.SYSTEM, size=1) as system:
        for slug in ("um", "dois"):
            await identity.ensure_tenant(system, slug, slug.title())
    return database_url


def add(url: str, *arguments: str, typed: str = "", tenant: str = "um", **changes: str) -> Done:
    """Adds a channel; whatever comes of it, no token is shown."""
    environment = {"SYSTEM_DATABASE_URL": url, "RECADO_SECRET_KEY": KEY, **changes}
    options = {"--tenant": tenant, "--account-sid": ACCOUNT, "--address": NUMBER}
    options |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    flat = [part for option in options.items() for part in option]
    done = recado("channels", "add", *flat, typed=typed, **environment)
    assert not [token for token in TOKENS if token in done.out + done.err]
    return done


async def token(url: str) -> str:
    """The token that the platform would send with."""
    async with Database(url, role=Role.SYSTEM, size=1) as system:
        (channel,) = await Channels(system, SecretBox(KEY)).of_address(NUMBER)
        return channel.credentials.auth_token


async def channel_id(url: str) -> UUID:
    """The id of the only channel."""
    async with Database(url, role=Role.SYSTEM, size=1) as system:
        (channel,) = await Channels(system, SecretBox(KEY)).of_address(NUMBER)
        return channel.id


async def test_a_token_comes_from_environment_option_or_prompt(url: str) -> None:
    added = add(url, TWILIO_AUTH_TOKEN=TOKENS[0], RECADO_PUBLIC_URL="https://bot.example.com/")
    assert (added.code, added.err) == (0, "")
    assert added.out.splitlines() == [
        f"um: {NUMBER} of account {ACCOUNT}",
        "in Twilio, let the number's webhook call https://bot.example.com/api/v1/twilio/webhook#rc=3&rp=ct,rt,5xx",
    ]
    assert await token(url) == TOKENS[0]
    assert add(url, "--auth-token", TOKENS[1]).code == 0
    assert await token(url) == TOKENS[1]
    assert add(url, typed=f"{TOKENS[2]}\n").code == 0
    assert await token(url) == TOKENS[2]


async def test_the_list_shows_numbers_and_no_tokens(url: str) -> None:
    assert add(url, TWILIO_AUTH_TOKEN=TOKENS[0]).code == 0
    assert add(url, "--account-sid", OTHER_ACCOUNT, tenant="dois", TWILIO_AUTH_TOKEN=TOKENS[1]).code == 0
    listed = recado("channels", "list", SYSTEM_DATABASE_URL=url)
    assert (listed.code, listed.err) == (0, "")
    assert sorted(line.split() for line in listed.out.splitlines()) == [
        ["dois", NUMBER, OTHER_ACCOUNT],
        ["um", NUMBER, ACCOUNT],
    ]


async def test_the_list_shows_suspended_channels(url: str) -> None:
    assert add(url, TWILIO_AUTH_TOKEN=TOKENS[0]).code == 0
    async with Database(url, role=Role.SYSTEM, size=1) as system, system.statement() as tx:
        await suspension.suspend(tx, await channel_id(url), "twilio 20003", datetime(2026, 5, 4, 12, 30, tzinfo=UTC))
    listed = recado("channels", "list", SYSTEM_DATABASE_URL=url)
    assert listed.out.splitlines()[0].endswith("suspended since 2026-05-04 12:30 UTC: twilio 20003")


async def test_an_invalid_channel_is_refused(url: str) -> None:
    for arguments, changes, reason in REFUSED:
        done = add(url, *arguments, TWILIO_AUTH_TOKEN=TOKENS[0], **changes)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: ")
        assert reason in done.err
    assert recado("channels", "list", SYSTEM_DATABASE_URL=url).out == ""


async def test_another_tenants_number_is_not_given_away(url: str) -> None:
    assert add(url, TWILIO_AUTH_TOKEN=TOKENS[0]).code == 0
    stolen = add(url, tenant="dois", TWILIO_AUTH_TOKEN=TOKENS[1])
    assert (stolen.code, stolen.out) == (1, "")
    assert "belongs to another tenant" in stolen.err
    assert await token(url) == TOKENS[0]


async def test_without_anybody_to_type_the_token_nothing_is_added(url: str) -> None:
    assert add(url).code == 1
    assert recado("channels", "list", SYSTEM_DATABASE_URL=url).out == ""
