"""What LangGraph Studio opens, as its server uses it: a graph for every look, put on the one checkpointer."""

import importlib.util
import json
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from app.config import Settings
from app.errors import ConfigurationError, NotFoundError, RecadoError
from devkit import demo
from devkit.studio.checkpointer import GRAPHS_TENANT, TenantsSaver, checkpointer
from devkit.studio.configuration import configuration
from devkit.studio.factory import graph
from devkit.studio.queries import Owner
from devkit.studio.threads import Threads, conversation, latest, split_last_turn
from graphs.state import new_turn
from tests.app.turns.drivers import ask, drain, pending_interrupt, replies_to
from tests.platform import ACCOUNT_SID, CONTACT, TENANT, Platform, tenant_manifest

ROOT = Path(__file__).parents[2]
NEIGHBOUR, NEIGHBOURS_NUMBER = "vizinha", "whatsapp:+551140000002"
NEIGHBOURS_CONTACT = "whatsapp:+5511990000003"
CHANGED = """
    select (select count(*) from appointments) as appointments, (select count(*) from tool_calls) as tool_calls,
        (select count(*) from outbox) as replies, (select count(*) from turns) as turns
"""
CHECKPOINTS = "select tenant_id, checkpoint_id from checkpoints where thread_id = %(id)s order by checkpoint_id"


