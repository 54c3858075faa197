"""Tools of one HTTP request: what is sent, what the model is shown, and what is tried again."""

import json
from typing import Any

import pytest
from aiohttp import web

from tests.tools.fake_ports import SECRETS, Server, breaks, context, running_server, tool
from tools.base import InvalidArguments, Tool
from tools.net.guarded_http import GuardedHttpClient
from tools.ports import JSON, Unreachable

ORDER = {"type": "object", "properties": {"id": {"type": "string"}, "note": {"type": "string"}}, "required": ["id"]}


async def run(made: Tool, http_client: GuardedHttpClient, **arguments: Any) -> JSON:
    """The tool's answer."""
    return await made.run(context(http_client), made.parse(arguments))


def reads(server: Server, **changes: Any) -> Tool:
    """A tool that looks an order up."""
    http = {"url": f"{server.url}/orders/{{id}}?note={{note}}", "headers": {"Authorization": "Bearer ${secret:SHOP}"}}
    return tool({"parameters": ORDER, "http": http, **changes})


def writes(server: Server, **changes: Any) -> Tool:
    """A tool that changes an order."""
    http = {"method": "POST", "url": f"{server.url}/orders/{{id}}"}
    return tool({"parameters": ORDER, "http": http, **changes})


async def test_a_read_is_a_get_without_a_key(server: Server, http_client: GuardedHttpClient) -> None:
    server.says({"total": 3})
    made = reads(server)
    assert (made.effects, made.remote, made.idempotent, made.secrets) == (
        "read",
        True,
        False,
        frozenset({"SHOP"}),
    )
    assert await run(made, http_client, id="A 1") == {"status": 200, "result": {"total": 3}}
    seen = server.seen[0]
    assert (seen.method, seen.path, seen.body) == ("GET", "/orders/A%201", b"")
    assert seen.headers["Authorization"].encode("utf-8", "surrogateescape").decode() == f"Bearer {SECRETS['SHOP']}"
    assert "Idempotency-Key" not in seen.headers


async def test_a_write_is_keyed_and_sends_what_nothing_else_takes(
    server: Server, http_client: GuardedHttpClient
) -> None:
    server.says((201, {"id": 7}))
    made = writes(server, approval="required", idempotent=True)
    assert (made.effects, made.idempotent, made.approval) == ("write", True, True)
    assert await run(made, http_client, id="A", note="açaí") == {"status": 201, "result": {"id": 7}}
    seen = server.seen[0]
    assert (seen.path, json.loads(seen.body)) == ("/orders/A", {"note": "açaí"})
    assert seen.headers["Idempotency-Key"] == "call-1"
    assert seen.headers["Content-Type"] == "application/json"


async def test_a_body_holds_arguments_and_secrets(server: Server, http_client: GuardedHttpClient) -> None:
    server.says({})
    body = {"order": "{id}", "key": "${secret:SHOP}", "note": "{note}"}
    made = tool({"parameters": ORDER, "http": {"method": "PUT", "url": f"{server.url}/x", "body": body}})
    await run(made, http_client, id="1")
    assert json.loads(server.seen[0].body) == {"order": "1", "key": SECRETS["SHOP"]}


async def test_a_form_is_sent_if_the_content_type_says_so(server: Server, http_client: GuardedHttpClient) -> None:
    server.says({})
    http = {
        "method": "POST",
        "url": f"{server.url}/x",
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "body": {"a": "{id}", "b": 1},
    }
    await run(
        tool({"parameters": ORDER | {"properties": {"id": {"type": "string"}}}, "http": http}), http_client, id="x&y"
    )
    assert server.seen[0].body == b"a=x%26y&b=1"
    assert server.seen[0].headers["Content-Type"] == "application/x-www-form-urlencoded"


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
def test_bad_arguments_are_told_to_the_model_before_anything_is_sent(arguments: JSON, reason: str) -> None:
    with pytest.raises(InvalidArguments, match=reason):
        reads(Server("https://a.example")).parse(arguments)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 307])
async def test_a_refusal_is_an_answer(server: Server, http_client: GuardedHttpClient, status: int) -> None:
    server.says((status, {"reason": "no"}))
    assert await run(writes(server), http_client, id="1") == {"status": status, "error": {"reason": "no"}}
    assert len(server.seen) == 1


@pytest.mark.parametrize("answer", [(500, {}), (503, {}), (302, {}), breaks])
async def test_what_became_of_a_write_is_unknown_and_it_is_not_sent_again(
    server: Server, http_client: GuardedHttpClient, answer: Any
) -> None:
    server.says(answer)
    with pytest.raises(Unreachable) as caught:
        await run(writes(server), http_client, id="1")
    assert caught.value.sent
    assert len(server.seen) == 1


