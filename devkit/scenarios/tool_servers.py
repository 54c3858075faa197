"""Serve the simulated servers that a tenant's tools call, in the scenario's event loop."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

from aiohttp import web

from devkit.serving import AiohttpServer, AsgiServer, listen
from devkit.simulators.ports import PORTS
from manifest.loader import LoadedAssistant, load

TOOL_SECRET = "scripted"  # noqa: S105  # of simulated servers
"""The value of every secret that the tenant's tools name, and the token that the simulated servers require."""


@asynccontextmanager
async def serve_tools(names: Sequence[str], assistant: LoadedAssistant) -> AsyncIterator[LoadedAssistant]:
    """Serve the named simulators during the block. Yield the assistant, with their addresses in its files."""
    files = dict(assistant.files)
    async with AsyncExitStack() as stack:
        for simulator in names:
            port = await _serve(simulator, stack)
            for name in files:
                if name.endswith(".yaml"):
                    usual = f"http://127.0.0.1:{PORTS[simulator]}"
                    files[name] = files[name].replace(usual, f"http://127.0.0.1:{port}")
        yield load(files)


async def _serve(simulator: str, stack: AsyncExitStack) -> int:
    """Serve a simulator until the stack closes, and return its port."""
    # Imported here, because the libraries of a simulator load slowly and most scenarios need none.
    application: Any = import_module(f"devkit.simulators.{simulator}.server").create_application(TOOL_SECRET)
    if isinstance(application, web.Application):
        aiohttp_server = await AiohttpServer.start(application)
        stack.push_async_callback(aiohttp_server.stop)
        return aiohttp_server.port
    listener = listen()
    asgi_server = AsgiServer(application, listener)
    stack.push_async_callback(asgi_server.stop)
    await asgi_server.start()
    return int(listener.getsockname()[1])
