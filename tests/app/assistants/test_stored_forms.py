"""A worker loads the stored form of a version, in the order of its files, and makes it when it is missing."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from app.assistants.service import Assistants
from app.db import app_database
from tests.platform import Platform, tenant_manifest


@pytest.fixture
async def versions(platform: Platform) -> AsyncIterator[Assistants]:
    """The versions as a worker loads them that has just started."""
    async with app_database(platform.settings, size=2) as db:
        yield Assistants(db)


async def ids(platform: Platform) -> tuple[UUID, int]:
    row = await platform.row("select tenant_id, version_id from assistants")
    return row["tenant_id"], row["version_id"]


FORM = "select form from assistant_versions"


async def test_a_published_version_has_its_form(platform: Platform) -> None:
    assert (await platform.row(FORM))["form"] == tenant_manifest().form_text


async def test_a_form_keeps_the_order_of_the_file(platform: Platform, versions: Assistants) -> None:
    found = (await versions.version(*await ids(platform))).assistant
    for name in ("agents", "tools"):
        assert list(getattr(found, name)) == list(getattr(tenant_manifest().assistant, name))


async def test_files_are_not_read_when_there_is_a_form(platform: Platform, versions: Assistants) -> None:
    await platform.rows("update assistant_versions set files = '{}'")
    assert await versions.version(*await ids(platform)) == tenant_manifest().compiled


@pytest.mark.parametrize("form", [None, "{}", '{"format": 0}'])
async def test_a_form_of_another_release_is_made_anew(
    platform: Platform, versions: Assistants, form: str | None
) -> None:
    await platform.rows("update assistant_versions set form = %(form)s", form=form)
    assert await versions.version(*await ids(platform)) == tenant_manifest().compiled
    assert (await platform.row(FORM))["form"] == tenant_manifest().form_text
