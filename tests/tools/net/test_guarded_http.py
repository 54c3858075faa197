"""The HTTP client of tools: refused addresses, redirects, limits, and whether a request was sent."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web

from tests.tools.fake_ports import LOOPBACK, RecordingServer, StaticResolver, abort_connection, run_server
from tools.kinds.mcp import McpHttpClient
from tools.net.guarded_http import GuardedHttpClient
from tools.ports import HttpClient, HttpResponse, Unreachable


async def get(http_client: HttpClient, url: str, method: str = "GET", **given: Any) -> HttpResponse:
    """Send one request."""
    options = {"headers": {}, "body": None, "timeout": 10.0} | given
    return await http_client.request(method, url, **options)


@asynccontextmanager
async def strict(**addresses: list[str]) -> AsyncIterator[GuardedHttpClient]:
    """Yield a client that allows only public addresses."""
    async with GuardedHttpClient(resolver=StaticResolver(**addresses) if addresses else None) as way:
        yield way


def test_it_implements_the_ports_of_tools() -> None:
    assert issubclass(GuardedHttpClient, HttpClient)
    assert hasattr(McpHttpClient, "addresses")


async def test_an_allowed_server_answers(server: RecordingServer, http_client: GuardedHttpClient) -> None:
    server.answer_with((201, {"a": 1}))
    response = await get(http_client, f"{server.url}/a%2Fb?q=%20", headers={"X": "1"}, method="POST", body=b"{}")
    assert (response.status, response.body, response.cut) == (201, b'{"a": 1}', False)
    assert response.content_type.startswith("application/json")
    assert [(seen.method, seen.path, seen.body, seen.headers["X"]) for seen in server.requests] == [
        ("POST", "/a%2Fb?q=%20", b"{}", "1")
    ]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.8.8",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[fec0::1]",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
async def test_an_internal_address_is_refused_in_every_spelling(server: RecordingServer, host: str) -> None:
    server.answer_with({})
    port = server.url.rsplit(":", 1)[1]
    async with strict() as http_client:
        with pytest.raises(Unreachable) as raised:
            await get(http_client, f"http://{host}:{port}/")
    assert not raised.value.sent
    assert server.requests == []


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["::1"], ["10.0.0.1", "127.0.0.1"], ["::ffff:127.0.0.1"]])
async def test_a_name_with_an_internal_address_is_refused(server: RecordingServer, addresses: list[str]) -> None:
    server.answer_with({})
    async with strict(inside_example=addresses) as http_client:
        with pytest.raises(Unreachable, match="tools may not call the address of this host") as raised:
            await get(http_client, server.url.replace("127.0.0.1", "inside.example"))
        with pytest.raises(OSError, match="tools may not call the address of this host"):
            await http_client.addresses("inside.example", 80)
    assert not raised.value.sent
    assert server.requests == []


async def test_only_the_allowed_networks_are_reachable(server: RecordingServer) -> None:
    server.answer_with({})
    names = StaticResolver(inside_example=["127.0.0.1"], other_example=["127.0.0.2"])
    async with GuardedHttpClient(allowed=[ip_network("127.0.0.1/32")], resolver=names) as http_client:
        assert (await get(http_client, server.url.replace("127.0.0.1", "inside.example"))).status == 200
        with pytest.raises(Unreachable, match="tools may not call the address of this host"):
            await get(http_client, server.url.replace("127.0.0.1", "other.example"))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "file:///etc/passwd",
        "http:///x",
        "a.example",
        "http://user@a.example/",
        "http://user:password@a.example/",
        "http://a.example\\@b.example/",
        "http://a.example/a b",
        "http://a.example/\r\nX: 1",
        "http://a.example:99999/",
        "http://a.éxample/",
        "",
    ],
)
async def test_an_invalid_address_is_refused(http_client: GuardedHttpClient, url: str) -> None:
    with pytest.raises(Unreachable) as raised:
        await get(http_client, url)
    assert not raised.value.sent
    assert "password" not in str(raised.value) or "a password" in str(raised.value)


async def test_proxies_of_the_environment_are_not_used(
    server: RecordingServer, http_client: GuardedHttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer_with({})
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert (await get(http_client, server.url)).status == 200


def redirect(to: str, status: int = 302) -> Any:
    """Return a handler that redirects."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": to, "Set-Cookie": "a=b"})

    return handle


