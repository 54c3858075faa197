"""Plans and rollbacks: what a publish changes and for whom, and the way back."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from app import broker
from app.assistants import plan as planning
from app.assistants import service as assistants
from app.assistants.changes import changes, text_diff
from app.assistants.plan import Lost, Moving, PublishPlan
from app.assistants.required_secrets import MissingSecret
from app.broker import Nudger
from app.errors import ConflictError, NotFoundError, RecadoError
from app.inbox.service import Inbox
from manifest.loader import MAIN, LoadedAssistant, load
from tests.app.assistants.variants import GOODBYE, WITHOUT_AGENDA
from tests.app.turns.drivers import ask, drain, replies_to
from tests.platform import TENANT, Platform, tenant_manifest
from tools.registry import BUILTIN

V1 = tenant_manifest()


def variant(old: str, new: str) -> LoadedAssistant:
    """The tests' tenant with a change to its YAML."""
    assert old in V1.files[MAIN]
    return load({**V1.files, MAIN: V1.files[MAIN].replace(old, new)})


def contact(number: int) -> str:
    """One of many contacts."""
    return f"whatsapp:+55119900001{number:02}"


def without_agenda() -> LoadedAssistant:
    """A version that has neither the agent, nor its tools, nor the rules."""
    return load({**V1.files, MAIN: WITHOUT_AGENDA})


def needing(*names: str) -> LoadedAssistant:
    """A version with a tool that needs secrets."""
    tool = replace(BUILTIN["find_slots"], name="consulta", secrets=frozenset(names))
    return LoadedAssistant(
        replace(V1.assistant, tools={**BUILTIN, "consulta": tool}), {**V1.files, MAIN: "consulta: 1"}
    )


async def plan(platform: Platform, loaded: LoadedAssistant, slug: str = TENANT) -> PublishPlan:
    """What publishing it would change."""
    return await planning.plan(platform.system, slug, loaded)


async def publish(platform: Platform, loaded: LoadedAssistant) -> str:
    """Publishes a version of the tests' tenant, and returns its hash."""
    await assistants.publish(platform.system, TENANT, loaded, platform.clock)
    return loaded.content_hash


async def rollback(platform: Platform, version: str | None = None) -> str:
    """Goes back, and returns the hash of what is current then."""
    return (await assistants.rollback(platform.system, TENANT, platform.clock, version)).new


async def current(platform: Platform) -> str:
    """The hash of the version that new conversations get."""
    row = await platform.row("select v.content_hash from assistants a join assistant_versions v on v.id = a.version_id")
    return str(row["content_hash"])


# What changes.


def lines(old: str, new: str) -> list[str]:
    """The plan's lines for a change of the YAML."""
    return [str(change) for change in changes(V1.files, variant(old, new).files)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("idle: 23h", "idle: 12h", ["~ lifecycle.idle: 23h → 12h"]),
        ("  idle: 23h\n", "", ["- lifecycle.idle: 23h"]),
        ("model: test-model", "model: other", ["~ models.default.model: test-model → other"]),
        ("[request_human]", "[request_human, find_slots]", ["+ agents.duvidas.tools: find_slots"]),
        (
            '[atendente, "falar com alguém"]',
            '["falar com alguém", atendente]',
            ["~ routing.rules[0].match: in another order: [falar com alguém, atendente]"],
        ),
        ("{match: [tchau], to: close}", "{match: [tchau], to: handoff}", ["~ routing.rules[1].to: close → handoff"]),
        (
            "    - {match: [tchau], to: close}\n",
            "    - {match: [preço], to: duvidas}\n    - {match: [tchau], to: close}\n",
            ["+ routing.rules[1]: {match: [preço], to: duvidas}"],
        ),
        (
            "    - {match: [tchau], to: close}\n",
            "",
            ["- routing.rules[1]: {match: [tchau], to: close}"],
        ),
        ("name: Clínica de Testes", "name: Clínica  # só um comentário\n", ["~ name: Clínica de Testes → Clínica"]),
        ("language: pt-BR", "language: pt-BR  # só um comentário", []),
    ],
)
def test_a_change_is_said_in_the_words_of_the_yaml(old: str, new: str, expected: list[str]) -> None:
    assert lines(old, new) == expected


