"""The same conversation by stock parts alone, for comparison: ChatOpenAI, one node, AsyncPostgresSaver.

Stores no message, sends no reply, survives no kill. Prints milliseconds of CPU per turn around turn 10 and turn 100.
"""

import asyncio
import sys
import time
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

from bench.system import TENANT
from manifest.folder import load_folder

CONTACTS = 6
DATABASE = "stock"

Graph = CompiledStateGraph[Any, Any, Any, Any]


async def main(model_url: str, database_url: str) -> tuple[float, float]:
    """CPU per turn, early and late."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {DATABASE}")
        connection.execute(f"create database {DATABASE}")
    url = database_url.rpartition("/")[0] + f"/{DATABASE}"
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool[Any](url, max_size=8, kwargs=options) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        graph = _graph(ChatOpenAI(model="test-model", api_key=SecretStr("simulated"), base_url=model_url), saver)
        await _turns(graph, 2)
        early = await _turns(graph, 16)
        await _turns(graph, 74)
        return early, await _turns(graph, 16)


def _graph(model: ChatOpenAI, saver: AsyncPostgresSaver) -> Graph:
    assistant = load_folder(TENANT).assistant
    system = SystemMessage(f"{next(iter(assistant.agents.values())).prompt}\nYou write for {assistant.name}.")

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke([system, *state["messages"]])]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


async def _turns(graph: Graph, count: int) -> float:
    async def contact(number: int) -> None:
        config = RunnableConfig(configurable={"thread_id": str(number)})
        for _ in range(count):
            await graph.ainvoke({"messages": [HumanMessage("mensagem do contato")]}, config)

    began = time.process_time()
    await asyncio.gather(*(contact(number) for number in range(CONTACTS)))
    return (time.process_time() - began) / count / CONTACTS * 1000


if __name__ == "__main__":
    print(*uvloop.run(main(sys.argv[1], sys.argv[2])))
