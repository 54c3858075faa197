"""A program that runs the bench's conversations with plain LangGraph: ChatOpenAI, one node, AsyncPostgresSaver.

It is the baseline for the worker's CPU. It stores no messages, sends no replies, and does not survive a kill.
It prints the milliseconds of CPU per turn around turn 10 and around turn 100.
Usage: `python -m bench.measures.langgraph_baseline MODEL_URL DATABASE_URL`.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import uvloop
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr

from bench.stack import TENANT_FOLDER
from manifest.folder import load_folder

CONTACTS = 6
DATABASE = "langgraph_baseline"

Graph = CompiledStateGraph[Any, Any, Any, Any]


async def measure_turn_ms(model_url: str, database_url: str) -> tuple[float, float]:
    """Return the milliseconds of CPU per turn around turn 10 and around turn 100, in a new database."""
    async with open_saver(database_url) as saver:
        model = ChatOpenAI(model="test-model", api_key=SecretStr("simulated"), base_url=model_url)
        graph = build_graph(model, saver)
        await _run_turns(graph, 2)
        early = await _run_turns(graph, 16)
        await _run_turns(graph, 74)
        return early, await _run_turns(graph, 16)


@asynccontextmanager
async def open_saver(database_url: str) -> AsyncIterator[AsyncPostgresSaver]:
    """Yield LangGraph's saver, in a new database of the server."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {DATABASE} with (force)")
        connection.execute(f"create database {DATABASE}")
    url = database_url.rpartition("/")[0] + f"/{DATABASE}"
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool[Any](url, max_size=8, kwargs=options) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        yield saver


def build_graph(model: ChatOpenAI, saver: AsyncPostgresSaver) -> Graph:
    """Return the graph of a chat: one node that asks the model with the whole history."""
    assistant = load_folder(TENANT_FOLDER).assistant
    system = SystemMessage(f"{next(iter(assistant.agents.values())).prompt}\nYou write for {assistant.name}.")

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke([system, *state["messages"]])]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


async def _run_turns(graph: Graph, count: int) -> float:
    """Run `count` turns of every contact, and return the milliseconds of CPU per turn."""

    async def run_contact(number: int) -> None:
        config = RunnableConfig(configurable={"thread_id": str(number)})
        for _ in range(count):
            await graph.ainvoke({"messages": [HumanMessage("mensagem do contato")]}, config)

    started = time.process_time()
    await asyncio.gather(*(run_contact(number) for number in range(CONTACTS)))
    return (time.process_time() - started) / count / CONTACTS * 1000


if __name__ == "__main__":
    print(*uvloop.run(measure_turn_ms(sys.argv[1], sys.argv[2])))
