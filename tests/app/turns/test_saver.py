"""Checkpoints are compatible with LangGraph's own saver in both directions, and do not accumulate."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from app.turns.saver import SERDE, BufferingSaver
from graphs.builder import Graph, build
from graphs.context import Context
from graphs.llm_client import Models
from graphs.nodes.handoff import ResumeValue
from graphs.state import new_turn
from tests.app.turns.drivers import ask, decide, drain, pending_interrupt, replies_to
from tests.graphs.conversation import InMemoryCalendar, OnceToolRunner
from tests.platform import Platform, tenant_manifest


@dataclass
class Stock:
    """The test assistant on LangGraph's own saver, as the tenant."""

    graph: Graph
    models: Models
    platform: Platform

    async def state(self) -> Any:
        """Return the state of the only conversation."""
        return await self.graph.aget_state(await self._thread())

    async def run(self, graph_input: Any, thread: str | None = None) -> dict[str, Any]:
        """Run the graph with LangGraph alone."""
        context = Context(self.platform.clock(), "Ana", self.models, OnceToolRunner(InMemoryCalendar()))
        output: dict[str, Any] = await self.graph.ainvoke(graph_input, await self._thread(thread), context=context)
        return output

    async def _thread(self, thread: str | None = None) -> Any:
        if thread is None:
            thread = str((await self.platform.row("select id from conversations"))["id"])
        return {"configurable": {"thread_id": thread}}


@pytest.fixture
async def stock(platform: Platform) -> AsyncIterator[Stock]:
    """Open LangGraph's own saver on the platform's database."""
    tenant = await platform.row("select id from tenants")
    options = f"-c role=recado_app -c app.tenant_id={tenant['id']}"
    models = Models(platform.settings.providers)
    async with AsyncConnectionPool[AsyncConnection[DictRow]](
        platform.settings.database_url,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row, "options": options},
        min_size=1,
        max_size=2,
    ) as pool:
        saver = AsyncPostgresSaver(pool, serde=SERDE)
        graph = build(tenant_manifest().assistant, checkpointer=saver)
        yield Stock(graph, models, platform)
    await models.close()


def texts(state: Any) -> list[str]:
    """Return the messages of a state as text."""
    return [message.text for message in state.values["messages"]]


async def stored(platform: Platform) -> dict[str, int]:
    """Return the rows and bytes of all checkpoints."""
    return await platform.row(
        """select (select count(*) from checkpoints) as checkpoints,
               (select count(*) from checkpoint_blobs) as blobs,
               (select count(*) from checkpoint_writes) as writes,
               (select coalesce(sum(octet_length(checkpoint::text) + octet_length(metadata::text)), 0)
                from checkpoints)::int
               + (select coalesce(sum(octet_length(blob)), 0) from checkpoint_blobs)::int as bytes"""
    )


# One saver reads what the other wrote.


async def test_langgraphs_saver_opens_what_a_turn_wrote(platform: Platform, stock: Stock) -> None:
    await ask(platform, "quero marcar")
    state = await stock.state()
    assert (state.next, state.interrupts) == ((), ())
    assert [message.type for message in state.values["messages"]] == ["human", "ai", "tool", "ai"]
    assert texts(state)[0] == "quero marcar"
    assert state.values["agent"] == "agenda"
    assert state.values["turn"]["route"] == {"to": "agenda", "why": "quer marcar"}


async def test_langgraphs_saver_opens_an_interrupt_and_can_resume_it(platform: Platform, stock: Stock) -> None:
    await replies_to(platform, "socorro")
    state = await stock.state()
    assert state.next == ("handoff",)
    (interrupt,) = state.interrupts
    waiting = await pending_interrupt(platform)
    assert (interrupt.id, interrupt.value) == (waiting["id"], waiting["payload"])
    output = await stock.run(Command(resume=ResumeValue(action="return", reply="Já vou.")))
    assert output["turn"]["replies"] == [{"author": "operator", "body": "Já vou."}]
    assert (await stock.state()).next == ()


