"""Tools of one HTTP request: requests, results and retries."""

import json
from typing import Any

import pytest
from aiohttp import web

from tests.tools.fake_ports import SECRETS, RecordingServer, abort_connection, make_context, run_server, tool_from_yaml
from tools.base import InvalidArguments, Tool
from tools.kinds.result_shortening import shorten
from tools.net.guarded_http import GuardedHttpClient
from tools.ports import JSON, Unreachable

ORDER = {"type": "object", "properties": {"id": {"type": "string"}, "note": {"type": "string"}}, "required": ["id"]}


async def run_tool(tool: Tool, http_client: GuardedHttpClient, **arguments: Any) -> JSON:
    """Return the result of the tool."""
    return await tool.run(make_context(http_client), tool.parse(arguments))


def reads(server: RecordingServer, **changes: Any) -> Tool:
    """Return a tool that reads an order."""
    http = {"url": f"{server.url}/orders/{{id}}?note={{note}}", "headers": {"Authorization": "Bearer ${secret:SHOP}"}}
    return tool_from_yaml({"parameters": ORDER, "http": http, **changes})


def writes(server: RecordingServer, **changes: Any) -> Tool:
    """Return a tool that changes an order."""
    http = {"method": "POST", "url": f"{server.url}/orders/{{id}}"}
    return tool_from_yaml({"parameters": ORDER, "http": http, **changes})


