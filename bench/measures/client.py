"""Calls the simulated model through the model client and prints the milliseconds of CPU per call."""

import asyncio
import sys
import time

import uvloop
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from app.config import ModelProvider
from bench.system import TENANT
from graphs.llm_client import Models, Toolbox
from manifest.folder import load_folder

CALLS, AT_ONCE = 400, 8


async def main(base_url: str) -> float:
    """CPU per call, after a warm-up, with as many messages and tools as a turn of the bench has."""
    assistant = load_folder(TENANT).assistant
    agent = next(iter(assistant.agents.values()))
    models = Models({"openai": ModelProvider("simulated", base_url)})
    toolbox = Toolbox([assistant.tools[name].declaration() for name in agent.tools])
    messages: list[BaseMessage] = [SystemMessage(f"{agent.prompt}\nYou write for {assistant.name}.")]
    for number in range(10):
        messages += [HumanMessage(f"mensagem {number} do contato"), AIMessage(f"eco: mensagem {number} do contato")]
    messages.append(HumanMessage("mensagem"))

    async def calls(count: int) -> None:
        for _ in range(count):
            await models.answer(assistant.models, messages, toolbox)

    await calls(20)
    began = time.process_time()
    await asyncio.gather(*(calls(CALLS // AT_ONCE) for _ in range(AT_ONCE)))
    took = time.process_time() - began
    await models.close()
    return took / CALLS * 1000


if __name__ == "__main__":
    print(f"{uvloop.run(main(sys.argv[1])):.3f}")
