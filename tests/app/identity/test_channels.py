"""Tenants and their channels: who owns which number, and where the tokens are, and are not."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from app.channels.base import Credentials
from app.crypto import SecretBox, new_secret_key
from app.db import Database, Role
from app.errors import ConfigurationError, ConflictError, NotFoundError
from app.identity import queries
from app.identity import service as identity
from app.identity.service import Channels

ACCOUNT, OTHER_ACCOUNT = "AC" + "1" * 32, "AC" + "2" * 32
NUMBER = "whatsapp:+551140000009"
TOKENS = ["the-first-token", "the-second-token", "the-third-token"]


@dataclass
class Registry:
    """Two tenants, a box, and a fresh view of the channels for each look."""

    url: str
    system: Database
    box: SecretBox

    @property
    def channels(self) -> Channels:
        return Channels(self.system, self.box)

    async def add(self, slug: str, account: str, token: str, address: str = NUMBER) -> None:
        await identity.add_channel(self.system, self.box, slug, Credentials(account, token), address)


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[Registry]:
    async with Database(database_url, role=Role.SYSTEM, size=2) as system:
        for slug in ("um", "dois"):
            await identity.ensure_tenant(system, slug, slug.title())
        yield Registry(database_url, system, SecretBox(new_secret_key()))


async def test_a_tenant_is_made_once_and_can_be_renamed(registry: Registry) -> None:
    first = await identity.ensure_tenant(registry.system, "tres", "Três")
    again = await identity.ensure_tenant(registry.system, "tres", "Três Ltda.")
    assert (again.id, again.name) == (first.id, "Três Ltda.")
    assert (await identity.tenant(registry.system, "tres")) == again
    with pytest.raises(NotFoundError, match="quatro"):
        await identity.tenant(registry.system, "quatro")


async def test_a_channel_is_found_by_its_address_and_by_its_id(registry: Registry) -> None:
    await registry.add("um", ACCOUNT, TOKENS[0])
    (channel,) = await registry.channels.of_address(NUMBER)
    assert (channel.account_sid, channel.address, channel.auth_tokens) == (ACCOUNT, NUMBER, (TOKENS[0],))
    assert channel.credentials == Credentials(ACCOUNT, TOKENS[0])
    assert channel.tenant_id == (await identity.tenant(registry.system, "um")).id
    assert await registry.channels.by_id(channel.id) == channel
    assert await registry.channels.of_address("whatsapp:+551140000008") == []
    with pytest.raises(NotFoundError):
        await registry.channels.by_id(uuid.uuid4())


async def test_a_number_of_an_account_belongs_to_one_tenant(registry: Registry) -> None:
    await registry.add("um", ACCOUNT, TOKENS[0])
    with pytest.raises(ConflictError, match="another tenant"):
        await registry.add("dois", ACCOUNT, TOKENS[1])
    (channel,) = await registry.channels.of_address(NUMBER)
    assert channel.auth_tokens == (TOKENS[0],), "the refused tenant's token must not have been taken"


async def test_an_unknown_number_is_asked_for_once_in_a_while(registry: Registry) -> None:
    """So that a stranger's requests do not take the connections from known numbers."""
    channels, unknown = registry.channels, "whatsapp:+551140000007"
    assert await asyncio.gather(*(channels.of_address(unknown) for _ in range(50))) == [[]] * 50
    await registry.add("um", ACCOUNT, TOKENS[0], unknown)
    assert await channels.of_address(unknown) == []
    channels.REMEMBER_UNKNOWN = 0.0
    (channel,) = await channels.of_address(unknown)
    assert channel.auth_tokens == (TOKENS[0],)


async def test_only_a_known_tenant_gets_a_channel(registry: Registry) -> None:
    with pytest.raises(NotFoundError):
        await registry.add("ninguem", ACCOUNT, TOKENS[0])
    assert await registry.channels.of_address(NUMBER) == []


