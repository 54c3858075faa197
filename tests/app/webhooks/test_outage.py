"""Postgres away: nothing is acknowledged that is not stored, and Twilio gets an answer while it still listens."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.platform import ACCOUNT_SID, NUMBER, TENANT, TOKEN, Log, Platform

TWILIO_WAITS = 15.0
"""Seconds until Twilio gives up on a webhook; it takes a late answer for none."""


class Cable:
    """A TCP connection to a server that can be pulled out and put back."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._plugged = True
        self._writers: set[asyncio.StreamWriter] = set()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copies both ways until one side ends."""
        if not self._plugged:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            self._writers.discard(writer)

    def pull(self) -> None:
        """Ends all connections and takes no new ones."""
        self._plugged = False
        for writer in list(self._writers):
            writer.transport.abort()

    def plug(self) -> None:
        """Takes connections again."""
        self._plugged = True


@asynccontextmanager
async def cable_to(url: str) -> AsyncIterator[tuple[Cable, str]]:
    """A cable, and the server's URL at its near end."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    cable = Cable(parts.hostname, parts.port)
    server = await asyncio.start_server(cable.forward, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield cable, parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")).geturl()
    finally:
        cable.pull()
        server.close()
        await server.wait_closed()


async def answered(platform: Platform, at: str, parameters: list[tuple[str, str]], path: str) -> int:
    async with asyncio.timeout(TWILIO_WAITS):
        status, text = await platform.post(parameters, at=at, path=path)
    assert "psycopg" not in text
    assert "Traceback" not in text
    return status


async def test_without_postgres_nothing_is_acknowledged_and_twilio_is_told_in_time(
    platform: Platform, log: Log
) -> None:
    webhook, status = "/api/v1/twilio/webhook", "/api/v1/twilio/status?o=1"
    message = platform.webhook("oi")
    # A number that this API has not been asked about yet.
    first = platform.webhook("oi", To="whatsapp:+551140000002")
    callback = [("AccountSid", ACCOUNT_SID), ("From", NUMBER), ("MessageSid", f"SM{uuid.uuid4().hex}")]
    callback += [("MessageStatus", "sent")]
    await platform.add_channel(TENANT, "whatsapp:+551140000002")

    async def all_connections_are_gone() -> bool:
        return "postgres is away" in log.text

    async def later(at: str) -> int:
        await platform.until(all_connections_are_gone, "the API to notice")
        return await answered(platform, at, platform.webhook("oi"), webhook)

    async with cable_to(platform.settings.database_url) as (cable, url), platform.api(database_url=url) as at:
        assert await answered(platform, at, platform.webhook("antes"), webhook) == 200
        cable.pull()
        log.clear()
        statuses = await asyncio.gather(
            answered(platform, at, message, webhook),
            answered(platform, at, first, webhook),
            answered(platform, at, callback, status),
            later(at),
            return_exceptions=True,
        )
        assert list(statuses) == [503, 503, 503, 503]
        stored = await platform.rows("select body from inbox")
        assert stored == [{"body": "antes"}]
        assert TOKEN not in log.text
        assert urlsplit(url).password not in (None, *log.text.split('"'))
        cable.plug()

        async def is_back() -> bool:
            return await answered(platform, at, message, webhook) == 200

        await platform.until(is_back, "Postgres to be reached again")
        assert len(await platform.rows("select 1 from inbox where body = 'oi'")) == 1


async def test_a_broken_connection_is_replaced_before_anybody_notices(platform: Platform) -> None:
    async with cable_to(platform.settings.database_url) as (cable, url), platform.api(database_url=url) as at:
        await answered(platform, at, platform.webhook("um"), "/api/v1/twilio/webhook")
        cable.pull()
        cable.plug()
        assert await answered(platform, at, platform.webhook("dois"), "/api/v1/twilio/webhook") == 200
    rows = await platform.rows("select body from inbox order by id")
    assert [row["body"] for row in rows] == ["um", "dois"]
