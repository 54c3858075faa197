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


async def test_a_number_is_found_as_people_write_it(platform: Platform) -> None:
    await ask(platform, "oi", contact="whatsapp:+551187654321")
    written = ["+55 11 98765-4321", "5511987654321", "(11) 98765-4321", "11 8765-4321", "whatsapp:+551187654321"]
    for number, form in enumerate(written):
        assert (await tag(platform, form, f"t{number}")).code == 0, form
    row = await platform.row("select tags from contacts where address = 'whatsapp:+551187654321'")
    assert row["tags"] == [f"t{number}" for number in range(len(written))]
    for form in ("", "11", "+1 11 98765-4321", "whatsapp:", "ana"):
        assert (await tag(platform, form, "vip")).code == 1, form
