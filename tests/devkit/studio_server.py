"""Run `recado studio` as a process, and send it requests by HTTP, as Studio's page does."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from devkit.embedded.process import free_port
from tests.cli.shell import recado
from tests.platform import PATIENCE, Platform

ROOT = Path(__file__).parents[2]
READY = "Ctrl-C ends it."
STARTS_WITHIN = 60.0
"""Seconds that the server may take to import every model client."""


@dataclass(frozen=True)
class Studio:
    """A running `recado studio`."""

    process: Process
    port: int
    http: httpx.AsyncClient
    environment: dict[str, str]
    printed: str

    async def call(self, method: str, path: str, **body: Any) -> Any:
        """Return the JSON of an answer that must be a success."""
        answer = await self.http.request(method, path, json=body or None)
        assert answer.is_success, answer.text
        return answer.json()

    async def threads(self) -> list[dict[str, Any]]:
        """Return the list as Studio's page shows it: what was updated last comes first."""
        found: list[dict[str, Any]] = await self.call("POST", "/threads/search", limit=100)
        return found

    async def command(self, name: str, conversation: str) -> list[str]:
        """Return the lines that `recado studio NAME CONVERSATION` prints."""
        arguments = ("studio", name, conversation, "--port", str(self.port))
        done = await asyncio.to_thread(recado, *arguments, **self.environment)
        assert done.code == 0, done.err
        return done.out.splitlines()

    async def answers(self) -> bool:
        """Return whether something listens on the server's port."""
        try:
            await self.http.get("/ok")
        except httpx.ConnectError:
            return False
        return True

    async def gone(self) -> bool:
        """Return whether the server's port is closed within the tests' patience."""
        async with asyncio.timeout(PATIENCE):
            while await self.answers():
                await asyncio.sleep(0.1)
        return True


@asynccontextmanager
async def studio(platform: Platform, data: Path) -> AsyncIterator[Studio]:
    """Run `recado studio` on the platform's database and its model."""
    port = free_port()
    environment = {
        **platform.urls.processes,
        "OPENAI_API_KEY": "key",
        "OPENAI_BASE_URL": f"{platform.servers.model}/v1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "studio", "--port", str(port), "--data", str(data)),
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        stdout=PIPE,
    )
    try:
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as http,
            asyncio.timeout(STARTS_WITHIN * 2),
        ):
            yield Studio(process, port, http, environment, await _printed(process))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _printed(process: Process) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(STARTS_WITHIN):
        while READY not in (line := (await process.stdout.readline()).decode()):
            assert line, "recado studio ended: its error is above"
            lines.append(line)
    return "".join(lines)