async def test_a_number_that_two_accounts_claim_is_two_channels(registry: Registry) -> None:
    await registry.add("um", ACCOUNT, TOKENS[0])
    await registry.add("dois", OTHER_ACCOUNT, TOKENS[1])
    found = {channel.account_sid: channel for channel in await registry.channels.of_address(NUMBER)}
    assert {sid: channel.auth_tokens for sid, channel in found.items()} == {
        ACCOUNT: (TOKENS[0],),
        OTHER_ACCOUNT: (TOKENS[1],),
    }
    assert found[ACCOUNT].tenant_id != found[OTHER_ACCOUNT].tenant_id


async def test_a_new_token_comes_first_and_the_channel_stays_the_same(registry: Registry) -> None:
    await registry.add("um", ACCOUNT, TOKENS[0])
    (before,) = await registry.channels.of_address(NUMBER)
    await registry.add("um", ACCOUNT, TOKENS[1])
    (after,) = await registry.channels.of_address(NUMBER)
    assert after.id == before.id
    assert after.credentials.auth_token == TOKENS[1]


async def test_a_remembered_channel_is_read_again_when_asked(registry: Registry) -> None:
    await registry.add("um", ACCOUNT, TOKENS[0])
    channels = registry.channels
    assert channels.age(NUMBER) == float("inf")
    await channels.of_address(NUMBER)
    await registry.add("um", ACCOUNT, TOKENS[1])
    ((remembered,), (fresh,)) = [await channels.of_address(NUMBER, fresh=fresh) for fresh in (False, True)]
    assert (remembered.auth_tokens[0], fresh.auth_tokens[0]) == (TOKENS[0], TOKENS[1])
    (now_remembered,) = await channels.of_address(NUMBER)
    assert now_remembered.auth_tokens[0] == TOKENS[1]


async def test_a_channel_survives_a_change_of_the_secret_key(registry: Registry) -> None:
    await registry.add("um", ACCOUNT, TOKENS[0])
    old, new = registry.box, new_secret_key()
    with pytest.raises(ConfigurationError):
        await Channels(registry.system, SecretBox(new)).of_address(NUMBER)
    registry.box = SecretBox(new)
    await registry.add("um", ACCOUNT, TOKENS[1])
    (channel,) = await registry.channels.of_address(NUMBER)
    assert channel.auth_tokens[0] == TOKENS[1]
    with pytest.raises(ConfigurationError):
        await Channels(registry.system, old).of_address(NUMBER)


async def test_no_table_holds_a_token_in_clear(registry: Registry) -> None:
    await registry.add("um", ACCOUNT, TOKENS[0])
    await registry.add("um", ACCOUNT, TOKENS[1])
    await registry.add("dois", OTHER_ACCOUNT, TOKENS[2])
    with psycopg.connect(registry.url) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        stored = ""
        for (table,) in tables:
            rows = connection.execute(sql.SQL("select to_jsonb(t)::text from {} t").format(sql.Identifier(table)))
            stored += "\n".join(text for (text,) in rows)
    assert NUMBER in stored
    for token in TOKENS:
        # Postgres shows bytes as hexadecimal digits.
        assert token not in stored
        assert token.encode().hex() not in stored


async def test_nothing_that_is_printed_shows_a_token(registry: Registry) -> None:
    await registry.add("um", ACCOUNT, TOKENS[0])
    channels = registry.channels
    (channel,) = await channels.of_address(NUMBER)
    shown = [repr(each) for each in (channel, channel.credentials, channels, registry.box)]
    shown += [str(channel.credentials), f"{channel}"]
    assert all(TOKENS[0] not in text for text in shown)
    async with registry.system.statement() as tx:
        listed = await queries.list_channels(tx)
    unsuspended = {"suspended_at": None, "suspended_for": None}
    assert listed == [{"slug": "um", "address": NUMBER, "account_sid": ACCOUNT, **unsuspended}]
