"""Tell how a process is: its background tasks, and the log lines that it has dropped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.background import Heartbeats
from app.errors import ConfigurationError
from app.log_output import LogOutput

REQUEST_WITHIN = 5.0
"""Seconds that a caller has to send its request."""


@dataclass(frozen=True)
class Address:
    """Where a process tells how it is. Port 0 takes a free one."""

    host: str
    port: int


def process_metrics(heartbeats: Heartbeats) -> str:
    """Return what this process knows without Postgres, in the text format of Prometheus."""
    lines = [
        *heartbeats.metrics(),
        "# HELP recado_log_lines_dropped_total Log lines that could not be written.",
        "# TYPE recado_log_lines_dropped_total counter",
        f"recado_log_lines_dropped_total {LogOutput.dropped}",
    ]
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def serve(heartbeats: Heartbeats, address: Address | None) -> AsyncIterator[int | None]:
    """Answer GET /healthz and /metrics over HTTP for the length of the block, and yield the port.

    Without an address nothing is served. Raises ConfigurationError when the port is taken.
    """
    if address is None:
        yield None
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_WITHIN):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(request, heartbeats))
                await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError):
            # TimeoutError is an OSError. The caller has gone, or speaks no HTTP.
            pass
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, address.host, address.port)
    except OSError as error:
        raise ConfigurationError(f"cannot serve health on {address.host}:{address.port}: {error.strerror}") from None
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _response(request: bytes, heartbeats: Heartbeats) -> bytes:
    match request.split(b" ")[:2]:
        case [b"GET", b"/healthz"] if late := heartbeats.late():
            return _http("503 Service Unavailable", f"late: {', '.join(late)}\n")
        case [b"GET", b"/healthz"]:
            return _http("200 OK", "ok\n")
        case [b"GET", b"/metrics"]:
            return _http("200 OK", process_metrics(heartbeats))
        case _:
            return _http("404 Not Found", "there is /healthz and /metrics\n")


def _http(status: str, text: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(text)}\r\n"
    return f"{head}Connection: close\r\n\r\n{text}".encode()
