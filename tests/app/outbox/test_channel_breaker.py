"""A channel whose credentials are refused is suspended: its rows wait, and everything else goes on."""

from typing import Any

import pytest

from app.channels.base import Credentials
from app.crypto import SecretBox
from app.identity import service as identity
from app.outbox import queries
from tests.app.channels.scripted_twilio import ScriptedAnswer, ScriptedTwilio, refused
from tests.app.outbox import outbox_rows as rows
from tests.platform import ACCOUNT_SID, CONTACT, NUMBER, TENANT, Log, Platform

GOOD = ScriptedAnswer(200, {"messages": [], "page_size": 1})
CONTACTS = [f"whatsapp:+55119950000{n:02}" for n in range(6)]
OTHER_NUMBER, OTHER_ACCOUNT = "whatsapp:+551140000002", "AC" + "c" * 32


async def channel(platform: Platform) -> dict[str, Any]:
    """Return the tenant's first channel."""
    return (await platform.rows("select * from channels order by created_at"))[0]


async def until_suspended(platform: Platform, suspended: bool) -> None:
    async def there() -> bool:
        return ((await channel(platform))["suspended_at"] is not None) is suspended

    await platform.until(there, "the channel to be suspended" if suspended else "the channel to be resumed")


async def until_held(platform: Platform, made: list[int]) -> None:
    async def all_held() -> bool:
        return all([(await rows.row(platform, outbox_id))["held_for"] for outbox_id in made])

    await platform.until(all_held, "the rows to be held")


async def suspended(platform: Platform, twilio: ScriptedTwilio) -> list[int]:
    """Return held rows of several contacts. The post of the first was refused."""
    twilio.listing = refused(401, 20003)
    twilio.answers.append(refused(401, 20003))
    made = await rows.queue(platform, await rows.conversation(platform, CONTACT), "um")
    await until_held(platform, made)
    for contact in CONTACTS:
        made += await rows.queue(platform, await rows.conversation(platform, contact), contact)
    await until_held(platform, made)
    return made


@pytest.mark.parametrize("answer", [refused(401, 20003), refused(403, 20003), refused(403, 20005)])
async def test_a_refused_token_suspends_the_channel(platform: Platform, log: Log, answer: ScriptedAnswer) -> None:
    async with rows.scripted_worker(platform) as twilio:
        twilio.listing = answer
        twilio.answers.append(answer)
        made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
        await until_held(platform, made[:1])
        found = await channel(platform)
        assert found["suspended_for"] == f"twilio {answer.body['code']}"
        assert [line["level"] for line in log.lines if line["event"] == "channel suspended"] == ["error"]
        row = await rows.row(platform, made[0])
        assert (row["status"], row["attempts"], row["due_at"]) == ("retrying", 0, None)


