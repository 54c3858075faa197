"""What waits for an operator: of which tenant, in which order, and for how long."""

import pytest

from app.conversations import service as conversations
from app.conversations.queries import PendingInterrupt
from app.errors import NotFoundError
from tests.app.turns.drivers import decide, drain, replies_to
from tests.platform import ACCOUNT_SID, CONTACT, TENANT, Platform, tenant_manifest

OTHER_CONTACT, NEIGHBOURS_CONTACT = "whatsapp:+5511990000002", "whatsapp:+5511990000003"
NEIGHBOUR, NEIGHBOURS_NUMBER = "vizinha", "whatsapp:+551140000002"


async def pending(platform: Platform, tenant: str | None = None) -> list[PendingInterrupt]:
    """What an operator is shown."""
    return await conversations.pending_interrupts(platform.system, tenant)


async def hand_over(platform: Platform, contact: str, text: str = "socorro", **fields: str) -> None:
    """The contact's conversation comes to wait for an operator, a minute after whatever was before."""
    platform.clock.advance(60)
    await platform.say(text, contact=contact, **fields)
    await drain(platform)


async def test_what_waits_is_told_with_whom_and_why(platform: Platform) -> None:
    assert await pending(platform) == []
    await replies_to(platform, "socorro")
    (waiting,) = await pending(platform)
    row = await platform.row("select i.*, t.slug from interrupts i join tenants t on t.id = i.tenant_id")
    assert (waiting.id, waiting.tenant_id, waiting.conversation_id) == (
        row["id"],
        row["tenant_id"],
        row["conversation_id"],
    )
    assert (waiting.tenant, waiting.kind, waiting.contact) == (TENANT, "handoff", "Ana Pérez")
    assert (waiting.payload, waiting.created_at, waiting.decided) == (row["payload"], row["created_at"], False)
    assert waiting.payload["reason"] == "pediu socorro"
    assert await conversations.pending_interrupt(platform.system, waiting.id) == waiting


async def test_the_oldest_comes_first_and_each_tenant_has_its_own(platform: Platform) -> None:
    await platform.publish(NEIGHBOUR, tenant_manifest().files)
    await platform.add_channel(NEIGHBOUR, NEIGHBOURS_NUMBER, ACCOUNT_SID)
    await hand_over(platform, OTHER_CONTACT, ProfileName="Bia")
    await hand_over(platform, NEIGHBOURS_CONTACT, ProfileName="Caio", To=NEIGHBOURS_NUMBER)
    await hand_over(platform, CONTACT, ProfileName="Ana")
    assert [(each.tenant, each.contact) for each in await pending(platform)] == [
        (TENANT, "Bia"),
        (NEIGHBOUR, "Caio"),
        (TENANT, "Ana"),
    ]
    assert [each.contact for each in await pending(platform, TENANT)] == ["Bia", "Ana"]
    assert [each.contact for each in await pending(platform, NEIGHBOUR)] == ["Caio"]


async def test_who_has_no_name_is_told_by_address(platform: Platform) -> None:
    parameters = [pair for pair in platform.webhook("socorro") if pair[0] != "ProfileName"]
    assert (await platform.post(parameters))[0] == 200
    await drain(platform)
    (waiting,) = await pending(platform)
    assert waiting.contact == CONTACT


async def test_a_decision_is_pending_until_a_worker_takes_it(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    assert platform.engine is not None
    await platform.engine.close()
    await decide(platform, "return")
    (decided,) = await pending(platform)
    assert decided.decided
    async with platform.worker() as platform.engine:
        await drain(platform)
    assert await pending(platform) == []
    with pytest.raises(NotFoundError, match=f"no interrupt {decided.id} is pending"):
        await conversations.pending_interrupt(platform.system, decided.id)


async def test_an_unknown_tenant_is_an_error_and_not_an_empty_list(platform: Platform) -> None:
    with pytest.raises(NotFoundError, match="ninguem"):
        await pending(platform, "ninguem")
    with pytest.raises(NotFoundError, match="recado interrupts list"):
        await conversations.pending_interrupt(platform.system, "ninguem")
