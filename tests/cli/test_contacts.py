"""`recado contacts`."""

import asyncio

from tests.app.turns.drivers import ask
from tests.cli.shell import Done, recado
from tests.platform import CONTACT, TENANT, Platform


async def tag(platform: Platform, address: str, *arguments: str) -> Done:
    """Runs `recado contacts tag`."""
    return await asyncio.to_thread(
        lambda: recado(
            *("contacts", "tag", "--tenant", TENANT, "--address", address, *arguments),
            SYSTEM_DATABASE_URL=platform.settings.system_database_url,
        )
    )


async def test_tags_are_given_taken_away_and_shown(platform: Platform) -> None:
    await ask(platform, "oi")
    assert (await tag(platform, CONTACT, "vip", "antiga")).out == f"{CONTACT}: antiga, vip\n"
    assert (await tag(platform, CONTACT, "--remove", "antiga")).out == f"{CONTACT}: vip\n"
    assert (await platform.row("select tags from contacts"))["tags"] == ["vip"]
    nobody = await tag(platform, "whatsapp:+5511000000000", "vip")
    assert (nobody.code, nobody.err) == (1, f"error: nobody has written to {TENANT} from whatsapp:+5511000000000\n")