def test_added_and_removed_agents_show_their_prompts() -> None:
    after = variant("duvidas:", "geral:").files
    after = {**{name: text for name, text in after.items() if "duvidas" not in name}, "prompts/geral.md": "Oi.\n"}
    found = [str(change) for change in changes(V1.files, after)]
    assert found[0].startswith("+ agents.geral: {description: qualquer outra pergunta")
    assert found[1].startswith("- agents.duvidas: {")
    assert found[2:] == ["- prompts/duvidas.md: 5 lines", "+ prompts/geral.md: 1 line"]


def test_a_changed_prompt_has_counts_and_a_diff() -> None:
    prompt = "prompts/duvidas.md"
    after = {**V1.files, prompt: V1.files[prompt].replace("120, Vila Mariana", "240, Vila Mariana") + "- Wi-Fi: sim.\n"}
    assert [str(change) for change in changes(V1.files, after)] == [f"~ {prompt}: 2 lines added, 1 removed"]
    diff = text_diff(V1.files, after).splitlines()
    assert diff[:2] == [f"--- before/{prompt}", f"+++ after/{prompt}"]
    assert "+- Wi-Fi: sim." in diff
    assert text_diff(V1.files, V1.files) == ""


def test_a_version_whose_yaml_cannot_be_read_is_compared_as_text() -> None:
    (change,) = changes({**V1.files, MAIN: "agents: {"}, V1.files)
    assert str(change).startswith(f"~ {MAIN}: ")


def test_a_value_cannot_play_with_the_terminal() -> None:
    (change,) = changes(V1.files, {**V1.files, MAIN: V1.files[MAIN].replace("Até logo!", '"\\e[2J"')})
    assert "\x1b" not in str(change)


# For whom.


async def test_a_plan_says_who_sits_where_and_changes_nothing(platform: Platform) -> None:
    await ask(platform, "quero marcar")
    await ask(platform, "oi", contact=contact(1))
    await ask(platform, "oi", contact=contact(2))
    await replies_to(platform, "atendente", contact(2))
    await replies_to(platform, "tchau", contact(3))
    tables = "select (select count(*) from assistant_versions), max(updated_at), max(version_id) from assistants"
    before = await platform.row(tables)
    new = without_agenda()
    found = await plan(platform, new)
    assert await platform.row(tables) == before
    assert (found.slug, found.current, found.new) == (TENANT, V1.content_hash, new.content_hash)
    assert [(row.content_hash, row.status, row.agent, row.conversations) for row in found.live] == [
        (V1.content_hash, "bot", "agenda", 1),
        (V1.content_hash, "bot", "duvidas", 1),
        (V1.content_hash, "waiting", "duvidas", 1),
    ]
    assert (found.conversations, found.staying, found.moving) == (3, 3, [])


async def test_what_open_conversations_would_lose_is_named(platform: Platform) -> None:
    await ask(platform, "quero marcar")
    await ask(platform, "quero marcar", contact=contact(1))
    await ask(platform, "oi", contact=contact(2))
    found = await plan(platform, without_agenda())
    assert found.lost == [
        Lost("agent", "agenda", V1.content_hash, 2, moves=False),
        Lost("tool", "book_slot", V1.content_hash, 2, moves=False),
        Lost("tool", "find_slots", V1.content_hash, 2, moves=False),
        Lost("tool", "request_human", V1.content_hash, 3, moves=False),
    ]
    assert (await plan(platform, variant(*GOODBYE))).lost == []


async def test_a_removed_flow_with_open_conversations_is_named(platform: Platform) -> None:
    flow = "flows: {cadastro: {description: cadastra, steps: [{ask: {field: nome, question: Seu nome?}}]}}\ncalendars:"
    text = V1.files[MAIN].replace("{match: [tchau], to: close}", "{match: [cadastro], to: cadastro}")
    old = load({**V1.files, MAIN: text.replace("calendars:", flow)})
    await publish(platform, old)
    assert await replies_to(platform, "cadastro") == ["Seu nome?"]
    found = await plan(platform, V1)
    assert [(row.agent, row.conversations) for row in found.live] == [("cadastro", 1)]
    assert found.lost == [Lost("flow", "cadastro", old.content_hash, 1, moves=False)]
    assert (await plan(platform, old)).lost == []


