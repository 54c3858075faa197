"""Tenants and contacts that have reached a limit hand over to humans."""

from app.turns.limits import REFRESH_INTERVAL
from tests.app.turns.drivers import decide, drain, models_asked, pending_interrupt, replies_to
from tests.platform import ACCOUNT_SID, Platform, tenant_manifest

NEIGHBOUR, NEIGHBOURS_NUMBER, NEIGHBOURS_CONTACT = "vizinha", "whatsapp:+551140000002", "whatsapp:+5511990000003"

HANDOFF = "Vou chamar uma pessoa."
DAY = 86_400


def limited(limits: str) -> tuple[str, str]:
    """Return the limits as YAML."""
    return "memory: {window: 12}", f"memory: {{window: 12}}\nlimits: {limits}"


async def test_a_daily_limit_stops_model_calls_until_the_next_day(platform: Platform) -> None:
    await platform.republish(*limited("{turns_per_day: 2}"))
    assert await replies_to(platform, "um") == ["eco: um"]
    assert await replies_to(platform, "dois") == ["eco: dois"]
    before = await models_asked(platform)
    assert await replies_to(platform, "três") == [HANDOFF]
    assert await models_asked(platform) == before
    assert (await pending_interrupt(platform))["payload"]["reason"] == "limit reached: 2 turns a day"
    await decide(platform, "return", "Posso ajudar?")
    await drain(platform)
    assert await replies_to(platform, "quatro") == [HANDOFF]
    await decide(platform, "return", "Até amanhã.")
    await drain(platform)
    platform.clock.advance(DAY)
    assert await replies_to(platform, "cinco") == ["eco: cinco"]


async def test_what_other_workers_have_spent_counts(platform: Platform) -> None:
    await platform.republish(*limited("{turns_per_day: 2}"))
    await replies_to(platform, "um")
    async with platform.worker() as other:
        assert platform.engine is not None
        await platform.engine.close()
        platform.engine = other
        await replies_to(platform, "dois")
        assert await replies_to(platform, "três") == [HANDOFF]


async def test_after_so_many_tokens_of_a_month_humans_go_on(platform: Platform) -> None:
    await platform.republish(*limited("{model_tokens_per_month: 1k}"))
    await replies_to(platform, "um")
    row = await platform.row("select sum(input_tokens + output_tokens) as tokens from usage_ledger")
    assert 0 < row["tokens"] < 1000
    await platform.rows("update usage_ledger set input_tokens = 300, output_tokens = 200")
    platform.clock.advance(2 * REFRESH_INTERVAL)
    assert await replies_to(platform, "dois") == [HANDOFF]
    assert (await pending_interrupt(platform))["payload"]["reason"] == "limit reached: 1000 model tokens a month"


async def test_a_neighbours_turns_do_not_count(platform: Platform) -> None:
    await platform.publish(NEIGHBOUR, tenant_manifest().files)
    await platform.add_channel(NEIGHBOUR, NEIGHBOURS_NUMBER, ACCOUNT_SID)
    for text in ("um", "dois", "três"):
        await platform.say(text, contact=NEIGHBOURS_CONTACT, To=NEIGHBOURS_NUMBER)
        await drain(platform)
    await platform.republish(*limited("{turns_per_day: 1}"))
    assert await replies_to(platform, "um") == ["eco: um"]
    assert await replies_to(platform, "dois") == [HANDOFF]


# One contact, who may be a program that answers whatever it gets.


BRAKE = "limit reached: 6 turns of one contact in an hour"


async def test_a_contact_that_never_stops_goes_to_a_human(platform: Platform) -> None:
    await platform.republish(*limited("{contact_turns_per_hour: 6}"))
    for number in range(6):
        assert await replies_to(platform, f"oi {number}") == [f"eco: oi {number}"]
    before = await models_asked(platform)
    assert await replies_to(platform, "oi") == [HANDOFF]
    assert (await pending_interrupt(platform))["payload"]["reason"] == BRAKE
    assert await replies_to(platform, "oi") == []
    assert await models_asked(platform) == before
    assert await replies_to(platform, "oi", contact=NEIGHBOURS_CONTACT) == ["eco: oi"]


async def test_an_hour_later_the_assistant_answers_again(platform: Platform) -> None:
    await platform.republish(*limited("{contact_turns_per_hour: 6}"))
    for number in range(6):
        await replies_to(platform, f"oi {number}")
    platform.clock.advance(3601)
    assert await replies_to(platform, "oi") == ["eco: oi"]


async def test_goodbyes_of_two_programs_end(platform: Platform) -> None:
    """Each goodbye closes a conversation, and the answer to it opens the next one."""
    await platform.republish(*limited("{contact_turns_per_hour: 6}"))
    answers = [await replies_to(platform, "tchau") for _ in range(9)]
    assert answers == [["Até logo!"]] * 6 + [[HANDOFF], [], []]
    assert len(await platform.rows("select 1 from conversations")) == 7


async def test_turns_of_a_contact_at_other_workers_count(platform: Platform) -> None:
    await platform.republish(*limited("{contact_turns_per_hour: 6}"))
    for number in range(5):
        await replies_to(platform, f"oi {number}")
    async with platform.worker() as other:
        assert platform.engine is not None
        await platform.engine.close()
        platform.engine = other
        assert await replies_to(platform, "um") == ["eco: um"]
        assert await replies_to(platform, "dois") == [HANDOFF]
