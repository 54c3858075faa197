"""`recado conversations`: what operators do to a conversation."""

import asyncio
from uuid import uuid4

from tests.app.turns.drivers import ask
from tests.cli.shell import Done, recado
from tests.platform import Platform


async def conversations(platform: Platform, *arguments: str) -> Done:
    environment = platform.urls.processes
    return await asyncio.to_thread(lambda: recado("conversations", *arguments, **environment))


async def test_one_is_taken_over_answered_and_closed(platform: Platform) -> None:
    await ask(platform, "oi")
    found = str((await platform.row("select id from conversations"))["id"])
    refused = await conversations(platform, "reply", found, "Olá")
    assert (refused.code, "take it over first" in refused.err) == (1, True)
    assert (await conversations(platform, "take-over", found, "--operator", "ana")).out == f"taken over: {found}\n"
    assert (await conversations(platform, "reply", found, "Olá")).out == f"queued: {found}\n"
    assert await platform.replies(2) == ["eco: oi", "Olá"]
    assert (await conversations(platform, "close", found)).out == f"closed: {found}\n"
    assert (await platform.row("select status from conversations"))["status"] == "closed"


async def test_one_that_is_not_open_is_said_to_be(platform: Platform) -> None:
    unknown = str(uuid4())
    for arguments in (("take-over", unknown, "--operator", "ana"), ("close", unknown)):
        done = await conversations(platform, *arguments)
        assert (done.code, done.err) == (1, f"error: conversation {unknown} is not open\n")