async def test_conversations_without_a_version_get_the_new_one(platform: Platform) -> None:
    await platform.rows("insert into tenants (slug, name) values ('nova', 'Nova')")
    assert (await plan(platform, V1, "nova")).live == []
    await platform.add_channel("nova", "whatsapp:+551140000009")
    await platform.say("oi", To="whatsapp:+551140000009")
    found = await plan(platform, V1, "nova")
    assert (found.current, found.staying) == (None, 0)
    assert found.moving == [Moving("unpublished", None, 1)]


async def test_broken_versions_move_and_their_losses_are_named(platform: Platform) -> None:
    await ask(platform, "quero marcar")
    await platform.rows("update assistant_versions set files = '{}'")
    found = await plan(platform, without_agenda())
    assert found.moving == [Moving("unloadable", V1.content_hash, 1)]
    assert found.lost == [Lost("agent", "agenda", V1.content_hash, 1, moves=True)]
    assert found.staying == 0


async def test_a_plan_works_before_the_tenant_exists(platform: Platform) -> None:
    found = await plan(platform, V1, "nova")
    assert (found.current, found.new, list(found.changes), list(found.live)) == (None, V1.content_hash, [], [])
    assert await platform.rows("select 1 from tenants where slug = 'nova'") == []


async def test_publishing_the_current_version_changes_nothing(platform: Platform) -> None:
    found = await plan(platform, V1)
    assert (found.current, found.changes, found.diff) == (found.new, [], "")


async def test_one_tenant_sees_nothing_of_another_in_its_plan(platform: Platform) -> None:
    await platform.publish("outra", V1.files)
    await ask(platform, "oi")
    assert (await plan(platform, without_agenda(), "outra")).live == []


@pytest.mark.parametrize("slug", ["Minha Clínica", "minha_clinica", "-x", "", "a" * 3 + "-"])
async def test_what_no_tenant_can_be_called_is_refused(platform: Platform, slug: str) -> None:
    for attempt in (plan(platform, V1, slug), assistants.publish(platform.system, slug, V1, platform.clock)):
        with pytest.raises(RecadoError, match="cannot be a tenant's name"):
            await attempt


# Secrets.


async def test_a_version_whose_secrets_are_not_set_is_not_published(platform: Platform) -> None:
    new = needing("AGENDA", "CRM")
    for name in ("AGENDA", "CRM"):
        with pytest.raises(ConflictError, match=f"`consulta` needs the secret {name}.*--tenant {TENANT} {name}"):
            await publish(platform, new)
        assert name in [missing.name for missing in (await plan(platform, new)).missing]
        assert await current(platform) == V1.content_hash
        assert len(await platform.rows("select 1 from assistant_versions")) == 1
        await platform.rows(
            """insert into tenant_secrets (tenant_id, name, sealed, updated_at)
               select id, %(name)s, '', now() from tenants""",
            name=name,
        )
    assert (await plan(platform, new)).missing == []
    assert await publish(platform, new) == await current(platform)


async def test_a_secret_that_many_tools_need_is_missing_once(platform: Platform) -> None:
    missing = MissingSecret("loja", "TOKEN", ("a", "b", "c", "d", "e"))
    assert str(missing).startswith("the tools `a`, `b`, `c` and 2 more need the secret TOKEN, which is not set: ")
    one = needing("AGENDA")
    tools = {**one.assistant.tools, "outra": replace(one.assistant.tools["consulta"], name="outra")}
    both = replace(one, assistant=replace(one.assistant, tools=tools))
    assert (await plan(platform, both)).missing == [MissingSecret(TENANT, "AGENDA", ("consulta", "outra"))]


async def test_secrets_of_another_tenant_do_not_count(platform: Platform) -> None:
    await platform.publish("outra", V1.files)
    await platform.rows(
        """insert into tenant_secrets (tenant_id, name, sealed, updated_at)
           select id, 'AGENDA', '', now() from tenants where slug = 'outra'"""
    )
    with pytest.raises(ConflictError, match="AGENDA"):
        await publish(platform, needing("AGENDA"))


