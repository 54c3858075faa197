"""What LangGraph Studio opens, as its server uses it: a graph for every look, put on a checkpointer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from app import studio
from app.errors import ConfigurationError, NotFoundError
from graphs.state import new_turn
from tenants.loader import load_folder
from tests.app.turns.steps import ask, done, pending_interrupt, said
from tests.platform import ACCOUNT_SID, CONTACT, TENANT, TENANTS, Platform

NEIGHBOUR, NEIGHBOURS_NUMBER = "vizinha", "whatsapp:+551140000002"
NEIGHBOURS_CONTACT = "whatsapp:+5511990000003"
CHANGED = """
    select (select count(*) from appointments) as appointments, (select count(*) from tool_calls) as tool_calls,
        (select count(*) from outbox) as replies, (select count(*) from turns) as turns
"""


@pytest.fixture
def environment(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What whoever starts Studio has set."""
    monkeypatch.setenv("DATABASE_URL", platform.settings.database_url)
    monkeypatch.setenv("RECADO_TENANT", TENANT)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{platform.servers.model}/v1")
    return monkeypatch


@asynccontextmanager
async def opened() -> AsyncIterator[Any]:
    """The graph on Studio's checkpointer, as Studio's server puts them together."""
    async with studio.checkpointer() as saver, studio.graph({}) as graph:
        yield graph.copy({"checkpointer": saver})


async def thread(platform: Platform, contact: str = CONTACT) -> RunnableConfig:
    """The contact's conversation, as LangGraph calls it."""
    row = await platform.row(
        "select v.id from conversations v join contacts c on c.id = v.contact_id where c.address = %(c)s", c=contact
    )
    return {"configurable": {"thread_id": str(row["id"])}}


async def conversations_of_two_tenants(platform: Platform) -> tuple[RunnableConfig, RunnableConfig]:
    """One of the tests' tenant and one of its neighbour."""
    await platform.publish(NEIGHBOUR, load_folder(TENANTS / TENANT).files)
    await platform.add_channel(NEIGHBOUR, NEIGHBOURS_NUMBER, ACCOUNT_SID)
    await ask(platform, "minha")
    await platform.say("da vizinha", contact=NEIGHBOURS_CONTACT, To=NEIGHBOURS_NUMBER)
    await done(platform)
    return await thread(platform), await thread(platform, NEIGHBOURS_CONTACT)


def texts(state: Any) -> list[str]:
    """What was said, as the state has it."""
    return [message.text for message in state.values.get("messages", [])]


@pytest.mark.usefixtures("environment")
async def test_a_conversation_is_shown_with_what_it_waits_for(platform: Platform) -> None:
    await ask(platform, "oi")
    await said(platform, "socorro")
    waiting = await pending_interrupt(platform)
    async with opened() as graph:
        state = await graph.aget_state(await thread(platform))
    assert texts(state)[:3] == ["oi", "eco: oi", "socorro"]
    assert state.next == ("handoff",)
    assert [(each.id, each.value) for each in state.interrupts] == [(waiting["id"], waiting["payload"])]


async def test_only_the_tenants_own_conversations_are_shown(
    platform: Platform, environment: pytest.MonkeyPatch
) -> None:
    mine, theirs = await conversations_of_two_tenants(platform)
    shown: dict[str, list[list[str]]] = {}
    for slug in (TENANT, NEIGHBOUR):
        environment.setenv("RECADO_TENANT", slug)
        async with opened() as graph:
            shown[slug] = [texts(await graph.aget_state(config)) for config in (mine, theirs)]
            listed = {each.config["configurable"]["thread_id"] async for each in graph.checkpointer.alist(None)}
        assert len(listed) == 1, "nor is another's to be found by a search"
    assert shown == {TENANT: [["minha", "eco: minha"], []], NEIGHBOUR: [[], ["da vizinha", "eco: da vizinha"]]}


@pytest.mark.usefixtures("environment")
async def test_a_turn_may_be_tried_and_books_nothing(platform: Platform) -> None:
    await ask(platform, "oi")
    before = await platform.row(CHANGED)
    config = await thread(platform)
    text = "quero marcar agora"
    async with opened() as graph:
        await graph.ainvoke({"messages": [HumanMessage(text)], "turn": new_turn(said=text)}, config)
        while (await graph.aget_state(config)).next == ("run_tools",):
            await graph.ainvoke(None, config)
        state = await graph.aget_state(config)
    assert state.next == ()
    results = {each.name: each.text for each in state.values["messages"] if isinstance(each, ToolMessage)}
    assert '"id": "sala@' in results["find_slots"], "what changes nothing is run"
    assert "book_slot changes something, and is switched off in Studio" in results["book_slot"]
    assert await platform.row(CHANGED) == before
    await done(platform)
    assert await platform.delivered() == ["eco: oi"], "what is tried in Studio is said to nobody"


@pytest.mark.usefixtures("environment")
async def test_a_graph_is_the_version_that_is_published_when_it_is_looked_at(platform: Platform) -> None:
    await ask(platform, "oi")
    for goodbye in ("Até logo!", "Tchau da versão dois!"):
        await platform.republish("goodbye: Até logo!", f"goodbye: {goodbye}")
        async with opened() as graph:
            config = await thread(platform)
            ended = await graph.ainvoke({"messages": [HumanMessage("tchau")], "turn": new_turn(said="tchau")}, config)
        assert [reply["body"] for reply in ended["turn"]["replies"]] == [goodbye]


async def test_what_is_missing_is_said(platform: Platform, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RECADO_TENANT", "ninguem")
    with pytest.raises(NotFoundError, match="there is no tenant 'ninguem'"):
        await studio.graph({}).__aenter__()
    for name in ("RECADO_TENANT", "DATABASE_URL"):
        environment.delenv(name)
        with pytest.raises(ConfigurationError, match=f"{name} is not set"):
            await studio.graph({}).__aenter__()
