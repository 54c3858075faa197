"""A program that prints the milliseconds of CPU that one call of the model client takes.

It calls the simulated model. Usage: `python -m bench.measures.model_client_cpu MODEL_URL`.
"""

import asyncio
import sys
import time

import uvloop
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from app.config import ModelProvider
from bench.stack import TENANT_FOLDER
from graphs.llm_client import Models, Toolbox
from manifest.folder import load_folder

CALLS, CONCURRENT_CALLS = 400, 8
WARM_UP_CALLS = 20


async def measure_call_ms(base_url: str) -> float:
    """Return the milliseconds of CPU per call, with as many messages and tools as a turn of the bench has."""
    assistant = load_folder(TENANT_FOLDER).assistant
    agent = next(iter(assistant.agents.values()))
    models = Models({"openai": ModelProvider("simulated", base_url)})
    toolbox = Toolbox([assistant.tools[name].declaration() for name in agent.tools])
    messages: list[BaseMessage] = [SystemMessage(f"{agent.prompt}\nYou write for {assistant.name}.")]
    for number in range(10):
        messages += [HumanMessage(f"mensagem {number} do contato"), AIMessage(f"eco: mensagem {number} do contato")]
    messages.append(HumanMessage("mensagem"))

    async def call(count: int) -> None:
        for _ in range(count):
            await models.answer(assistant.models, messages, toolbox)

    await call(WARM_UP_CALLS)
    started = time.process_time()
    await asyncio.gather(*(call(CALLS // CONCURRENT_CALLS) for _ in range(CONCURRENT_CALLS)))
    used = time.process_time() - started
    await models.close()
    return used / CALLS * 1000


if __name__ == "__main__":
    print(f"{uvloop.run(measure_call_ms(sys.argv[1])):.3f}")