async def test_a_turn_goes_on_from_what_langgraphs_saver_wrote(platform: Platform, stock: Stock) -> None:
    await ask(platform, "oi")
    outside = HumanMessage("por fora", id="outside")
    output = await stock.run({"messages": [outside], "turn": new_turn(said="por fora")})
    assert output["turn"]["replies"] == [{"author": "assistant", "body": "eco: por fora"}]
    assert (await stored(platform))["checkpoints"] > 1, "it keeps every step"
    await ask(platform, "e agora?")
    assert texts(await stock.state()) == ["oi", "eco: oi", "por fora", "eco: por fora", "e agora?", "eco: e agora?"]
    after = await stored(platform)
    assert (after["checkpoints"], after["writes"]) == (1, 0), "superseded rows left with the turn"


async def test_an_interrupt_of_langgraphs_saver_is_resumed_by_a_turn(platform: Platform, stock: Stock) -> None:
    """Stop the same thread with LangGraph alone, so that it waits in our tables."""
    await replies_to(platform, "quero um atendente")
    await stock.run(Command(resume=ResumeValue(action="return")))
    again = HumanMessage("atendente!", id="again")
    output = await stock.run({"messages": [again], "turn": new_turn(said="atendente!")})
    (interrupt,) = output["__interrupt__"]
    await platform.rows("update interrupts set id = %(id)s", id=interrupt.id)
    await decide(platform, "close", "Combinado!")
    await drain(platform)
    assert (await platform.delivered())[-2:] == ["Combinado!", "Até logo!"]
    assert set((await stored(platform)).values()) == {0}, "the conversation is closed"


async def test_both_savers_write_the_same(platform: Platform, stock: Stock) -> None:
    await ask(platform, "oi")
    await stock.run({"messages": [HumanMessage("oi", id="x")], "turn": new_turn(said="oi")}, thread="stock")
    query = """
        select k.checkpoint - 'id' - 'ts' - 'channel_versions' - 'versions_seen' as rest,
            array(select jsonb_object_keys(k.checkpoint) order by 1) as keys,
            array(select jsonb_object_keys(k.checkpoint -> 'channel_versions') order by 1) as versions,
            array(
                select b.channel || ' ' || b.type from checkpoint_blobs b
                where b.thread_id = k.thread_id
                    and b.version = k.checkpoint -> 'channel_versions' ->> b.channel order by 1
            ) as blobs
        from checkpoints k where k.thread_id {} order by k.checkpoint_id desc limit 1
    """
    ours = await platform.row(query.format("<> 'stock'"))
    theirs = await platform.row(query.format("= 'stock'"))
    assert ours == theirs
    assert ours["blobs"], "nothing was compared"


# Nothing piles up.


async def test_a_conversation_takes_no_more_room_however_long_it_is(platform: Platform) -> None:
    await platform.republish("memory: {window: 12}", "memory: {window: 4}")
    seen = []
    for number in range(30):
        await ask(platform, f"pergunta {number:02}")
        seen.append(await stored(platform))
    settled = seen[5:]
    assert {(rows["checkpoints"], rows["blobs"], rows["writes"]) for rows in settled} == {
        (1, settled[0]["blobs"], 0),
    }
    sizes = [rows["bytes"] for rows in settled]
    assert max(sizes) <= min(sizes) * 1.05, sizes


