"""Published versions: a conversation stays on the one it opened with; new ones get the current one."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from app.assistants import service as assistants
from app.assistants.service import Assistants
from app.db import Database
from app.errors import NotFoundError
from manifest.loader import MAIN, InvalidFiles
from tests.app.assistants.variants import GOODBYE, WITHOUT_AGENDA
from tests.app.turns.drivers import ask, decide, drain, replies_to
from tests.platform import TENANT, Platform, tenant_manifest

OTHER_CONTACT = "whatsapp:+5511990000002"


@pytest.fixture
async def versions(platform: Platform) -> AsyncIterator[Assistants]:
    """What a worker keeps of them."""
    async with Database(platform.settings.database_url, size=4) as db:
        yield Assistants(db)


async def published(platform: Platform) -> list[int]:
    """Every version's id."""
    return [row["id"] for row in await platform.rows("select id from assistant_versions order by id")]


async def current(platform: Platform) -> int:
    """The one that new conversations get."""
    return int((await platform.row("select version_id from assistants"))["version_id"])


async def tenant(platform: Platform) -> UUID:
    """The tests' tenant."""
    return UUID(str((await platform.row("select id from tenants where slug = %(slug)s", slug=TENANT))["id"]))


# Conversations.


async def test_open_conversations_keep_their_version(platform: Platform) -> None:
    await ask(platform, "oi")
    await platform.republish(*GOODBYE)
    await ask(platform, "oi", contact=OTHER_CONTACT)
    assert await replies_to(platform, "tchau") == ["Até logo!"]
    assert await replies_to(platform, "tchau", OTHER_CONTACT) == ["Tchau da versão dois!"]
    first, second = await published(platform)
    turns = await platform.rows("select version_id as v, count(*) as n from turns group by 1 order by 1")
    assert turns == [{"v": first, "n": 2}, {"v": second, "n": 2}]


async def test_the_next_conversation_gets_the_current_version(
    platform: Platform,
) -> None:
    await replies_to(platform, "tchau")
    await platform.republish(*GOODBYE)
    assert await replies_to(platform, "tchau") == ["Tchau da versão dois!"]


async def test_a_waiting_conversation_resumes_on_its_version(platform: Platform) -> None:
    """Though the current one has neither its agent, nor its queue, nor its goodbye."""
    await replies_to(platform, "quero marcar")
    await replies_to(platform, "socorro")
    files = dict(tenant_manifest().files)
    await platform.publish(TENANT, {**files, MAIN: WITHOUT_AGENDA})
    await decide(platform, "return", "Já vou.")
    await drain(platform)
    (reply,) = await ask(platform, "quero marcar agora")
    assert reply.startswith("marcado sala@")
    assert await replies_to(platform, "tchau") == ["Até logo!"]


async def test_going_back_is_publishing_the_older_version(platform: Platform) -> None:
    await platform.republish(*GOODBYE)
    first, second = await published(platform)
    assert await current(platform) == second
    await platform.publish(TENANT, tenant_manifest().files)
    assert await current(platform) == first
    assert await published(platform) == [first, second]
    assert await replies_to(platform, "tchau") == ["Até logo!"]


async def test_publishing_the_same_again_changes_nothing(platform: Platform) -> None:
    before = await platform.row("select id, published_at from assistant_versions")
    platform.clock.advance(60)
    await platform.publish(TENANT, tenant_manifest().files)
    assert await platform.row("select id, published_at from assistant_versions") == before


async def test_a_version_that_does_not_load_yields_to_the_current(platform: Platform) -> None:
    """As after an upgrade that is stricter than the one that published it."""
    assert platform.engine is not None
    await ask(platform, "oi")
    await platform.engine.close()
    await platform.rows("update assistant_versions set files = '{}', form = '{}'")
    await platform.republish(*GOODBYE)
    async with platform.worker() as upgraded:
        await platform.say("tchau")
        for row in await platform.rows("select tenant_id, id from conversations"):
            upgraded.nudge(row["tenant_id"], row["id"])
        assert await platform.replies(2) == ["eco: oi", "Tchau da versão dois!"]


# What is loaded.


async def test_a_version_is_what_was_published(platform: Platform, versions: Assistants) -> None:
    loaded = await versions.version(await tenant(platform), await current(platform))
    assert loaded == tenant_manifest().compiled
    assert loaded.content_hash == (await platform.row("select content_hash as h from assistant_versions"))["h"]


async def test_a_version_is_read_once_even_when_many_ask_at_once(platform: Platform, versions: Assistants) -> None:
    tenant_id, version_id = await tenant(platform), await current(platform)
    loaded = await asyncio.gather(*(versions.version(tenant_id, version_id) for _ in range(20)))
    assert all(each is loaded[0] for each in loaded)
    assert await versions.version(tenant_id, version_id) is loaded[0]


async def test_a_cancelled_load_does_not_fail_other_waiters(platform: Platform, versions: Assistants) -> None:
    tenant_id, version_id = await tenant(platform), await current(platform)
    impatient = asyncio.create_task(versions.version(tenant_id, version_id))
    patient = asyncio.create_task(versions.version(tenant_id, version_id))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).assistant.name == "Clínica de Testes"


async def test_a_version_that_could_not_be_read_is_asked_for_again(platform: Platform, versions: Assistants) -> None:
    tenant_id, version_id = await tenant(platform), await current(platform)
    good = (await platform.row("select files::text as text from assistant_versions"))["text"]
    await platform.rows("update assistant_versions set files = '{}', form = '{}'")
    with pytest.raises(InvalidFiles):
        await versions.version(tenant_id, version_id)
    await platform.rows("update assistant_versions set files = %(good)s::text::jsonb", good=good)
    assert (await versions.version(tenant_id, version_id)).assistant.agents


async def test_no_tenant_gets_the_version_of_another(platform: Platform, versions: Assistants) -> None:
    await platform.republish(*GOODBYE, slug="outra")
    other = (await platform.row("select id from tenants where slug = 'outra'"))["id"]
    mine = await tenant(platform)
    version_id = (await platform.row("select version_id from assistants where tenant_id = %(t)s", t=mine))["version_id"]
    for _ in range(2):
        with pytest.raises(NotFoundError):
            await versions.version(other, version_id)
        await versions.version(mine, version_id)


async def test_a_tenant_that_has_published_nothing_is_told_how(platform: Platform) -> None:
    with pytest.raises(NotFoundError, match="recado tenants publish"):
        await assistants.current(platform.system, UUID(int=7))


async def test_the_tenant_list_shows_versions_and_open_counts(platform: Platform) -> None:
    await ask(platform, "oi")
    await ask(platform, "oi", contact=OTHER_CONTACT)
    await replies_to(platform, "tchau")
    await platform.rows("insert into tenants (slug, name) values ('nova', 'Nova')")
    mine, new = await assistants.published(platform.system)
    assert (mine.slug, mine.name, mine.live) == (TENANT, "Clínica de Testes", 1)
    assert mine.content_hash == tenant_manifest().content_hash
    assert (new.slug, new.content_hash, new.published_at, new.live) == ("nova", None, None, 0)