async def test_a_write_that_was_never_sent_is_said_to_be_so(http_client: GuardedHttpClient) -> None:
    async with running_server() as gone:
        pass
    with pytest.raises(Unreachable) as caught:
        await run(writes(gone), http_client, id="1")
    assert not caught.value.sent


async def test_a_read_is_tried_again_within_bounds(server: Server, http_client: GuardedHttpClient) -> None:
    server.says((503, {}), breaks, {"ok": 1})
    assert await run(reads(server), http_client, id="1") == {"status": 200, "result": {"ok": 1}}
    server.says((503, {}))
    with pytest.raises(Unreachable, match="503"):
        await run(reads(server, retries=1), http_client, id="1")
    assert len(server.seen) == 3 + 2


async def test_a_write_is_repeated_with_its_key_where_the_other_side_honours_it(
    server: Server, http_client: GuardedHttpClient
) -> None:
    server.says(breaks, {"ok": 1})
    assert await run(writes(server, idempotent=True), http_client, id="1") == {"status": 200, "result": {"ok": 1}}
    assert [seen.headers["Idempotency-Key"] for seen in server.seen] == ["call-1", "call-1"]


async def test_a_refusal_of_the_second_attempt_does_not_settle_the_first(
    server: Server, http_client: GuardedHttpClient
) -> None:
    server.says(breaks, (409, {"reason": "in progress"}))
    with pytest.raises(Unreachable) as caught:
        await run(writes(server, idempotent=True, retries=1), http_client, id="1")
    assert caught.value.sent


async def test_too_many_requests_says_that_nothing_was_done(server: Server, http_client: GuardedHttpClient) -> None:
    server.says((429, {}), (422, {"reason": "no"}))
    assert await run(writes(server, idempotent=True), http_client, id="1") == {"status": 422, "error": {"reason": "no"}}


async def test_a_secret_never_comes_back(server: Server, http_client: GuardedHttpClient) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        key = SECRETS["SHOP"]
        return web.json_response({"sent": f"Bearer {key}", key: [key, "s3cr3t%2Fv%C3%A4l%20ue", "s3cr3t/v\\u00e4l ue"]})

    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=403, text=f"<b>{SECRETS['SHOP']}</b> is wrong")

    server.says(echo, refuse)
    made = reads(server)
    shown = [await run(made, http_client, id="1"), await run(made, http_client, id="1")]
    assert "s3cr3t" not in json.dumps(shown)
    assert shown[0]["result"] == {"sent": "Bearer [secret]", "[secret]": ["[secret]", "[secret]", "[secret]"]}
    assert shown[1] == {"status": 403, "error": "<b>[secret]</b> is wrong"}


async def test_a_secret_in_the_query_is_in_no_reason(server: Server, http_client: GuardedHttpClient) -> None:
    server.says(breaks)
    made = tool({"http": {"url": f"{server.url}/x?key=${{secret:SHOP}}"}, "retries": 0})
    with pytest.raises(Unreachable) as caught:
        await run(made, http_client)
    assert server.seen[0].path == "/x?key=s3cr3t%2Fv%C3%A4l%20ue"
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "s3cr3t" not in repr(made)


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
    server: Server, http_client: GuardedHttpClient, select: str, result: JSON
) -> None:
    server.says({"data": {"items": [{"name": "a"}, {"name": "b"}]}})
    assert await run(reads(server, result=select), http_client, id="1") == result


async def test_a_long_answer_is_cut_with_a_note(server: Server, http_client: GuardedHttpClient) -> None:
    server.says(list(range(1_000, 2_000)), {"text": "x" * 500})
    made = reads(server, result={"limit": 100})
    assert await run(made, http_client, id="1") == {
        "status": 200,
        "result": list(range(1_000, 1_016)),
        "note": "cut: the first 16 of 1000",
    }
    shown = await run(made, http_client, id="1")
    assert (len(shown["result"]), shown["note"]) == (100, "cut: the first 100 of 512 characters")


async def test_answers_that_are_not_json_are_texts(server: Server, http_client: GuardedHttpClient) -> None:
    async def latin(_: web.Request) -> web.StreamResponse:
        return web.Response(body="açaí".encode("latin-1"), headers={"Content-Type": "text/plain; charset=latin-1"})

    async def nothing(_: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    async def deep(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"[" * 900 + b"]" * 900)

    async def odd(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"a": "\\u0000b", "c": NaN}'.replace(b', "c": NaN', b""))

    server.says(latin, nothing, deep, odd)
    made = reads(server)
    assert (await run(made, http_client, id="1"))["result"] == "açaí"
    assert await run(made, http_client, id="1") == {"status": 204, "result": None}
    assert (await run(made, http_client, id="1"))["result"] == "[" * 900 + "]" * 900
    assert (await run(made, http_client, id="1"))["result"] == {"a": "b"}