async def test_probes_are_no_messages_and_come_ever_later(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        made = await suspended(platform, twilio)
        pauses = []
        for refusals in range(1, 6):

            async def probed(refusals: int = refusals) -> bool:
                return bool((await channel(platform))["refusals"] >= refusals)

            await platform.until(probed, f"probe {refusals}")
            pauses.append(round(((await channel(platform))["check_at"] - platform.clock()).total_seconds()))
            platform.clock.advance(pauses[-1] + 1)
        assert all(low - 2 <= pause <= low for low, pause in zip([5, 15, 60, 300, 300], pauses, strict=True)), pauses
        assert twilio.posted == ["um"]
        assert {(await rows.row(platform, outbox_id))["attempts"] for outbox_id in made} == {0}


async def test_a_good_token_resumes_the_channel_and_its_rows(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        made = await suspended(platform, twilio)
        twilio.listing = GOOD
        platform.clock.advance(6)
        for outbox_id in made:
            row = await rows.until(platform, outbox_id, "sent", hurry=0.2)
            assert row["attempts"] == 1
        assert sorted(twilio.posted[1:]) == sorted(["um", *CONTACTS])
        found = await channel(platform)
        assert (found["suspended_at"], found["suspended_for"], found["refusals"]) == (None, None, 0)


async def test_a_channel_that_lists_but_refuses_posts_pauses_longer(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        await suspended(platform, twilio)
        twilio.listing = GOOD
        twilio.answers.append(refused(403, 20003))
        platform.clock.advance(6)
        await until_suspended(platform, False)
        await until_suspended(platform, True)
        assert (await channel(platform))["refusals"] == 2
        assert len(twilio.posted) == 2, "one row is released before the others"


async def test_a_new_token_is_probed_at_once(platform: Platform) -> None:
    await change_token_at_twilio(platform, "a-newer-token")
    (outbox_id,) = await rows.queue(platform, await rows.conversation(platform), "um")
    await until_suspended(platform, True)
    await set_token(platform, "a-newer-token")
    await rows.until(platform, outbox_id, "sent", "delivered", hurry=0.1)
    assert await platform.delivered() == ["um"]


async def test_a_worker_that_knows_an_old_token_suspends_nothing(platform: Platform, log: Log) -> None:
    (first,) = await rows.queue(platform, await rows.conversation(platform), "um")
    await rows.until(platform, first, "sent", "delivered")
    await change_token_at_twilio(platform, "a-newer-token")
    await set_token(platform, "a-newer-token")
    (second,) = await rows.queue(platform, await rows.conversation(platform), "dois")
    assert (await rows.until(platform, second, "sent", "delivered"))["attempts"] == 1
    assert (await channel(platform))["suspended_at"] is None
    assert "channel suspended" not in log.text


async def test_other_channels_go_on(platform: Platform) -> None:
    await platform.add_channel(TENANT, OTHER_NUMBER, OTHER_ACCOUNT, "the-other-token")
    await change_token_at_twilio(platform, "a-newer-token")
    held = await rows.queue(platform, await rows.conversation(platform), "um")
    await until_held(platform, held)
    made = await platform.row("select id, tenant_id from channels where address = %(address)s", address=OTHER_NUMBER)
    conversation = await rows.conversation(platform, CONTACTS[0])
    await platform.rows(
        """update contacts set channel_id = %(channel)s
           where id = (select contact_id from conversations where id = %(id)s)""",
        channel=made["id"],
        id=conversation,
    )
    (free,) = await rows.queue(platform, conversation, "dois")
    await rows.until(platform, free, "sent", "delivered")
    assert (await rows.row(platform, held[0]))["held_for"] is not None


async def test_an_unknown_row_is_looked_up_when_the_channel_is_good(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        twilio.answers.append(refused(500, 20500))
        twilio.listing = refused(401, 20003)
        (outbox_id,) = await rows.queue(platform, await rows.conversation(platform), "um")
        await rows.until(platform, outbox_id, "unknown")
        platform.clock.advance(20)
        await until_held(platform, [outbox_id])
        assert (await rows.row(platform, outbox_id))["status"] == "unknown"
        twilio.listing = GOOD
        platform.clock.advance(6)
        assert (await rows.until(platform, outbox_id, "sent", hurry=0.2))["attempts"] == 2
        assert twilio.posted == ["um", "um"]


async def test_metrics_show_suspended_channels_and_clock_skew(platform: Platform) -> None:
    assert "recado_channels_suspended 0" in await metrics(platform)
    platform.clock.advance(60)
    await change_token_at_twilio(platform, "a-newer-token")
    await rows.queue(platform, await rows.conversation(platform), "um")
    await until_suspended(platform, True)
    assert "recado_channels_suspended 1" in await metrics(platform)

    async def skew_shown() -> bool:
        lines = [line for line in (await metrics(platform)).splitlines() if line.startswith("recado_provider_clock")]
        return any(abs(float(line.rpartition(" ")[2]) + 60) < 3 for line in lines)

    await platform.until(skew_shown, "the clock skew to be shown")


async def metrics(platform: Platform) -> str:
    async with platform.http.get(f"{platform.settings.public_url}/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


async def change_token_at_twilio(platform: Platform, token: str) -> None:
    number = {"account_sid": ACCOUNT_SID, "address": NUMBER, "webhook_url": f"{platform.settings.public_url}/x"}
    await platform.control(platform.servers.twilio, "numbers", number | {"auth_token": token})


async def set_token(platform: Platform, token: str) -> None:
    box = SecretBox(platform.settings.secret_key)
    await identity.add_channel(platform.system, box, TENANT, Credentials(ACCOUNT_SID, token), NUMBER)


async def test_one_row_is_released_whatever_the_plan(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        await suspended(platform, twilio)
        async with platform.system.transaction() as tx:
            for setting in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
                await tx.run("select set_config(%(name)s, 'off', true)", {"name": f"enable_{setting}"})
            assert await queries.release_held(tx, (await channel(platform))["id"], platform.clock(), 1) == 1
