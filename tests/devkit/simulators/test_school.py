"""The school simulator as its users meet it: a program of its own, asked by the real MCP client."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from langchain_mcp_adapters.sessions import create_session
from mcp import ClientSession

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "a-token"
STUDENT = {"student": "Lia", "born": "2020-04-23", "cpf": "52998224725", "email": "ana@example.com"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-W", "error", "-m", "devkit.simulators.school", "--port", "0", "--token", TOKEN]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().split()[4]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture
async def http(address: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(address) as session:
        async with session.post("/control/reset") as answer:
            assert answer.status == 200
        yield session


@asynccontextmanager
async def session(address: str, **headers: str) -> AsyncIterator[ClientSession]:
    named = {"Authorization": f"Bearer {TOKEN}"} | {name.replace("_", "-"): text for name, text in headers.items()}
    async with create_session({"transport": "streamable_http", "url": f"{address}/mcp", "headers": named}) as opened:
        await opened.initialize()
        yield opened


async def state(http: aiohttp.ClientSession) -> Any:
    async with http.get("/control/state") as answer:
        return await answer.json()


async def test_the_school_tells_its_classes_and_vacancies(address: str, http: aiohttp.ClientSession) -> None:
    async with session(address) as opened:
        names = [tool.name for tool in (await opened.list_tools()).tools]
        assert names == ["list_classes", "vacancies", "enrol"]
        listed = (await opened.call_tool("list_classes", {"shift": "Manhã"})).structuredContent
        assert listed is not None
        assert [one["id"] for one in listed["result"]] == ["infantil-manha", "primeiro-manha"]
        left = await opened.call_tool("vacancies", {"name": "2º ano", "shift": "Tarde"})
        assert left.structuredContent is not None
        assert left.structuredContent["result"]["vacancies"] == 0


async def test_a_key_makes_an_enrolment_happen_once(address: str, http: aiohttp.ClientSession) -> None:
    arguments = {**STUDENT, "name": "1º ano", "shift": "Manhã"}
    async with session(address, Idempotency_Key="k") as opened:
        results = [await opened.call_tool("enrol", arguments) for _ in range(2)]
    assert [result.structuredContent for result in results] == [
        {"result": {"number": "HZ-0001", "class_id": "primeiro-manha"}}
    ] * 2
    kept = await state(http)
    assert (len(kept["enrolments"]), kept["keys"]) == (1, {"k": 2})
    assert kept["classes"][1]["vacancies"] == 1


async def test_a_full_class_takes_nobody(address: str, http: aiohttp.ClientSession) -> None:
    async with session(address) as opened:
        refused = await opened.call_tool("enrol", {**STUDENT, "name": "2º ano", "shift": "Tarde"})
    assert refused.isError
    assert (await state(http))["enrolments"] == []


async def test_only_who_shows_the_token_is_served(http: aiohttp.ClientSession) -> None:
    async with http.post("/mcp", json={}, headers={"Authorization": "Bearer another"}) as answer:
        assert answer.status == 401
