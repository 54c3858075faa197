"""A chat over WhatsApp as it is usually written: FastAPI, LangGraph's saver, ChatOpenAI, all within the webhook.

It is the baseline for replies per second. It verifies no signature, stores no message before the answer, and what runs
is lost with the process.
Usage: `python -m bench.measures.stock_server MODEL_URL DATABASE_URL TWILIO_URL`.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from bench.measures.langgraph_baseline import build_graph, open_saver
from devkit.stack import WEBHOOK_PATH


def create_app(model_url: str, database_url: str, twilio_url: str) -> FastAPI:
    """Return the application."""

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        async with open_saver(database_url) as saver, httpx.AsyncClient(base_url=twilio_url, timeout=30) as twilio:
            model = ChatOpenAI(model="test-model", api_key=SecretStr("simulated"), base_url=model_url)
            app.state.graph, app.state.twilio = build_graph(model, saver), twilio
            yield

    app = FastAPI(lifespan=running)

    @app.post(WEBHOOK_PATH)
    async def receive(request: Request) -> Response:
        message = dict(parse_qsl((await request.body()).decode()))
        config = RunnableConfig(configurable={"thread_id": message["From"]})
        state: dict[str, Any] = await app.state.graph.ainvoke({"messages": [HumanMessage(message["Body"])]}, config)
        reply = {"To": message["From"], "From": message["To"], "Body": state["messages"][-1].text}
        await app.state.twilio.post(f"/2010-04-01/Accounts/{message['AccountSid']}/Messages.json", data=reply)
        return Response("<Response/>", media_type="text/xml")

    return app


async def serve(app: FastAPI) -> None:
    """Serve on a free port, and print its address."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.05)
        print(f"stock server ready on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        await serving


if __name__ == "__main__":
    asyncio.run(serve(create_app(*sys.argv[1:])))