async def test_a_new_tenant_can_get_its_missing_secrets_first(platform: Platform) -> None:
    with pytest.raises(ConflictError, match="secrets set --tenant nova AGENDA"):
        await assistants.publish(platform.system, "nova", needing("AGENDA"), platform.clock)
    assert await platform.row("select name from tenants where slug = 'nova'") == {"name": "Clínica de Testes"}


# Back, and what was current when.


async def test_each_rollback_goes_back_one_version(platform: Platform) -> None:
    first, second, third = V1.content_hash, variant(*GOODBYE), variant("idle: 23h", "idle: 12h")
    await publish(platform, second)
    await publish(platform, third)
    assert [await rollback(platform), await rollback(platform)] == [second.content_hash, first]
    assert await current(platform) == first
    assert await replies_to(platform, "tchau") == ["Até logo!"]
    with pytest.raises(ConflictError, match="had no version before"):
        await rollback(platform)
    assert await current(platform) == first


async def test_a_version_is_named_by_its_hash_prefix(platform: Platform) -> None:
    second = variant(*GOODBYE)
    await publish(platform, second)
    await publish(platform, variant("idle: 23h", "idle: 12h"))
    assert await rollback(platform, V1.content_hash[:8]) == V1.content_hash
    assert await rollback(platform, second.content_hash[:8].upper()) == second.content_hash
    assert await replies_to(platform, "tchau") == ["Tchau da versão dois!"]
    assert await rollback(platform) == V1.content_hash


async def test_republishing_after_a_rollback_extends_the_history(
    platform: Platform,
) -> None:
    second, third = variant(*GOODBYE), variant("idle: 23h", "idle: 12h")
    await publish(platform, second)
    await rollback(platform)
    await publish(platform, third)
    await publish(platform, third)
    assert await rollback(platform) == V1.content_hash


async def test_a_version_that_is_not_there_is_not_gone_back_to(platform: Platform) -> None:
    await platform.publish("outra", without_agenda().files)
    await publish(platform, variant(*GOODBYE))
    for unknown in ("ffffffffffff0", "%", without_agenda().content_hash):
        with pytest.raises(NotFoundError, match=f"recado tenants versions {TENANT}"):
            await rollback(platform, unknown)
    with pytest.raises(ConflictError, match="more than one"):
        await rollback(platform, "")
    with pytest.raises(ConflictError, match="current one already"):
        await rollback(platform, variant(*GOODBYE).content_hash)
    with pytest.raises(NotFoundError, match="no tenant"):
        await assistants.rollback(platform.system, "ninguem", platform.clock)


async def test_a_version_that_no_longer_loads_is_not_gone_back_to(platform: Platform) -> None:
    await platform.rows("update assistant_versions set files = jsonb_build_object('assistant.yaml', 'nome: x')")
    second = await publish(platform, variant(*GOODBYE))
    with pytest.raises(ConflictError, match=r"no longer loads(.|\n)*assistant.yaml:1:1"):
        await rollback(platform)
    assert await current(platform) == second


async def test_a_tenant_is_called_what_its_current_version_calls_it(platform: Platform) -> None:
    await publish(platform, variant("name: Clínica de Testes", "name: Clínica Nova"))
    assert await platform.row("select name from tenants") == {"name": "Clínica Nova"}
    await rollback(platform)
    assert await platform.row("select name from tenants") == {"name": "Clínica de Testes"}


async def test_versions_are_listed_with_their_conversations(platform: Platform) -> None:
    await ask(platform, "oi")
    await publish(platform, variant(*GOODBYE))
    await ask(platform, "oi", contact=contact(1))
    await ask(platform, "oi", contact=contact(2))
    platform.clock.advance(60)
    await rollback(platform)
    one, two = await assistants.versions(platform.system, TENANT)
    assert (one.content_hash, one.current, one.live) == (V1.content_hash, True, 1)
    assert (two.content_hash, two.current, two.live) == (variant(*GOODBYE).content_hash, False, 2)
    assert (one.current_at - one.published_at).total_seconds() >= 60
    assert two.current_at == two.published_at


