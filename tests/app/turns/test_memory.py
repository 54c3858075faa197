"""Facts that agents keep about a contact."""

import asyncio

from tests.app.turns.drivers import replies_to
from tests.cli.shell import recado
from tests.platform import CONTACT, TENANT, Platform

OTHER_CONTACT = "whatsapp:+5511990000002"
FACTS = ("memory: {window: 12}", "memory: {window: 12, facts: true}")


async def facts(platform: Platform) -> list[str]:
    """Return the contact's facts."""
    row = await platform.row("select facts from contacts where address = %(address)s", address=CONTACT)
    return list(row["facts"])


async def told(platform: Platform) -> str:
    """Return the last system prompt."""
    asked = await platform.control(platform.servers.model, "requests?limit=1000")
    systems = [request["messages"][0]["text"] for request in asked["requests"]]
    return str([system for system in systems if "You write for" in system][-1])


async def test_facts_are_in_every_agents_next_prompt(platform: Platform) -> None:
    await platform.republish(*FACTS)
    assert await replies_to(platform, "lembre: prefere manhãs") == ["anotado"]
    assert await facts(platform) == ["prefere manhãs"]
    await replies_to(platform, "tchau")
    await replies_to(platform, "quero marcar")
    assert 'Known of the contact from earlier conversations: ["prefere manhãs"]' in await told(platform)
    await replies_to(platform, "oi", OTHER_CONTACT)
    assert "Known of the contact" not in await told(platform)


async def test_a_fact_is_kept_once_and_replaces_an_outdated_one(platform: Platform) -> None:
    await platform.republish(*FACTS)
    for text in ("lembre: mora em Santos", "lembre: tem um cão", "lembre: mora em Santos"):
        await replies_to(platform, text)
    assert await facts(platform) == ["tem um cão", "mora em Santos"]
    await replies_to(platform, "lembre: mora em Recife; esqueça: mora em Santos")
    assert await facts(platform) == ["tem um cão", "mora em Recife"]


async def test_what_was_kept_is_told_no_more_when_that_is_switched_off(platform: Platform) -> None:
    await platform.republish(*FACTS)
    await replies_to(platform, "lembre: prefere manhãs")
    await replies_to(platform, "tchau")
    await platform.republish(FACTS[0], FACTS[0])
    await replies_to(platform, "quero marcar")
    assert "Known of the contact" not in await told(platform)


async def test_only_the_newest_facts_are_kept(platform: Platform) -> None:
    await platform.republish(*FACTS)
    await platform.say("oi")
    await platform.rows("update contacts set facts = array(select 'fato ' || n from generate_series(1, 20) n)")
    await replies_to(platform, "lembre: o mais novo")
    known = await facts(platform)
    assert (len(known), known[0], known[-1]) == (20, "fato 2", "o mais novo")


async def test_without_the_setting_nothing_is_kept(platform: Platform) -> None:
    await replies_to(platform, "lembre: prefere manhãs")
    assert await facts(platform) == []


async def test_an_operator_sees_what_is_known_and_has_it_forgotten(platform: Platform) -> None:
    await platform.republish(*FACTS)
    await replies_to(platform, "lembre: prefere manhãs")
    arguments = ("contacts", "facts", "--tenant", TENANT, "--address", CONTACT)

    async def command(*more: str) -> str:
        environment = platform.urls.processes
        return (await asyncio.to_thread(lambda: recado(*arguments, *more, **environment))).out

    assert await command() == f"{CONTACT}:\n  prefere manhãs\n"
    assert await command("--forget") == f"{CONTACT}: nothing is known\n"
    assert await facts(platform) == []
