"""The HTTP client of tools: it checks the address of every connection, and limits what it reads."""

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
from tools.net.resolver import HostResolver
from tools.ports import HttpResponse, Unreachable

MAX_BYTES = 1_000_000
MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
CROSS_HOST_HEADERS = frozenset({"accept", "accept-language", "user-agent"})
"""Headers that are kept after a redirect to another host. Any other header may hold a secret."""

CHUNK = 64 * 1024


@dataclass
class _RequestProgress:
    """The progress of a request. `sent`: the server may have received it. `connected`: this hop had a connection."""

    sent: bool = False
    connected: bool = False


class GuardedHttpClient:
    """Sends requests to public addresses and to networks in `allowed`, over http and https.

    The check is made on the address that a socket is about to connect to, so a DNS name cannot bypass it.
    Proxies, cookies and passwords of the environment are not used.
    `programs`: whether tools may start programs on this machine (MCP servers over stdio).
    Create it inside a running event loop, and close it.
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
        self._resolver = resolver or HostResolver()
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(_on_connecting)
        trace.on_connection_create_end.append(_on_connected)
        self._session = aiohttp.ClientSession(
            # A reused connection may be closed while a write is sent; then it is unknown whether the write arrived.
            # No limit on connections: the number of turns is bounded, and a limit would let one tenant's slow server
            # delay other tenants.
            connector=aiohttp.TCPConnector(
                resolver=self._resolver,
                # With its own cache aiohttp would make a tenant wait for a look-up that another has no thread for.
                use_dns_cache=False,
                socket_factory=self._create_socket,
                force_close=True,
                limit=0,
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
        """Close all connections."""
        await self._session.close()
        await self._resolver.close()

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host. Raises OSError if it is unknown and ForbiddenAddress if one is forbidden."""
        entries = [] if is_literal(host) else await self._resolver.resolve(host, port, socket.AF_UNSPEC)
        resolved = [entry["host"] for entry in entries] or [host]
        for address in resolved:
            check_address(address, self._allowed)
        return resolved

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpResponse:
        """Send one request; a GET follows at most MAX_REDIRECTS redirects. Raises Unreachable.

        `timeout` is in seconds, for the request and its redirects together.
        """
        target = _parse_target(url)
        if not all(
            HEADER_NAME.fullmatch(name) and not CONTROL_CHARACTER.search(value) for name, value in headers.items()
        ):
            raise Unreachable("invalid header", sent=False)
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
            # The status was received. It says whether a write succeeded, so a lost body is no failure.
            if whole:
                raise
            return bytes(read), True
        return bytes(read), False

    def _create_socket(self, info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        check_address(address[0], self._allowed)
        return socket.socket(family, kind, protocol)


async def _on_connecting(_: aiohttp.ClientSession, context: Any, __: Any) -> None:
    # aiohttp repeats PUT and DELETE by itself after a lost connection. A write must not be sent twice.
    if context.trace_request_ctx.connected:
        raise aiohttp.ClientConnectionError("no automatic retry")


async def _on_connected(_: aiohttp.ClientSession, context: Any, __: Any) -> None:
    context.trace_request_ctx.connected = context.trace_request_ctx.sent = True


def _parse_target(text: str, *, sent: bool = False) -> URL:
    try:
        url = URL(text, encoded=True)
        named = url.scheme in ("http", "https") and bool(url.host) and bool(url.port)
    except ValueError:
        named = False
    if not named or not text.isascii() or any(character <= " " or character in '\\"<>' for character in text):
        raise Unreachable("not an address of http or https", sent=sent)
    if url.user is not None or url.password is not None:
        raise Unreachable("an address must not hold a user or a password", sent=sent)
    return url.with_fragment(None)


def _join(base: URL, location: str) -> str:
    try:
        return str(base.join(URL(location)))
    except ValueError:
        raise Unreachable(f"{base.host} redirects to an invalid address", sent=True) from None


def _reason(error: Exception) -> str:
    """Return the reason of a failure. It holds no part of the request, which may hold secrets."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ForbiddenAddress):
        return str(cause)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no such host"
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return "no trustworthy TLS connection"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    return "the connection was lost, or the answer was not HTTP"


def _inflate(data: bytes, limit: int, cut: bool) -> tuple[bytes, bool]:
    """Decompress at most `limit` bytes. Data that cannot be decompressed is returned unchanged."""
    try:
        stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
        plain = stream.decompress(data, limit)
    except zlib.error:
        return data, cut
    return plain, cut or not stream.eof