async def test_diff_compares_current_with_previous_by_default(platform: Platform) -> None:
    with pytest.raises(NotFoundError, match="no version before"):
        await planning.difference(platform.system, TENANT)
    second = await publish(platform, variant(*GOODBYE))
    third = await publish(platform, variant("idle: 23h", "idle: 12h"))
    found = await planning.difference(platform.system, TENANT)
    assert (found.old, found.new) == (second, third)
    named = await planning.difference(platform.system, TENANT, V1.content_hash[:9], second[:9])
    assert [str(change) for change in named.changes] == [
        "~ lifecycle.goodbye: Até logo! → Tchau da versão dois!",
    ]
    since = await planning.difference(platform.system, TENANT, V1.content_hash[:9])
    assert [str(change) for change in since.changes] == ["~ lifecycle.idle: 23h → 12h"]


async def test_simultaneous_publishes_are_serialized(platform: Platform) -> None:
    several = [variant("idle: 23h", f"idle: {hours}h") for hours in range(1, 9)]
    await asyncio.gather(*(publish(platform, loaded) for loaded in several))
    rows = await platform.rows(
        """select p.id, p.before_id, v.content_hash as hash
           from assistant_publications p join assistant_versions v on v.id = p.version_id order by p.id"""
    )
    assert len(rows) == 9
    assert [row["before_id"] for row in rows] == [None, *(row["id"] for row in rows[:-1])]
    assert await current(platform) == rows[-1]["hash"]
    backwards = [row["hash"] for row in reversed(rows[:-1])]
    assert sorted(await asyncio.gather(*(rollback(platform) for _ in backwards))) == sorted(backwards)
    assert await current(platform) == V1.content_hash


# What is live.


async def _return_all(platform: Platform, reply: str) -> None:
    inbox = Inbox(platform.system, Nudger(broker.make_broker(platform.settings.redis_url)), platform.clock)
    for waiting in await platform.rows("select id, tenant_id from interrupts where resolved_at is null"):
        await inbox.decide(waiting["tenant_id"], waiting["id"], {"action": "return", "reply": reply})
    await drain(platform)


async def _answers(platform: Platform, text: str, contacts: Sequence[str]) -> list[str]:
    """What each contact, who writes the same, gets."""
    before = [len(await platform.delivered(each)) for each in contacts]
    for each in contacts:
        await platform.say(text, contact=each)
    await drain(platform)
    return [" ".join((await platform.delivered(each))[n:]) for each, n in zip(contacts, before, strict=True)]


async def test_waiting_handoffs_survive_a_publish_that_removes_them(
    platform: Platform,
) -> None:
    contacts = [contact(number) for number in range(20)]
    assert await _answers(platform, "atendente", contacts) == ["Vou chamar uma pessoa."] * 20
    await publish(platform, without_agenda())
    assert await _answers(platform, "alguém aí?", contacts) == [""] * 20
    await _return_all(platform, "Já estou aqui.")
    assert [(await platform.delivered(each))[-1] for each in contacts] == ["Já estou aqui."] * 20
    assert await _answers(platform, "atendente", contacts) == ["Vou chamar uma pessoa."] * 20
    assert await replies_to(platform, "atendente", contact(99)) == ["eco: atendente"]
    await rollback(platform)
    await _return_all(platform, "De novo.")
    assert await _answers(platform, "tchau", contacts) == ["Até logo!"] * 20
    turns = await platform.rows(
        "select count(distinct conversation_id) as n, count(*) filter (where error <> '') as bad from turns"
    )
    assert turns == [{"n": 21, "bad": 0}]


async def test_all_workers_use_a_new_version_at_once(platform: Platform) -> None:
    assert platform.engine is not None
    async with platform.worker() as other:
        assert await replies_to(platform, "tchau", contact(1)) == ["Até logo!"]
        await publish(platform, variant(*GOODBYE))
        assert await replies_to(platform, "tchau", contact(2)) == ["Tchau da versão dois!"]
        await platform.engine.close()
        platform.engine = other
        assert await replies_to(platform, "tchau", contact(3)) == ["Tchau da versão dois!"]
        await rollback(platform)
        assert await replies_to(platform, "tchau", contact(4)) == ["Até logo!"]