@pytest.fixture
def environment(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What whoever starts Studio has set."""
    for name, url in platform.urls.processes.items():
        monkeypatch.setenv(name, url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{platform.servers.model}/v1")
    return monkeypatch


def factory(source: str) -> Any:
    """A graph's factory, found as the server finds it: "path:variable", and the variable in the module's own dict."""
    path, _, variable = source.rpartition(":")
    spec = importlib.util.spec_from_file_location("studio_of_the_tests", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.__dict__[variable]


@asynccontextmanager
async def opened(slug: str = TENANT, saver: TenantsSaver | None = None) -> AsyncIterator[Any]:
    """The tenant's graph on Studio's checkpointer, as the server puts them together."""
    if saver is None:
        async with checkpointer() as saver, opened(slug, saver) as found:
            yield found
    else:
        async with graph(slug, {"configurable": {}}) as found:
            yield found.copy({"checkpointer": saver})


async def run(opened: Any, config: RunnableConfig, text: str) -> Any:
    """A turn; with a context, as the server always passes one."""
    turn = {"messages": [HumanMessage(text)], "turn": new_turn(said=text)}
    return await opened.ainvoke(turn, config, context={})


def called(thread_id: str) -> RunnableConfig:
    """The thread, as LangGraph calls it."""
    return {"configurable": {"thread_id": thread_id}}


async def thread(platform: Platform, contact: str = CONTACT) -> RunnableConfig:
    """The contact's conversation."""
    row = await platform.row(
        "select v.id from conversations v join contacts c on c.id = v.contact_id where c.address = %(c)s", c=contact
    )
    return called(str(row["id"]))


async def conversations_of_two_tenants(platform: Platform) -> tuple[RunnableConfig, RunnableConfig]:
    """One of the tests' tenant and one of its neighbour."""
    await platform.publish(NEIGHBOUR, tenant_manifest().files)
    await platform.add_channel(NEIGHBOUR, NEIGHBOURS_NUMBER, ACCOUNT_SID)
    await ask(platform, "minha")
    await platform.say("da vizinha", contact=NEIGHBOURS_CONTACT, To=NEIGHBOURS_NUMBER)
    await drain(platform)
    return await thread(platform), await thread(platform, NEIGHBOURS_CONTACT)


@asynccontextmanager
async def copied(platform: Platform) -> AsyncIterator[tuple[Any, RunnableConfig]]:
    """The tenant's graph, and a copy of the contact's conversation."""
    async with checkpointer() as saver, opened(TENANT, saver) as found:
        copy = called(str(uuid.uuid4()))
        original = await thread(platform)
        await saver.acopy_thread(original["configurable"]["thread_id"], copy["configurable"]["thread_id"])
        yield found, copy


def texts(state: Any) -> list[str]:
    """What was said, as the state has it."""
    return [message.text for message in state.values.get("messages", [])]


@pytest.mark.usefixtures("environment")
async def test_a_conversation_is_shown_with_what_it_waits_for(platform: Platform) -> None:
    await ask(platform, "oi")
    await replies_to(platform, "socorro")
    waiting = await pending_interrupt(platform)
    async with opened() as graph:
        state = await graph.aget_state(await thread(platform))
    assert texts(state)[:3] == ["oi", "eco: oi", "socorro"]
    assert state.next == ("handoff",)
    assert [(each.id, each.value) for each in state.interrupts] == [(waiting["id"], waiting["payload"])]


async def test_every_published_tenant_has_a_graph(platform: Platform, environment: pytest.MonkeyPatch) -> None:
    mine, theirs = await conversations_of_two_tenants(platform)
    made = await configuration(platform.settings)
    for name, value in made["env"].items():
        environment.setenv(name, value)
    shown = {}
    async with checkpointer() as saver:
        for (slug, source), config in zip(made["graphs"].items(), (mine, theirs), strict=True):
            async with factory(source)({"configurable": {}}) as graph:
                shown[slug] = texts(await graph.copy({"checkpointer": saver}).aget_state(config))
    assert shown == {TENANT: ["minha", "eco: minha"], NEIGHBOUR: ["da vizinha", "eco: da vizinha"]}


@pytest.mark.usefixtures("environment")
async def test_a_graph_is_refused_another_tenants_conversation(platform: Platform) -> None:
    mine, theirs = await conversations_of_two_tenants(platform)
    before = await platform.rows("select * from checkpoints order by thread_id, checkpoint_id")
    async with checkpointer() as saver:
        for slug, config in ((TENANT, theirs), (NEIGHBOUR, mine)):
            refused = pytest.raises(ValueError, match=f"{slug} has no thread .*: it belongs to another tenant")
            async with opened(slug, saver) as graph:
                with refused:
                    await graph.aget_state(config)
                with refused:
                    await anext(graph.aget_state_history(config))
                with refused:
                    await graph.aupdate_state(config, {"messages": []}, as_node="recall")
                with refused:
                    await run(graph, config, "oi")
        with pytest.raises(ValueError, match="name the thread"):
            await anext(saver.alist(None))
    assert await platform.rows("select * from checkpoints order by thread_id, checkpoint_id") == before


@pytest.mark.parametrize("forged", [TENANT, None])
@pytest.mark.usefixtures("environment")
async def test_a_caller_cannot_say_whose_a_graph_is(platform: Platform, forged: str | None) -> None:
    mine, _ = await conversations_of_two_tenants(platform)
    async with opened(NEIGHBOUR) as graph:
        with pytest.raises(ValueError, match="not for callers to set"):
            await graph.aget_state({"configurable": {**mine["configurable"], GRAPHS_TENANT: forged}})


@pytest.mark.usefixtures("environment")
async def test_row_level_security_hides_other_tenants_checkpoints(platform: Platform) -> None:
    mine, theirs = await conversations_of_two_tenants(platform)
    owners = {row["thread_id"]: row["tenant_id"] for row in await platform.rows("select * from checkpoints")}
    async with checkpointer() as saver:
        mistaken = Owner(owners[mine["configurable"]["thread_id"]], conversation=True)
        saver._owners[theirs["configurable"]["thread_id"]] = mistaken
        async with opened(TENANT, saver) as graph:
            assert texts(await graph.aget_state(theirs)) == []


@pytest.mark.usefixtures("environment")
async def test_a_copy_belongs_to_the_tenant_and_changes_nothing(platform: Platform) -> None:
    config, _ = await conversations_of_two_tenants(platform)
    copied, original = str(uuid.uuid4()), config["configurable"]["thread_id"]
    (before,) = await platform.rows(CHECKPOINTS, id=original)
    async with checkpointer() as saver:
        await saver.acopy_thread(original, copied)
        async with opened(TENANT, saver) as graph:
            assert texts(await graph.aget_state(called(copied))) == ["minha", "eco: minha"]
            await run(graph, called(copied), "de novo")
            assert texts(await graph.aget_state(called(copied)))[2:] == ["de novo", "eco: de novo"]
            assert texts(await graph.aget_state(config)) == ["minha", "eco: minha"]
        async with opened(NEIGHBOUR, saver) as graph:
            with pytest.raises(ValueError, match="it belongs to another tenant"):
                await graph.aget_state(called(copied))
        written = await platform.rows(CHECKPOINTS, id=copied)
        assert {row["tenant_id"] for row in written} == {before["tenant_id"]}
        await saver.adelete_thread(copied)
    assert await platform.rows(CHECKPOINTS, id=copied) == []
    assert await platform.rows(CHECKPOINTS, id=original) == [before]


@pytest.mark.usefixtures("environment")
async def test_a_conversation_itself_is_never_changed(platform: Platform) -> None:
    await ask(platform, "oi")
    config = await thread(platform)
    thread_id = config["configurable"]["thread_id"]
    (before,) = await platform.rows(CHECKPOINTS, id=thread_id)
    async with checkpointer() as saver, opened(TENANT, saver) as graph:
        for change in (run(graph, config, "de novo"), graph.aupdate_state(config, {"agent": None}, as_node="recall")):
            with pytest.raises(ValueError, match="copy the thread, and use the copy"):
                await change
        with pytest.raises(ValueError, match="copy the thread"):
            await saver.adelete_thread(thread_id)
    assert await platform.rows(CHECKPOINTS, id=thread_id) == [before]


@pytest.mark.usefixtures("environment")
async def test_a_copy_that_is_given_messages_only_is_about_those(platform: Platform) -> None:
    await ask(platform, "oi")
    async with copied(platform) as (graph, config):
        ended = await graph.ainvoke({"messages": [HumanMessage("tchau")]}, config, context={})
    assert [reply["body"] for reply in ended["turn"]["replies"]] == ["Até logo!"]
    assert ended["turn"]["said"] == "tchau"


@pytest.mark.usefixtures("environment")
async def test_a_copy_waits_for_what_the_conversation_waits_for(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    copied = str(uuid.uuid4())
    async with checkpointer() as saver, opened(TENANT, saver) as graph:
        original = await graph.aget_state(await thread(platform))
        await saver.acopy_thread(original.config["configurable"]["thread_id"], copied)
        copy = await graph.aget_state(called(copied))
    assert copy.interrupts == original.interrupts != ()


@pytest.mark.usefixtures("environment")
async def test_a_new_thread_belongs_to_the_graph_that_writes_first(platform: Platform) -> None:
    await conversations_of_two_tenants(platform)
    config = called(str(uuid.uuid4()))
    async with checkpointer() as saver:
        assert await saver.aget_tuple(config) is None, "the server looks before it knows the graph"
        async with opened(TENANT, saver) as graph:
            assert texts(await graph.aget_state(config)) == []
        async with opened(NEIGHBOUR, saver) as graph:
            await run(graph, config, "oi")
            assert texts(await graph.aget_state(config)) == ["oi", "eco: oi"]
        async with opened(TENANT, saver) as graph:
            with pytest.raises(ValueError, match="it belongs to another tenant"):
                await graph.aget_state(config)


@pytest.mark.usefixtures("environment")
async def test_nobody_writes_to_a_thread_whose_tenant_cannot_be_told(platform: Platform) -> None:
    await ask(platform, "oi")
    async with checkpointer() as saver:
        found = await saver.aget_tuple(await thread(platform))
        assert found is not None
        config: RunnableConfig = {"configurable": {"thread_id": str(uuid.uuid4()), "checkpoint_ns": ""}}
        with pytest.raises(ValueError, match="has no tenant: run it with a graph first"):
            await saver.aput(config, found.checkpoint, found.metadata, {})


@pytest.mark.usefixtures("environment")
async def test_a_turn_may_be_tried_and_books_nothing(platform: Platform) -> None:
    await ask(platform, "oi")
    before = await platform.row(CHANGED)
    async with copied(platform) as (graph, config):
        await run(graph, config, "quero marcar agora")
        while (await graph.aget_state(config)).next == ("run_tools",):
            await graph.ainvoke(None, config, context={})
        state = await graph.aget_state(config)
    assert state.next == ()
    results = {each.name: each.text for each in state.values["messages"] if isinstance(each, ToolMessage)}
    assert '"id": "sala@' in results["find_slots"], "what changes nothing is run"
    assert "book_slot changes something, so it is disabled in Studio" in results["book_slot"]
    assert await platform.row(CHANGED) == before
    await drain(platform)
    assert await platform.delivered() == ["eco: oi"], "what is tried in Studio is said to nobody"


@pytest.mark.usefixtures("environment")
async def test_a_graph_is_the_currently_published_version(platform: Platform) -> None:
    await ask(platform, "oi")
    for goodbye in ("Até logo!", "Tchau da versão dois!"):
        await platform.republish("goodbye: Até logo!", f"goodbye: {goodbye}")
        async with copied(platform) as (graph, config):
            ended = await run(graph, config, "tchau")
        assert [reply["body"] for reply in ended["turn"]["replies"]] == [goodbye]


def test_langgraph_json_opens_the_demo_tenants(monkeypatch: pytest.MonkeyPatch) -> None:
    own = json.loads((ROOT / "langgraph.json").read_text())
    for name, value in own["env"].items():
        monkeypatch.setenv(name, value)
    assert set(own["graphs"]) == {tenant.slug for tenant in demo.TENANTS}
    assert {slug: factory(source).args for slug, source in own["graphs"].items()} == {s: (s,) for s in own["graphs"]}
    assert callable(factory(own["checkpointer"]["path"]))


async def test_what_is_missing_is_said(platform: Platform, environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="there is no tenant 'ninguem': "):
        await graph("ninguem", {"configurable": {}}).__aenter__()
    environment.delenv("DATABASE_URL")
    with pytest.raises(ConfigurationError, match="DATABASE_URL is not set"):
        await checkpointer().__aenter__()


async def test_without_a_published_tenant_there_is_no_configuration(database_url: str) -> None:
    settings = Settings.from_environment(environ={"SYSTEM_DATABASE_URL": database_url})
    with pytest.raises(NotFoundError, match="no tenant has published an assistant"):
        await configuration(settings)


def printed(**urls: str) -> subprocess.CompletedProcess[str]:
    """What the recipe's first command does."""
    command = [sys.executable, "-m", "devkit.studio.configuration"]
    environment = {**os.environ, **urls}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


async def test_the_configuration_is_printed_or_what_is_missing(platform: Platform) -> None:
    done = printed(**platform.urls.processes)
    assert json.loads(done.stdout) == await configuration(platform.settings)
    failed = printed(DATABASE_URL="")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("error: DATABASE_URL is not set")


async def test_the_list_has_the_latest_of_each_tenant(platform: Platform) -> None:
    mine, theirs = await conversations_of_two_tenants(platform)
    listed = {each.slug: each for each in await latest(platform.system)}
    assert {slug: called(str(each.id)) for slug, each in listed.items()} == {TENANT: mine, NEIGHBOUR: theirs}
    assert (listed[TENANT].contact, listed[TENANT].status) == ("Ana Pérez", "bot")
    assert await conversation(platform.system, listed[TENANT].id) == listed[TENANT]
    with pytest.raises(NotFoundError, match="there is no conversation"):
        await conversation(platform.system, uuid.uuid4())


def test_a_replay_begins_before_the_last_turn() -> None:
    said = [{"type": kind, "content": text} for kind, text in (("human", "a"), ("ai", "b"), ("human", "c"))]
    more = [*said, {"type": "human", "content": "d"}, {"type": "ai", "content": "e"}]
    written = [{"role": "user", "content": "c"}, {"role": "user", "content": "d"}]
    assert split_last_turn(more) == (said[:2], written)
    assert split_last_turn(said[:1]) == ([], [{"role": "user", "content": "a"}])
    assert split_last_turn([]) == ([], [])


async def test_without_the_server_a_fork_says_how_to_start_it(platform: Platform) -> None:
    await conversations_of_two_tenants(platform)
    found, _ = await latest(platform.system)
    with Threads("http://127.0.0.1:1") as threads, pytest.raises(RecadoError, match="start it with `recado studio`"):
        threads.fork(found)
