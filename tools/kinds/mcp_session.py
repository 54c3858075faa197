"""One session with an MCP server for one call, over HTTP to allowed addresses or with a local program."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
from langchain_mcp_adapters.sessions import create_session
from mcp import ClientSession, McpError, types

from tools.kinds.form_bodies import is_json
from tools.kinds.http import REFUSED_STATUSES
from tools.kinds.mcp import McpAnswer, McpCall, McpHttpClient
from tools.kinds.result_rendering import decode_body
from tools.net.guarded_http import MAX_BYTES, MAX_REDIRECTS
from tools.net.ip_policy import ForbiddenAddress
from tools.ports import HttpResponse, Unreachable

REFUSED_CODES = frozenset({types.INVALID_REQUEST, types.METHOD_NOT_FOUND, types.INVALID_PARAMS})
"""Error codes which mean that the server did nothing."""

KEY_FIELD = "recado/idempotency-key"
MAX_REASON_LENGTH = 300


@dataclass
class _SessionProgress:
    """The progress of a call. `sent`: the server may have received it."""

    sent: bool = False
    answer: McpAnswer | None = None


async def call_in_session(http_client: McpHttpClient, mcp_call: McpCall, timeout: float) -> McpAnswer:
    """Open a session, make the call and return the answer. Raises Unreachable.

    `timeout` is in seconds. Ending a local program may take four seconds more.
    """
    progress = _SessionProgress()
    reason = "no answer"
    try:
        async with asyncio.timeout(timeout), _open_session(http_client, mcp_call, timeout) as session:
            await session.initialize()
            progress.sent = True
            progress.answer = await _send_call(session, mcp_call)
    except TimeoutError:
        reason = "did not answer in time"
    except Exception as error:
        # The client raises many kinds of errors, also in groups. Each of them means that the session failed.
        cause = _first_cause(error)
        if (
            progress.sent
            and isinstance(cause, httpx.HTTPStatusError)
            and cause.response.status_code in REFUSED_STATUSES
        ):
            progress.answer = McpAnswer(f"HTTP status {cause.response.status_code}", refused=True)
        reason = _reason(cause)
    if progress.answer is None:
        raise Unreachable(f"the MCP server: {reason}", sent=progress.sent)
    return progress.answer


def _open_session(
    http_client: McpHttpClient, mcp_call: McpCall, timeout: float
) -> AbstractAsyncContextManager[ClientSession]:
    if mcp_call.url is None:
        program, *arguments = mcp_call.command
        environment = dict(mcp_call.environment)
        return create_session({"transport": "stdio", "command": program, "args": arguments, "env": environment})

    def client(
        headers: dict[str, str] | None = None, timeout: httpx.Timeout | None = None, auth: httpx.Auth | None = None
    ) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers={**(headers or {}), "Accept-Encoding": "identity"},
            timeout=timeout,
            auth=auth,
            transport=_GuardedTransport(http_client),
            trust_env=False,
            max_redirects=MAX_REDIRECTS,
        )

    return create_session(
        {
            "transport": "streamable_http",
            "url": mcp_call.url,
            "headers": dict(mcp_call.headers),
            "timeout": timeout,
            "sse_read_timeout": timeout,
            "httpx_client_factory": client,
        }
    )


async def _send_call(session: ClientSession, mcp_call: McpCall) -> McpAnswer:
    meta = types.RequestParams.Meta.model_validate({KEY_FIELD: mcp_call.key}) if mcp_call.key is not None else None
    parameters = types.CallToolRequestParams.model_validate(
        {"name": mcp_call.tool, "arguments": dict(mcp_call.arguments), "_meta": meta}
    )
    try:
        # Not `session.call_tool`: it then requests the list of tools, and may fail although the call was made.
        result = await session.send_request(
            types.ClientRequest(types.CallToolRequest(params=parameters)), types.CallToolResult
        )
    except McpError as error:
        if error.error.code not in REFUSED_CODES:
            raise
        return McpAnswer(error.error.message, refused=True)
    return McpAnswer(_result_value(result), refused=result.isError)


def _result_value(result: types.CallToolResult) -> Any:
    structured = result.structuredContent
    if structured is not None:
        # The texts are a copy of the structure for older clients. Resources and images are not in it.
        others = [_block_value(block) for block in result.content if not isinstance(block, types.TextContent)]
        if others and "content" not in structured:
            return {**structured, "content": others}
        return structured["result"] if structured.keys() == {"result"} else structured
    values = [_block_value(block) for block in result.content]
    return values[0] if len(values) == 1 else values or None


def _block_value(block: types.ContentBlock) -> Any:
    """Return a block as a model can read it. What is no text is described."""
    if isinstance(block, types.TextContent):
        return _decoded(block.text)
    if isinstance(block, types.EmbeddedResource):
        return _resource_value(block.resource)
    if isinstance(block, types.ResourceLink):
        described = {"name": block.name, "title": block.title, "description": block.description}
        return {"link": str(block.uri), **{key: text for key, text in described.items() if text}}
    size = len(block.data) * 3 // 4
    return f"[{block.type} of the type {block.mimeType}, {size} bytes: not shown]"


def _resource_value(resource: types.TextResourceContents | types.BlobResourceContents) -> Any:
    """Return the address of a resource and its text, also if the text was sent as bytes."""
    if isinstance(resource, types.TextResourceContents):
        return {"resource": str(resource.uri), "text": _decoded(resource.text)}
    media_type = (resource.mimeType or "").split(";")[0].strip().lower()
    if media_type.startswith("text/") or is_json(media_type):
        with contextlib.suppress(ValueError):
            text = base64.b64decode(resource.blob, validate=True).decode()
            return {"resource": str(resource.uri), "text": _decoded(text)}
    size = len(resource.blob) * 3 // 4
    return {"resource": str(resource.uri), "text": f"[{media_type or 'bytes'}, {size} bytes: not shown]"}


def _decoded(text: str) -> Any:
    return decode_body(HttpResponse(200, "", text.encode("utf-8", "replace")))


class _GuardedTransport(httpx.AsyncBaseTransport):
    """Connects only to addresses that were checked, and reads at most MAX_BYTES of an answer."""

    def __init__(self, http_client: McpHttpClient) -> None:
        self._http_client = http_client
        self._inner = httpx.AsyncHTTPTransport(verify=_tls_context(), trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request to the first address that accepts a connection. Raises OSError, httpx.HTTPError."""
        url = request.url
        failure: httpx.TransportError = httpx.ConnectError("the host has no address")
        for address in await self._http_client.addresses(url.host, url.port or (443 if url.scheme == "https" else 80)):
            pinned = httpx.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": url.host},
            )
            try:
                response = await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
                continue
            return httpx.Response(
                response.status_code,
                headers=response.headers,
                stream=_Limited(response),
                extensions=response.extensions,
            )
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


class _Limited(httpx.AsyncByteStream):
    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._response.headers.get("Content-Encoding", "identity") != "identity":
            # A compressed megabyte can decompress to a gigabyte.
            raise httpx.ReadError("the answer is compressed, although the request excludes it")
        read = 0
        async for chunk in self._response.aiter_raw():
            read += len(chunk)
            if read > MAX_BYTES:
                raise httpx.ReadError(f"more than {MAX_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


@cache
def _tls_context() -> ssl.SSLContext:
    # Cached, because it reads all certificates that this machine trusts.
    return ssl.create_default_context()


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _reason(error: BaseException) -> str:
    """Return the reason of a failure. It holds no part of the request, which may hold secrets."""
    if isinstance(error, ForbiddenAddress):
        return str(error)
    if isinstance(error, McpError):
        return error.error.message[:MAX_REASON_LENGTH]
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, httpx.TimeoutException):
        return "did not answer in time"
    if isinstance(error, httpx.TransportError):
        return "no connection, or the connection was lost"
    return "cannot be started or found" if isinstance(error, OSError) else "the session failed"
