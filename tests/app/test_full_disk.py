"""A full disk, for Postgres and for the log files: nothing is lost, and all goes on by itself."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest

from app.supervisor import forget, spawn
from bench.chaos.outages import full_disk
from devkit.embedded.process import free_port
from devkit.simulators.twilio.signing import sign
from tests.platform import TOKEN, Platform

FULL = Path("/dev/full")
"""A file on which every write fails with ENOSPC."""

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


@contextmanager
def process(platform: Platform, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command of Recado whose stdout and stderr take nothing."""
    with FULL.open("wb", buffering=0) as output:
        running = spawn([sys.executable, "-m", "cli", *command], env=platform.environment, stdout=output, stderr=output)
    try:
        yield running
        running.terminate()
        assert running.wait(30) == 0
    finally:
        running.kill()
        running.wait()
        forget(running)


@asynccontextmanager
async def api(platform: Platform) -> AsyncIterator[str]:
    port = free_port()
    with process(platform, "api", "--port", str(port)):
        at = f"http://127.0.0.1:{port}"
        await started(platform, f"{at}/readyz")
        yield at


@asynccontextmanager
async def worker(platform: Platform) -> AsyncIterator[str]:
    assert platform.engine is not None
    await platform.engine.close()
    port = free_port()
    with process(platform, "worker", "--health-port", str(port)):
        at = f"http://127.0.0.1:{port}"
        await started(platform, f"{at}/healthz")
        yield at


async def started(platform: Platform, url: str) -> None:
    async with asyncio.timeout(60):
        while not await answers(platform, url):
            await asyncio.sleep(0.05)


async def answers(platform: Platform, url: str) -> bool:
    with contextlib.suppress(aiohttp.ClientError):
        async with platform.http.get(url) as answer:
            return answer.status == 200
    return False


async def dropped_lines(platform: Platform, at: str) -> int:
    async with platform.http.get(f"{at}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("recado_log_lines_dropped_total"))


async def test_the_webhook_answers_503_and_stores_later(platform: Platform) -> None:
    url = f"{platform.settings.public_url}/api/v1/twilio/webhook"
    message = platform.webhook("oi")
    signature = {"X-Twilio-Signature": sign(url, message, TOKEN)}
    async with api(platform) as at:
        with full_disk(platform.urls.owner, ["contacts", "conversations", "inbox"]):

            async def post() -> tuple[int, str | None]:
                target = f"{at}/api/v1/twilio/webhook"
                async with platform.http.post(target, data=message, headers=signature) as answer:
                    return answer.status, answer.headers.get("Retry-After")

            async with asyncio.timeout(15):
                answered = await asyncio.gather(*(post() for _ in range(5)))
            assert answered == [(503, "5")] * 5
        assert (await platform.post(message, at=at))[0] == 200
        assert await dropped_lines(platform, at) >= 10


async def test_a_worker_answers_when_there_is_room_again(platform: Platform) -> None:
    async with worker(platform) as at:
        await platform.say("oi")
        with full_disk(platform.urls.owner, ["conversations", "outbox", "turns", "channels", "workers"]):

            async def has_failed() -> bool:
                return await dropped_lines(platform, at) >= 5

            await platform.until(has_failed, "the worker to fail")
        assert (await platform.replies(1))[-1] == "eco: oi"
        assert await answers(platform, f"{at}/healthz")


async def test_the_scheduler_runs_with_a_full_log(platform: Platform) -> None:
    port = free_port()
    with process(platform, "scheduler", "--health-port", str(port)):
        await started(platform, f"http://127.0.0.1:{port}/healthz")
