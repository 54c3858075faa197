"""Tools of MCP servers over stdio and HTTP. The servers are real ones of the MCP SDK."""

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
from tests.tools.fake_ports import LOOPBACK, RecordingServer, StaticResolver, make_context, run_server, tool_from_yaml
from tools.base import Tool
from tools.net.guarded_http import GuardedHttpClient
from tools.ports import JSON, Unreachable

PROGRAM = {"command": [sys.executable, str(Path(school.__file__))]}
YEAR = {"type": "object", "properties": {"year": {"type": "integer"}}, "required": ["year"]}


@pytest.fixture(scope="module")
async def address() -> AsyncIterator[str]:
    """Yield the URL of the school over HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(school.SCHOOL.streamable_http_app(), log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        server.should_exit = True
        await task


@pytest.fixture
async def programs() -> AsyncIterator[GuardedHttpClient]:
    """Yield a client of a deployment that lets tenants start programs."""
    async with GuardedHttpClient(allowed=LOOPBACK, programs=True) as way:
        yield way


def school_tool(server: dict[str, Any], name: str, parameters: JSON | None = None, **changes: Any) -> Tool:
    """Return a tool of the school."""
    section = {"mcp": {"server": "school", "tool": name}, "parameters": parameters or {"type": "object"}, **changes}
    return tool_from_yaml(section, mcp={"school": server})


async def run_tool(
    tool: Tool, http_client: GuardedHttpClient, secrets: dict[str, str] | None = None, **arguments: Any
) -> JSON:
    """Return the result of the tool."""
    return await tool.run(make_context(http_client, secrets or {}), tool.parse(arguments))


async def test_a_read_over_http_returns_the_selected_result(address: str, http_client: GuardedHttpClient) -> None:
    tool = school_tool({"url": address}, "find_class", YEAR, effects="read", result="room")
    assert (tool.name, tool.effects, tool.remote) == ("t", "read", True)
    assert await run_tool(tool, http_client, year=3) == {"result": "B2"}


async def test_a_write_over_http_has_a_key_and_secret_headers(address: str, http_client: GuardedHttpClient) -> None:
    server = {"url": address, "headers": {"Authorization": "Bearer ${secret:SCHOOL}"}}
    name = {"type": "object", "properties": {"name": {"type": "string"}}}
    tool = school_tool(server, "enrol", name)
    assert (tool.effects, tool.idempotent, tool.secrets) == ("write", False, frozenset({"SCHOOL"}))
    answer = await run_tool(tool, http_client, {"SCHOOL": "k3y"}, name="Ana")
    assert answer == {"result": "Ana; call-1; Bearer [secret]"}


async def test_a_tool_over_stdio_returns_its_result(programs: GuardedHttpClient) -> None:
    assert await run_tool(school_tool(PROGRAM, "find_class", YEAR), programs, year=3) == {
        "result": {"year": 3, "room": "B2"}
    }


async def test_a_program_does_not_get_our_environment(
    programs: GuardedHttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "ours")
    tool = school_tool(PROGRAM | {"env": {"PASS": "a${secret:PASS}"}}, "environment")
    assert await run_tool(tool, programs, {"PASS": "w0rd"}) == {"result": "a[secret]"}
    with pytest.raises(Unreachable) as raised:
        await run_tool(tool, programs, {"PASS": "${DATABASE_URL}"})
    assert not raised.value.sent


async def test_a_program_needs_the_permission_of_the_deployment(http_client: GuardedHttpClient) -> None:
    with pytest.raises(Unreachable, match="does not start programs") as raised:
        await run_tool(school_tool(PROGRAM, "find_class", YEAR), http_client, year=3)
    assert not raised.value.sent


async def test_a_missing_program_counts_as_not_sent(programs: GuardedHttpClient) -> None:
    with pytest.raises(Unreachable, match="cannot be started") as raised:
        await run_tool(school_tool({"command": ["/nonexistent/school"]}, "fail"), programs)
    assert not raised.value.sent


async def test_a_program_that_crashes_may_have_done_the_write(programs: GuardedHttpClient) -> None:
    with pytest.raises(Unreachable) as raised:
        await run_tool(school_tool(PROGRAM, "crash"), programs)
    assert raised.value.sent


@pytest.mark.parametrize(("name", "reason"), [("fail", "the school is closed"), ("gone", "Unknown tool: gone")])
async def test_a_refusal_is_a_result(address: str, http_client: GuardedHttpClient, name: str, reason: str) -> None:
    answer = await run_tool(school_tool({"url": address}, name), http_client)
    assert reason in answer["error"]


async def test_every_kind_of_block_is_text_for_the_model(address: str, http_client: GuardedHttpClient) -> None:
    answer = await run_tool(school_tool({"url": address}, "show"), http_client)
    assert answer["result"] == [
        "Hello",
        {"resource": "school://rules", "text": {"uniform": True}},
        {"resource": "school://rules", "text": "às 8h"},
        {"resource": "school://rules", "text": "[application/pdf, 3 bytes: not shown]"},
        {"link": "school://rules", "name": "rules", "description": "The rules."},
        "[image of the type image/png, 3 bytes: not shown]",
        "[audio of the type audio/wav, 3 bytes: not shown]",
    ]


async def test_a_resource_alone_can_be_selected_from(address: str, http_client: GuardedHttpClient) -> None:
    tool = school_tool({"url": address}, "rules", result="text.uniform")
    assert await run_tool(tool, http_client) == {"result": True}


async def test_a_structure_keeps_the_resources_beside_it(address: str, http_client: GuardedHttpClient) -> None:
    answer = await run_tool(school_tool({"url": address}, "report"), http_client)
    resource = {"resource": "school://rules", "text": {"uniform": True}}
    assert answer["result"] == {"grade": 9, "content": [resource]}


async def test_undeclared_arguments_do_not_reach_the_server(address: str) -> None:
    tool = school_tool({"url": address}, "find_class", YEAR)
    with pytest.raises(Exception, match="unexpected"):
        tool.parse({"year": 3, "admin": True})


async def test_an_answer_that_is_too_long_is_refused(address: str, http_client: GuardedHttpClient) -> None:
    with pytest.raises(Unreachable) as raised:
        await run_tool(school_tool({"url": address}, "much", effects="read", retries=0, timeout="5s"), http_client)
    assert raised.value.sent


@pytest.mark.parametrize("name", ["127.0.0.1", "inside.example", "2130706433", "localhost", "[::ffff:127.0.0.1]"])
async def test_a_server_at_an_internal_address_is_refused(address: str, name: str) -> None:
    names = StaticResolver(inside_example=["127.0.0.1"], localhost=["127.0.0.1"])
    async with GuardedHttpClient(resolver=names) as strict:
        tool = school_tool({"url": address.replace("127.0.0.1", name)}, "find_class", YEAR, effects="read", retries=0)
        school.CALLS.clear()
        with pytest.raises(Unreachable) as raised:
            await run_tool(tool, strict, year=3)
    assert not raised.value.sent
    assert school.CALLS == []


async def test_a_name_is_connected_at_its_checked_address(address: str) -> None:
    names = StaticResolver(school_example=["127.0.0.1"])
    async with GuardedHttpClient(allowed=[ip_network("127.0.0.1/32")], resolver=names) as http_client:
        tool = school_tool({"url": address.replace("127.0.0.1", "school.example")}, "find_class", YEAR)
        assert (await run_tool(tool, http_client, year=3))["result"]["year"] == 3


async def test_a_redirect_to_another_host_is_not_followed(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    async with run_server() as other:
        other.answer_with({})

        async def redirect(_: web.Request) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": other.url})

        server.answer_with(redirect)
        tool = school_tool({"url": server.url, "headers": {"Authorization": "${secret:K}"}}, "fail")
        with pytest.raises(Unreachable, match="HTTP status 307"):
            await run_tool(tool, http_client, {"K": "k3y"})
        assert other.requests == []


async def test_a_server_that_does_not_answer_times_out(server: RecordingServer, http_client: GuardedHttpClient) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    server.answer_with(never)
    with pytest.raises(Unreachable, match="in time") as raised:
        await run_tool(school_tool({"url": server.url}, "fail", timeout="500ms"), http_client)
    assert not raised.value.sent, "the session never began"


async def test_a_refused_session_counts_as_not_sent(server: RecordingServer, http_client: GuardedHttpClient) -> None:
    server.answer_with((401, {}))
    with pytest.raises(Unreachable, match="HTTP status 401") as raised:
        await run_tool(school_tool({"url": server.url}, "fail"), http_client)
    assert not raised.value.sent
    assert len(server.requests) == 1