async def test_a_get_follows_three_redirects_and_no_more(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with(redirect("/1"), redirect("2"), redirect("?3", 307), {"done": True})
    assert (await get(http_client, f"{server.url}/a/b", headers={"Authorization": "k"})).body == b'{"done": true}'
    assert [seen.path for seen in server.requests] == ["/a/b", "/1", "/2", "/2?3"]
    assert all(seen.headers["Authorization"] == "k" for seen in server.requests), "all requests stay on one host"
    assert all("Cookie" not in seen.headers for seen in server.requests)
    server.answer_with(redirect("/again"))
    with pytest.raises(Unreachable, match="more than 3 times") as raised:
        await get(http_client, server.url)
    assert raised.value.sent


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_write_follows_no_redirect(
    server: RecordingServer, http_client: GuardedHttpClient, method: str
) -> None:
    server.answer_with(redirect("/elsewhere", 307))
    assert (await get(http_client, server.url, method)).status == 307
    assert len(server.requests) == 1


async def test_a_redirect_to_another_host_drops_secret_headers(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    async with run_server() as other:
        server.answer_with(redirect(f"{other.url}/x"))
        other.answer_with({})
        headers = {"Authorization": "k", "X-Api-Key": "k", "Cookie": "k", "Accept": "text/plain"}
        await get(http_client, server.url, headers=headers)
        assert not {"Authorization", "X-Api-Key", "Cookie"} & other.requests[0].headers.keys()
        assert other.requests[0].headers["Accept"] == "text/plain"


@pytest.mark.parametrize(
    "to",
    [
        "http://127.0.0.2:{port}/",
        "http://[::1]:{port}/",
        "http://inside.example:{port}/",
        "//127.0.0.2:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "http://user:pw@127.0.0.1:{port}/",
        "http://[",
    ],
)
async def test_the_target_of_every_redirect_is_checked(server: RecordingServer, to: str) -> None:
    server.answer_with(redirect(to.format(port=server.url.rsplit(":", 1)[1])), {"secret": True})
    names = StaticResolver(inside_example=["127.0.0.2"])
    async with GuardedHttpClient(allowed=[ip_network("127.0.0.1/32")], resolver=names) as http_client:
        with pytest.raises(Unreachable):
            await get(http_client, server.url)
    assert len(server.requests) == 1


async def test_an_answer_is_read_up_to_a_limit(server: RecordingServer) -> None:
    async def much(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 5_000)

    async def exactly(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 1_000)

    server.answer_with(much, exactly)
    async with GuardedHttpClient(allowed=LOOPBACK, max_bytes=1_000) as http_client:
        cut, whole = await get(http_client, server.url), await get(http_client, server.url)
    assert (len(cut.body), cut.cut) == (1_000, True)
    assert (len(whole.body), whole.cut) == (1_000, False)


async def test_a_compressed_answer_is_not_larger_than_the_limit(server: RecordingServer) -> None:
    async def bomb(_: web.Request) -> web.StreamResponse:
        return web.Response(body=gzip.compress(b"x" * 1_000_000), headers={"Content-Encoding": "gzip"})

    server.answer_with(bomb)
    async with GuardedHttpClient(allowed=LOOPBACK, max_bytes=2_000) as http_client:
        response = await get(http_client, server.url)
    assert (response.body, response.cut) == (b"x" * 2_000, True)
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


async def test_a_closed_port_counts_as_not_sent(http_client: GuardedHttpClient) -> None:
    async with run_server() as closed_server:
        pass
    with pytest.raises(Unreachable, match="no connection") as raised:
        await get(http_client, closed_server.url, "POST", body=b"{}")
    assert not raised.value.sent


async def test_an_unknown_name_counts_as_not_sent() -> None:
    async with strict(known_example=["8.8.8.8"]) as http_client:
        with pytest.raises(Unreachable, match="no such host") as raised:
            await get(http_client, "https://unknown.example/")
    assert not raised.value.sent


async def test_a_failed_tls_handshake_counts_as_not_sent(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with({})
    with pytest.raises(Unreachable) as raised:
        await get(http_client, server.url.replace("http:", "https:"), "POST", headers={"Authorization": "k"})
    assert not raised.value.sent
    assert server.requests == []


async def test_a_lost_connection_counts_as_sent_without_a_retry(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with(abort_connection)
    for method in ("POST", "PUT", "DELETE", "GET"):
        with pytest.raises(Unreachable) as raised:
            await get(http_client, server.url, method)
        assert raised.value.sent
    assert [seen.method for seen in server.requests] == ["POST", "PUT", "DELETE", "GET"]


async def test_a_timeout_without_an_answer_counts_as_sent(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    server.answer_with(never)
    with pytest.raises(Unreachable, match="in time") as raised:
        await get(http_client, server.url, timeout=0.3)
    assert raised.value.sent


async def test_a_status_settles_a_write_even_if_the_body_is_lost(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=201, headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    server.answer_with(half)
    response = await get(http_client, server.url, "POST")
    assert (response.status, response.cut) == (201, True)
    with pytest.raises(Unreachable) as raised:
        await get(http_client, server.url)
    assert raised.value.sent


async def test_a_header_with_a_line_break_sends_nothing(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with({})
    with pytest.raises(Unreachable) as raised:
        await get(http_client, server.url, headers={"X": "abc\r\nY: 1"})
    assert not raised.value.sent
    assert "abc" not in str(raised.value)
    assert server.requests == []