async def test_a_read_is_a_get_without_an_idempotency_key(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with({"total": 3})
    tool = reads(server)
    assert (tool.effects, tool.remote, tool.idempotent, tool.secrets) == (
        "read",
        True,
        False,
        frozenset({"SHOP"}),
    )
    assert await run_tool(tool, http_client, id="A 1") == {"status": 200, "result": {"total": 3}}
    seen = server.requests[0]
    assert (seen.method, seen.path, seen.body) == ("GET", "/orders/A%201", b"")
    assert seen.headers["Authorization"].encode("utf-8", "surrogateescape").decode() == f"Bearer {SECRETS['SHOP']}"
    assert "Idempotency-Key" not in seen.headers


async def test_a_write_has_a_key_and_sends_the_remaining_arguments(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with((201, {"id": 7}))
    tool = writes(server, approval="required", idempotent=True)
    assert (tool.effects, tool.idempotent, tool.approval) == ("write", True, True)
    assert await run_tool(tool, http_client, id="A", note="açaí") == {"status": 201, "result": {"id": 7}}
    seen = server.requests[0]
    assert (seen.path, json.loads(seen.body)) == ("/orders/A", {"note": "açaí"})
    assert seen.headers["Idempotency-Key"] == "call-1"
    assert seen.headers["Content-Type"] == "application/json"


async def test_a_body_holds_arguments_and_secrets(server: RecordingServer, http_client: GuardedHttpClient) -> None:
    server.answer_with({})
    body = {"order": "{id}", "key": "${secret:SHOP}", "note": "{note}"}
    tool = tool_from_yaml({"parameters": ORDER, "http": {"method": "PUT", "url": f"{server.url}/x", "body": body}})
    await run_tool(tool, http_client, id="1")
    assert json.loads(server.requests[0].body) == {"order": "1", "key": SECRETS["SHOP"]}


async def test_the_content_type_of_forms_selects_a_form_body(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with({})
    http = {
        "method": "POST",
        "url": f"{server.url}/x",
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "body": {"a": "{id}", "b": 1},
    }
    await run_tool(
        tool_from_yaml({"parameters": ORDER | {"properties": {"id": {"type": "string"}}}, "http": http}),
        http_client,
        id="x&y",
    )
    assert server.requests[0].body == b"a=x%26y&b=1"
    assert server.requests[0].headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_a_list_in_a_form_is_one_pair_for_each_item(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with({})
    form = {"type": "object", "properties": {"ids": {"type": "array", "items": {"type": "number"}}}}
    for media_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        http = {"method": "POST", "url": f"{server.url}/x", "headers": {"Content-Type": media_type}}
        await run_tool(tool_from_yaml({"parameters": form, "http": http}), http_client, ids=[1, 2.0])
    assert server.requests[0].body == b"ids=1&ids=2"
    assert server.requests[1].body.count(b'name="ids"') == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "'id' is a required property"),
        ({"id": 7}, "id: 7 is not of type 'string'"),
        ({"id": "a", "admin": True}, "'admin' was unexpected"),
        ({"id": "../a"}, "cannot be part of an address"),
        ({"id": "a", "note": "\x00"}, "NUL"),
        ({"id": "a", "note": "\ud800"}, "unpaired surrogate"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(arguments: JSON, reason: str) -> None:
    with pytest.raises(InvalidArguments, match=reason):
        reads(RecordingServer("https://a.example")).parse(arguments)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 307])
async def test_a_refusal_is_a_result(server: RecordingServer, http_client: GuardedHttpClient, status: int) -> None:
    server.answer_with((status, {"reason": "no"}))
    assert await run_tool(writes(server), http_client, id="1") == {"status": status, "error": {"reason": "no"}}
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [(500, {}), (503, {}), (302, {}), abort_connection])
async def test_a_write_with_unknown_outcome_is_not_sent_again(
    server: RecordingServer, http_client: GuardedHttpClient, answer: Any
) -> None:
    server.answer_with(answer)
    with pytest.raises(Unreachable) as raised:
        await run_tool(writes(server), http_client, id="1")
    assert raised.value.sent
    assert len(server.requests) == 1


async def test_a_write_that_was_not_sent_is_reported_as_such(http_client: GuardedHttpClient) -> None:
    async with run_server() as closed_server:
        pass
    with pytest.raises(Unreachable) as raised:
        await run_tool(writes(closed_server), http_client, id="1")
    assert not raised.value.sent


async def test_a_read_is_retried_a_limited_number_of_times(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with((503, {}), abort_connection, {"ok": 1})
    assert await run_tool(reads(server), http_client, id="1") == {"status": 200, "result": {"ok": 1}}
    server.answer_with((503, {}))
    with pytest.raises(Unreachable, match="503"):
        await run_tool(reads(server, retries=1), http_client, id="1")
    assert len(server.requests) == 3 + 2


async def test_an_idempotent_write_is_repeated_with_its_key(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with(abort_connection, {"ok": 1})
    assert await run_tool(writes(server, idempotent=True), http_client, id="1") == {"status": 200, "result": {"ok": 1}}
    assert [seen.headers["Idempotency-Key"] for seen in server.requests] == ["call-1", "call-1"]


async def test_a_refused_second_attempt_does_not_settle_the_first(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with(abort_connection, (409, {"reason": "in progress"}))
    with pytest.raises(Unreachable) as raised:
        await run_tool(writes(server, idempotent=True, retries=1), http_client, id="1")
    assert raised.value.sent


async def test_too_many_requests_allows_another_attempt(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with((429, {}), (422, {"reason": "no"}))
    assert await run_tool(writes(server, idempotent=True), http_client, id="1") == {
        "status": 422,
        "error": {"reason": "no"},
    }


async def test_secrets_are_redacted_in_results(server: RecordingServer, http_client: GuardedHttpClient) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        key = SECRETS["SHOP"]
        return web.json_response({"sent": f"Bearer {key}", key: [key, "s3cr3t%2Fv%C3%A4l%20ue", "s3cr3t/v\\u00e4l ue"]})

    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=403, text=f"<b>{SECRETS['SHOP']}</b> is wrong")

    server.answer_with(echo, refuse)
    tool = reads(server)
    shown = [await run_tool(tool, http_client, id="1"), await run_tool(tool, http_client, id="1")]
    assert "s3cr3t" not in json.dumps(shown)
    assert shown[0]["result"] == {"sent": "Bearer [secret]", "[secret]": ["[secret]", "[secret]", "[secret]"]}
    assert shown[1] == {"status": 403, "error": "<b>[secret]</b> is wrong"}


async def test_a_secret_in_the_query_is_in_no_error(server: RecordingServer, http_client: GuardedHttpClient) -> None:
    server.answer_with(abort_connection)
    tool = tool_from_yaml({"http": {"url": f"{server.url}/x?key=${{secret:SHOP}}"}, "retries": 0})
    with pytest.raises(Unreachable) as raised:
        await run_tool(tool, http_client)
    assert server.requests[0].path == "/x?key=s3cr3t%2Fv%C3%A4l%20ue"
    assert "s3cr3t" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert "s3cr3t" not in repr(tool)


@pytest.mark.parametrize(
    ("select", "result"),
    [
        ("data.items.1.name", {"status": 200, "result": "b"}),
        ("/data/items/0", {"status": 200, "result": {"name": "a"}}),
        ("data.gone", {"status": 200, "result": None, "note": "the answer has nothing at data.gone"}),
        ("data.items.9", {"status": 200, "result": None, "note": "the answer has nothing at data.items.9"}),
    ],
)
async def test_a_part_of_the_answer_is_selected(
    server: RecordingServer, http_client: GuardedHttpClient, select: str, result: JSON
) -> None:
    server.answer_with({"data": {"items": [{"name": "a"}, {"name": "b"}]}})
    assert await run_tool(reads(server, result=select), http_client, id="1") == result


async def test_a_long_answer_is_truncated_with_a_note(server: RecordingServer, http_client: GuardedHttpClient) -> None:
    server.answer_with(list(range(1_000, 2_000)), {"text": "x" * 500})
    tool = reads(server, result={"limit": 100})
    assert await run_tool(tool, http_client, id="1") == {
        "status": 200,
        "result": list(range(1_000, 1_016)),
        "note": "cut: the first 16 of 1000",
    }
    shown = await run_tool(tool, http_client, id="1")
    assert shown == {
        "status": 200,
        "result": {"text": "x" * 85 + "…"},
        "note": "cut: /text: the first 85 of 500 characters",
    }


@pytest.mark.parametrize("limit", [100, 8_000, 64_000])
async def test_the_limit_of_a_tool_is_the_only_one(
    server: RecordingServer, http_client: GuardedHttpClient, limit: int
) -> None:
    server.answer_with({"rows": [{"id": number, "text": "é" * 50} for number in range(2_000)]})
    tool = reads(server, result={"limit": limit})
    shown = await run_tool(tool, http_client, id="1")
    assert limit - 100 < len(json.dumps(shown["result"], ensure_ascii=False)) <= limit
    assert shorten(shown, tool.result_limit) == (shown, None)


async def test_an_answer_that_is_not_json_is_text(server: RecordingServer, http_client: GuardedHttpClient) -> None:
    async def latin(_: web.Request) -> web.StreamResponse:
        return web.Response(body="açaí".encode("latin-1"), headers={"Content-Type": "text/plain; charset=latin-1"})

    async def nothing(_: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    async def deep(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"[" * 900 + b"]" * 900)

    async def odd(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"a": "\\u0000b", "c": NaN}'.replace(b', "c": NaN', b""))

    server.answer_with(latin, nothing, deep, odd)
    tool = reads(server)
    assert (await run_tool(tool, http_client, id="1"))["result"] == "açaí"
    assert await run_tool(tool, http_client, id="1") == {"status": 204, "result": None}
    assert (await run_tool(tool, http_client, id="1"))["result"] == "[" * 900 + "]" * 900
    assert (await run_tool(tool, http_client, id="1"))["result"] == {"a": "b"}
