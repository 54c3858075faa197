"""The servers that a tenant's tools talk to, simulated in this loop: new for each scenario."""

import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import web

from devkit.serving import AiohttpServer, AsgiServer, listen
from devkit.simulators.ports import PORTS
from manifest.loader import LoadedAssistant, load

SCRIPTED = "scripted"
"""Every secret that the tenant's tools name, and so the token that the parts ask for."""


@asynccontextmanager
async def served(parts: Sequence[str], assistant: LoadedAssistant) -> AsyncIterator[LoadedAssistant]:
    """Serves the parts while the block runs, for the assistant that it gives: the same, with their addresses here."""
    files = dict(assistant.files)
    async with AsyncExitStack() as stack:
        for part in parts:
            port = await _serve(part, stack)
            for name in files:
                if name.endswith(".yaml"):
                    usual = f"http://127.0.0.1:{PORTS[part]}"
                    files[name] = files[name].replace(usual, f"http://127.0.0.1:{port}")
        yield load(files)


async def _serve(part: str, stack: AsyncExitStack) -> int:
    """The port that it listens on until the stack closes."""
    # Only now, for the libraries of a part take their time to load and most scenarios need none.
    module: Any = importlib.import_module(f"devkit.simulators.{part}.server")
    application = module.Server(SCRIPTED).application()
    if isinstance(application, web.Application):
        simulated = await AiohttpServer.start(application)
        stack.push_async_callback(simulated.stop)
        return simulated.port
    listening = listen()
    api = AsgiServer(application, listening)
    stack.push_async_callback(api.stop)
    await api.start()
    return int(listening.getsockname()[1])
