"""The way out to other systems: looks at every address before anything is sent to it, and reads only so much."""

import asyncio
import socket
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from tools.net.headers import CONTROL_CHARACTER, HEADER_NAME
from tools.net.ip_policy import ForbiddenAddress, Network, check_address, is_literal
from tools.ports import HttpResponse, Unreachable

MAX_BYTES = 1_000_000
MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
CROSS_HOST_HEADERS = frozenset({"accept", "accept-language", "user-agent"})
"""Headers that another host may see after a redirect: any other may hold a secret."""

CHUNK = 64 * 1024


@dataclass
class _RequestProgress:
    """How far a request has come. `sent`: something may have been; `connected`: there was a connection for this hop."""

    sent: bool = False
    connected: bool = False


class GuardedHttpClient:
    """Calls public addresses, and those within `allowed`, over http and https.

    A name counts for nothing: what is looked at is the address that a socket is about to be connected to. Proxies,
    cookies and passwords of the environment are not used. `programs`: whether tools may start programs on this machine
    (MCP servers over stdio). Needs a running event loop, and to be closed.
    """

    def __init__(
        self,
        *,
        allowed: Sequence[Network] = (),
        programs: bool = False,
        max_bytes: int = MAX_BYTES,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.programs = programs
        self._allowed = tuple(allowed)
        self._max_bytes = max_bytes
        self._resolver = resolver or aiohttp.ThreadedResolver()
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(_on_connecting)
        trace.on_connection_create_end.append(_on_connected)
        self._session = aiohttp.ClientSession(
            # A connection that is used again may be closed just when a write is sent, and nobody could say whether it
            # arrived. No limit here: the turns in flight are bounded, and one tenant's slow server stops no other's.
            connector=aiohttp.TCPConnector(
                resolver=self._resolver, socket_factory=self._create_socket, force_close=True, limit=0
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
            trust_env=False,
            trace_configs=[trace],
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses that this host may be called at. Raises OSError: unknown, or ForbiddenAddress."""
        entries = [] if is_literal(host) else await self._resolver.resolve(host, port, socket.AF_UNSPEC)
        found = [entry["host"] for entry in entries] or [host]
        for address in found:
            check_address(address, self._allowed)
        return found

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpResponse:
        """One request, with at most MOST_REDIRECTS redirects of a GET; `timeout` is for all of it, in seconds.

        Raises Unreachable.
        """
        target = _parse_target(url)
        if not all(
            HEADER_NAME.fullmatch(name) and not CONTROL_CHARACTER.search(value) for name, value in headers.items()
        ):
            raise Unreachable("a header that no request can hold", sent=False)
        progress = _RequestProgress()
        try:
            async with asyncio.timeout(timeout):
                return await self._send_following_redirects(method, target, dict(headers), body, progress)
        except TimeoutError:
            raise Unreachable(f"{target.host} did not answer in time", sent=progress.sent) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(f"{target.host}: {_reason(error)}", sent=progress.sent) from None

    async def _send_following_redirects(
        self, method: str, target: URL, headers: dict[str, str], body: bytes | None, progress: _RequestProgress
    ) -> HttpResponse:
        for _ in range(MAX_REDIRECTS + 1):
            progress.connected = False
            response, location = await self._send_once(method, target, headers, body, progress)
            if method != "GET" or response.status not in REDIRECTS or location is None:
                return response
            there = _parse_target(_join(target, location), sent=True)
            if there.origin() != target.origin():
                headers = {name: value for name, value in headers.items() if name.lower() in CROSS_HOST_HEADERS}
            target = there
        raise Unreachable(f"{target.host} redirects more than {MAX_REDIRECTS} times", sent=True)

    async def _send_once(
        self, method: str, target: URL, headers: Mapping[str, str], body: bytes | None, progress: _RequestProgress
    ) -> tuple[HttpResponse, str | None]:
        async with self._session.request(
            method,
            target,
            headers={**headers, "Accept-Encoding": "identity"},
            data=body,
            allow_redirects=False,
            trace_request_ctx=progress,
        ) as response:
            read, cut = await self._read(response, whole=method == "GET")
            if response.headers.get("Content-Encoding", "identity").lower() in ("gzip", "deflate", "x-gzip"):
                read, cut = _inflate(read, self._max_bytes, cut)
            kind = response.headers.get("Content-Type", "")
            return HttpResponse(response.status, kind, read, cut), response.headers.get("Location")

    async def _read(self, response: aiohttp.ClientResponse, *, whole: bool) -> tuple[bytes, bool]:
        read = bytearray()
        try:
            async for chunk in response.content.iter_chunked(CHUNK):
                read += chunk
                if len(read) > self._max_bytes:
                    return bytes(read[: self._max_bytes]), True
        except (aiohttp.ClientError, OSError):
            # The status has come: whoever asked for a change knows what became of it, even if the rest is lost.
            if whole:
                raise
            return bytes(read), True
        return bytes(read), False

    def _create_socket(self, info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        check_address(address[0], self._allowed)
        return socket.socket(family, kind, protocol)


async def _on_connecting(_: aiohttp.ClientSession, context: Any, __: Any) -> None:
    # On its own, aiohttp sends PUT and DELETE a second time when the first connection broke.
    if context.trace_request_ctx.connected:
        raise aiohttp.ClientConnectionError("once is enough")


async def _on_connected(_: aiohttp.ClientSession, context: Any, __: Any) -> None:
    context.trace_request_ctx.connected = context.trace_request_ctx.sent = True


def _parse_target(text: str, *, sent: bool = False) -> URL:
    try:
        url = URL(text, encoded=True)
        named = url.scheme in ("http", "https") and bool(url.host) and bool(url.port)
    except ValueError:
        named = False
    if not named or not text.isascii() or any(character <= " " or character in '\\"<>' for character in text):
        raise Unreachable("what should be called is not an address of http or https", sent=sent)
    if url.user is not None or url.password is not None:
        raise Unreachable("an address with a user or a password is not called", sent=sent)
    return url.with_fragment(None)


def _join(base: URL, location: str) -> str:
    try:
        return str(base.join(URL(location)))
    except ValueError:
        raise Unreachable(f"{base.host} redirects to what is not an address", sent=True) from None


def _reason(error: Exception) -> str:
    """Why, in words that hold nothing of the request."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ForbiddenAddress):
        return str(cause)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no such host"
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return "no trustworthy TLS connection"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    return "the connection broke, or what came was not HTTP"


def _inflate(data: bytes, limit: int, cut: bool) -> tuple[bytes, bool]:
    """Decompressed, but no more than `most` bytes; what cannot be decompressed stays as it is."""
    try:
        stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
        plain = stream.decompress(data, limit)
    except zlib.error:
        return data, cut
    return plain, cut or not stream.eof
