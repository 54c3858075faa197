"""Tools of MCP servers, over stdio and HTTP, with servers of the MCP SDK."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from aiohttp import web

from tests.tools import school
from tests.tools.fake_ports import LOOPBACK, Names, Server, context, running_server, tool
from tools.base import Tool
from tools.net.guarded_http import GuardedHttpClient
from tools.ports import JSON, Unreachable

PROGRAM = {"command": [sys.executable, str(Path(school.__file__))]}
YEAR = {"type": "object", "properties": {"year": {"type": "integer"}}, "required": ["year"]}


@pytest.fixture(scope="module")
async def address() -> AsyncIterator[str]:
    """The school over HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(school.SCHOOL.streamable_http_app(), log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        server.should_exit = True
        await task


@pytest.fixture
async def programs() -> AsyncIterator[GuardedHttpClient]:
    """A deployment that lets tenants start programs."""
    async with GuardedHttpClient(allowed=LOOPBACK, programs=True) as way:
        yield way


def school_tool(server: dict[str, Any], name: str, parameters: JSON | None = None, **changes: Any) -> Tool:
    """A tool of the school."""
    section = {"mcp": {"server": "school", "tool": name}, "parameters": parameters or {"type": "object"}, **changes}
    return tool(section, mcp={"school": server})


async def run(
    made: Tool, http_client: GuardedHttpClient, secrets: dict[str, str] | None = None, **arguments: Any
) -> JSON:
    """The tool's answer."""
    return await made.run(context(http_client, secrets or {}), made.parse(arguments))


async def test_a_read_over_http(address: str, http_client: GuardedHttpClient) -> None:
    made = school_tool({"url": address}, "find_class", YEAR, effects="read", result="room")
    assert (made.name, made.effects, made.remote) == ("t", "read", True)
    assert await run(made, http_client, year=3) == {"result": "B2"}


async def test_a_write_over_http_is_keyed_and_its_headers_hold_secrets(
    address: str, http_client: GuardedHttpClient
) -> None:
    server = {"url": address, "headers": {"Authorization": "Bearer ${secret:SCHOOL}"}}
    name = {"type": "object", "properties": {"name": {"type": "string"}}}
    made = school_tool(server, "enrol", name)
    assert (made.effects, made.idempotent, made.secrets) == ("write", False, frozenset({"SCHOOL"}))
    answer = await run(made, http_client, {"SCHOOL": "k3y"}, name="Ana")
    assert answer == {"result": "Ana; call-1; Bearer [secret]"}


async def test_a_tool_over_stdio(programs: GuardedHttpClient) -> None:
    assert await run(school_tool(PROGRAM, "find_class", YEAR), programs, year=3) == {
        "result": {"year": 3, "room": "B2"}
    }


async def test_a_program_gets_its_own_environment_and_not_ours(
    programs: GuardedHttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "ours")
    made = school_tool(PROGRAM | {"env": {"PASS": "a${secret:PASS}"}}, "environment")
    assert await run(made, programs, {"PASS": "w0rd"}) == {"result": "a[secret]"}
    with pytest.raises(Unreachable) as caught:
        await run(made, programs, {"PASS": "${DATABASE_URL}"})
    assert not caught.value.sent


async def test_no_program_is_started_unless_the_deployment_allows_it(http_client: GuardedHttpClient) -> None:
    with pytest.raises(Unreachable, match="does not start programs") as caught:
        await run(school_tool(PROGRAM, "find_class", YEAR), http_client, year=3)
    assert not caught.value.sent


async def test_a_program_that_is_not_there_was_told_nothing(programs: GuardedHttpClient) -> None:
    with pytest.raises(Unreachable, match="cannot be started") as caught:
        await run(school_tool({"command": ["/nonexistent/school"]}, "fail"), programs)
    assert not caught.value.sent


async def test_a_program_that_ends_in_the_middle_of_a_write_leaves_it_unknown(programs: GuardedHttpClient) -> None:
    with pytest.raises(Unreachable) as caught:
        await run(school_tool(PROGRAM, "crash"), programs)
    assert caught.value.sent


@pytest.mark.parametrize(("name", "reason"), [("fail", "the school is closed"), ("gone", "Unknown tool: gone")])
async def test_a_refusal_is_an_answer(address: str, http_client: GuardedHttpClient, name: str, reason: str) -> None:
    answer = await run(school_tool({"url": address}, name), http_client)
    assert reason in answer["error"]


async def test_arguments_that_the_tenant_did_not_declare_do_not_reach_the_server(address: str) -> None:
    made = school_tool({"url": address}, "find_class", YEAR)
    with pytest.raises(Exception, match="unexpected"):
        made.parse({"year": 3, "admin": True})


async def test_an_answer_that_is_too_long_is_not_read(address: str, http_client: GuardedHttpClient) -> None:
    with pytest.raises(Unreachable) as caught:
        await run(school_tool({"url": address}, "much", effects="read", retries=0, timeout="5s"), http_client)
    assert caught.value.sent


@pytest.mark.parametrize("name", ["127.0.0.1", "inside.example", "2130706433", "localhost", "[::ffff:127.0.0.1]"])
async def test_no_server_inside_is_called(address: str, name: str) -> None:
    names = Names(inside_example=["127.0.0.1"], localhost=["127.0.0.1"])
    async with GuardedHttpClient(resolver=names) as strict:
        made = school_tool({"url": address.replace("127.0.0.1", name)}, "find_class", YEAR, effects="read", retries=0)
        school.CALLS.clear()
        with pytest.raises(Unreachable) as caught:
            await run(made, strict, year=3)
    assert not caught.value.sent
    assert school.CALLS == []


async def test_a_name_is_called_at_the_address_that_was_looked_at(address: str) -> None:
    names = Names(school_example=["127.0.0.1"])
    async with GuardedHttpClient(allowed=[ip_network("127.0.0.1/32")], resolver=names) as http_client:
        made = school_tool({"url": address.replace("127.0.0.1", "school.example")}, "find_class", YEAR)
        assert (await run(made, http_client, year=3))["result"]["year"] == 3


async def test_a_redirect_elsewhere_is_not_followed(server: Server, http_client: GuardedHttpClient) -> None:
    async with running_server() as other:
        other.says({})

        async def redirect(_: web.Request) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": other.url})

        server.says(redirect)
        made = school_tool({"url": server.url, "headers": {"Authorization": "${secret:K}"}}, "fail")
        with pytest.raises(Unreachable, match="HTTP status 307"):
            await run(made, http_client, {"K": "k3y"})
        assert other.seen == []


async def test_a_server_that_says_nothing_ends_with_the_time(server: Server, http_client: GuardedHttpClient) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    server.says(never)
    with pytest.raises(Unreachable, match="in time") as caught:
        await run(school_tool({"url": server.url}, "fail", timeout="500ms"), http_client)
    assert not caught.value.sent, "the session never began"


async def test_a_server_that_refuses_the_session_was_told_nothing(
    server: Server, http_client: GuardedHttpClient
) -> None:
    server.says((401, {}))
    with pytest.raises(Unreachable, match="HTTP status 401") as caught:
        await run(school_tool({"url": server.url}, "fail"), http_client)
    assert not caught.value.sent
    assert len(server.seen) == 1
