"""Provide a second worker, and tool runners."""

from collections.abc import AsyncIterator

import pytest

from app.db import Database
from app.turns.claim import Claim
from tests.app.turns.drivers import OtherWorker, ask
from tests.app.turns.runners import CALL, Runners
from tests.platform import Platform
from tools.ports import JSON, ToolContext


@pytest.fixture
async def other(platform: Platform) -> AsyncIterator[OtherWorker]:
    """Yield another worker. The test ends after it has finished its turns."""
    worker = OtherWorker(platform)
    yield worker
    await worker.wait_until_ended()


@pytest.fixture
async def runners(platform: Platform) -> AsyncIterator[Runners]:
    """Yield runners for the second turn of a conversation."""
    await ask(platform, "oi")
    row = await platform.row("select id, tenant_id, channel_id, contact_id, version_id, turn, epoch from conversations")
    claim = Claim(
        **row,
        contact_address="",
        contact_name=None,
        contact_tags=[],
        status="bot",
        attempts=1,
        owner=1,
        claimed_at=platform.clock(),
        pending=0,
        inbox=[],
        interrupts=[],
        checkpoints=[],
    )
    async with Database(platform.settings.database_url, size=4) as db:
        runners = Runners(db, claim, platform.settings.secret_key)

        async def free(context: ToolContext) -> JSON:
            runners.slots = [slot.id for slot in await context.appointments.free_slots(context.now.date(), 7, 20)]
            return {}

        await runners.runner().read(CALL, free)
        yield runners
