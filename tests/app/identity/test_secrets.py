"""The tenants' own secrets: sealed at rest, each tenant's apart, and only those that a tool names."""

import pytest

from app.crypto import SecretBox, new_secret_key
from app.db import Database
from app.errors import ConfigurationError, NotFoundError
from app.identity import secrets
from app.identity.secrets import Secrets
from tests.platform import TENANT, Platform, tenant_manifest

VALUE = "um segredo, com ção"


async def test_a_secret_is_sealed_replaced_and_removed(platform: Platform) -> None:
    box = SecretBox(platform.settings.secret_key)
    tenant = await platform.row("select id from tenants where slug = %(slug)s", slug=TENANT)
    for name in ("LOJA", "OUTRA"):
        await secrets.keep(platform.system, box, TENANT, name, VALUE, platform.clock)
    stored = [bytes(row["sealed"]) for row in await platform.rows("select sealed from tenant_secrets")]
    assert len(stored) == len(set(stored)) == 2
    assert all(VALUE.encode() not in sealed for sealed in stored)
    assert [row.name for row in await secrets.known(platform.system, TENANT)] == ["LOJA", "OUTRA"]
    async with Database(platform.settings.database_url, size=1) as db:
        held = Secrets(db, box)
        assert await held.of(tenant["id"], ["LOJA", "FALTA"]) == {"LOJA": VALUE}
        assert await held.of(tenant["id"], []) == {}
        await secrets.keep(platform.system, box, TENANT, "LOJA", "nova", platform.clock)
        assert await held.of(tenant["id"], ["LOJA"]) == {"LOJA": "nova"}
        await secrets.forget(platform.system, TENANT, "LOJA")
        assert await held.of(tenant["id"], ["LOJA", "OUTRA"]) == {"OUTRA": VALUE}
        with pytest.raises(ConfigurationError):
            await Secrets(db, SecretBox(new_secret_key())).of(tenant["id"], ["OUTRA"])


async def test_a_neighbour_has_secrets_of_its_own(platform: Platform) -> None:
    box = SecretBox(platform.settings.secret_key)
    await platform.publish("vizinha", tenant_manifest().files)
    await secrets.keep(platform.system, box, TENANT, "LOJA", VALUE, platform.clock)
    tenants = {row["slug"]: row["id"] for row in await platform.rows("select slug, id from tenants")}
    async with Database(platform.settings.database_url, size=1) as db:
        assert await Secrets(db, box).of(tenants["vizinha"], ["LOJA"]) == {}
        async with db.statement(tenants["vizinha"]) as tx:
            assert await tx.all(dict, "select name from tenant_secrets", {}) == []


async def test_what_does_not_exist_is_said(platform: Platform) -> None:
    box = SecretBox(platform.settings.secret_key)
    with pytest.raises(NotFoundError, match="there is no tenant 'ninguem'"):
        await secrets.keep(platform.system, box, "ninguem", "A", "x", platform.clock)
    with pytest.raises(NotFoundError, match="clinica has no secret FALTA"):
        await secrets.forget(platform.system, TENANT, "FALTA")