async def test_an_interrupt_keeps_its_writes_until_it_is_resumed(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    waiting = await stored(platform)
    assert (waiting["checkpoints"], waiting["writes"] > 0) == (1, True)
    await replies_to(platform, "alô?")
    assert await stored(platform) == waiting, "messages to the human leave the checkpoint alone"
    await decide(platform, "return")
    await drain(platform)
    after = await stored(platform)
    assert (after["checkpoints"], after["writes"]) == (1, 0)


async def test_the_rows_belong_to_the_tenant(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    tenant = await platform.row("select id from tenants")
    for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
        rows = await platform.rows(f"select distinct tenant_id as id from {table}")
        assert rows == [tenant]


# What stored bytes may become.


@dataclass
class Made:
    """A class that counts its instances."""

    name: str
    times: ClassVar[int] = 0

    def __post_init__(self) -> None:
        Made.times += 1


def test_messages_come_back_as_they_were() -> None:
    call = {"name": "find_slots", "args": {"days": 3}, "id": "c", "type": "tool_call"}
    said_so = [
        HumanMessage("olá", id="1"),
        AIMessage("", id="2", tool_calls=[call]),
        ToolMessage("{}", tool_call_id="c"),
    ]
    assert SERDE.loads_typed(SERDE.dumps_typed(said_so)) == said_so


def test_stored_bytes_do_not_revive_what_is_not_known_to_be_safe() -> None:
    stored_bytes = JsonPlusSerializer().dumps_typed(Made("x"))
    before = Made.times
    revived = SERDE.loads_typed(stored_bytes)
    assert not isinstance(revived, Made)
    assert Made.times == before


def test_stored_json_does_not_call_anything() -> None:
    call = {
        "lc": 2,
        "type": "constructor",
        "id": ["tests", "app", "turns", "test_saver", "Made"],
        "kwargs": {"name": "x"},
    }
    before = Made.times
    SERDE.loads_typed(("json", json.dumps(call).encode()))
    assert Made.times == before


def test_pickles_are_not_opened() -> None:
    with pytest.raises(NotImplementedError):
        SERDE.loads_typed(("pickle", b"\x80\x04N."))


# The buffer itself.


def empty_checkpoint(identity: str, **values: Any) -> Any:
    versions = dict.fromkeys(values, "1.0")
    return {
        "v": 4,
        "id": identity,
        "ts": "2026-01-01T00:00:00+00:00",
        "channel_values": values,
        "channel_versions": versions,
        "versions_seen": {},
        "updated_channels": None,
    }


def config(namespace: str = "", identity: str | None = None) -> Any:
    given = {"thread_id": "t", "checkpoint_ns": namespace}
    return {"configurable": given | ({"checkpoint_id": identity} if identity else {})}


async def test_a_buffer_gives_back_what_it_was_given_and_nothing_else() -> None:
    saver = BufferingSaver("t", [])
    assert await saver.aget_tuple(config()) is None
    put = await saver.aput(config(), empty_checkpoint("1", n=1, many=["a"]), {}, {"n": "1.0", "many": "1.0"})
    found = await saver.aget_tuple(config())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"n": 1, "many": ["a"]}
    assert found.config == put
    assert await saver.aget_tuple(config(identity="another")) is None
    assert await saver.aget_tuple(config("sub")) is None


async def test_only_the_latest_checkpoint_of_a_namespace_is_committed() -> None:
    saver = BufferingSaver("t", [])
    for number in "123":
        await saver.aput(config(), empty_checkpoint(number, many=[number]), {}, {"many": "1.0"})
    await saver.aput(config("sub"), empty_checkpoint("4", many=["sub"]), {}, {"many": "1.0"})
    parameters = saver.commit_parameters()
    assert parameters["checkpoint_ids"] == ["3", "4"]
    assert len(parameters["blobs"]) == 2
    saver.drop_subgraphs()
    assert saver.commit_parameters()["checkpoint_ids"] == ["3"]
    saver.mark_committed()
    assert saver.commit_parameters()["checkpoint_ids"] == []
    assert saver.commit_parameters()["kept_ids"] == ["3"]


async def test_writes_of_a_superseded_checkpoint_are_not_committed() -> None:
    saver = BufferingSaver("t", [])
    first = await saver.aput(config(), empty_checkpoint("1"), {}, {})
    await saver.aput_writes(first, [("channel", "value")], "task")
    assert saver.commit_parameters()["write_channels"] == ["channel"]
    await saver.aput(first, empty_checkpoint("2"), {}, {})
    assert saver.commit_parameters()["write_channels"] == []
