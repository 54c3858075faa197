"""A pooler in transaction mode, as PgBouncer is one: a client has a session of Postgres for one transaction only.

A client logs in at Postgres itself, through the pooler. Its session then serves everybody with the same login. Named
statements stay in the session where they were prepared, as in PgBouncer before 1.21.
"""

import asyncio
import struct
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

SSL_REQUEST, CANCEL_REQUEST, GSS_REQUEST = 80877103, 80877102, 80877104
SYNC, QUERY, FLUSH, TERMINATE, READY, AUTHENTICATION, KEY = b"S", b"Q", b"H", b"X", b"Z", b"R", b"K"
ASKS = (3, 5, 10, 11)
"""The requests for authentication that the client answers."""


class ClientGoneError(Exception):
    """The client only asked for something that the pooler does not do, or left before it was logged in."""


@dataclass
class Session:
    """A connection to Postgres."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass
class Client:
    """A client, the session that it has now, and what it waits for: `unsynced` messages, `answers` to syncs."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    session: Session | None = None
    answering: asyncio.Task[None] | None = None
    unsynced: bool = False
    answers: int = 0


class TransactionPooler:
    """Serves clients with at most `size` sessions for each login. `round_trips` counts what they wait for."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._sessions: defaultdict[bytes, int] = defaultdict(int)
        self._idle: defaultdict[bytes, asyncio.Queue[Session]] = defaultdict(asyncio.Queue)
        self._writers: list[asyncio.StreamWriter] = []
        self._netloc = ""
        self.host, self.port = "", 0
        self.clients = 0
        self.round_trips = 0

    @property
    def sessions(self) -> int:
        """The number of sessions of all logins."""
        return sum(self._sessions.values())

    def through(self, url: str) -> str:
        """Return the URL of the same database through the pooler."""
        parts = urlsplit(url)
        return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{self._netloc}").geturl()

    def listen_at(self, port: int, database_url: str) -> None:
        """Note where clients come in, and where Postgres is."""
        parts = urlsplit(database_url)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self._netloc = f"127.0.0.1:{port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it leaves."""
        client = Client(reader, writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, ClientGoneError):
            login = await self._log_in(client)
            self.clients += 1
            await self._forward(client, self._idle[login])
        if client.answering is not None:
            client.answering.cancel()
        if client.session is not None:
            await _close(client.session.writer)
        await _close(writer)

    async def close(self) -> None:
        """End all sessions."""
        for writer in self._writers:
            await _close(writer)

    async def _log_in(self, client: Client) -> bytes:
        """Let Postgres authenticate the client. Keep the session, if there are not enough of them."""
        startup = await _startup(client)
        session = Session(*await asyncio.open_connection(self.host, self.port))
        session.writer.write(startup)
        while (message := await _message(session.reader))[:1] != READY:
            # The key to cancel statements is of a session that the client will not have.
            client.writer.write(message if message[:1] != KEY else message[:5] + bytes(len(message) - 5))
            if message[:1] == AUTHENTICATION and struct.unpack("!I", message[5:9])[0] in ASKS:
                session.writer.write(await _message(client.reader))
        login = _login(startup)
        if self._sessions[login] < self._size:
            self._sessions[login] += 1
            self._writers.append(session.writer)
            self._idle[login].put_nowait(session)
        else:
            session.writer.write(TERMINATE + struct.pack("!I", 4))
            await _close(session.writer)
        client.writer.write(message)
        return login

    async def _forward(self, client: Client, idle: asyncio.Queue[Session]) -> None:
        while (message := await _message(client.reader))[:1] != TERMINATE:
            if message[:1] == FLUSH and not client.unsynced:
                # Every answer is under way already.
                continue
            if client.session is None:
                client.session = await idle.get()
                client.answering = asyncio.create_task(self._answer(client, client.session, idle))
            syncs = message[:1] in (SYNC, QUERY)
            client.unsynced = not syncs
            client.answers += syncs
            self.round_trips += syncs
            client.session.writer.write(message)

    async def _answer(self, client: Client, session: Session, idle: asyncio.Queue[Session]) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                message = await _message(session.reader)
                client.writer.write(message)
                client.answers -= message[:1] == READY
                if message == READY + b"\x00\x00\x00\x05I" and not client.answers and not client.unsynced:
                    client.session = None
                    idle.put_nowait(session)
                    return
        client.writer.close()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def _startup(client: Client) -> bytes:
    while True:
        length = await client.reader.readexactly(4)
        body = await client.reader.readexactly(struct.unpack("!I", length)[0] - 4)
        (code,) = struct.unpack("!I", body[:4])
        if code == CANCEL_REQUEST:
            raise ClientGoneError
        if code not in (SSL_REQUEST, GSS_REQUEST):
            return length + body
        client.writer.write(b"N")


def _login(startup: bytes) -> bytes:
    """Return user and database, which come before all other parameters."""
    user, name, database, value = startup[8:].split(b"\0")[:4]
    assert (user, database) == (b"user", b"database"), startup
    return name + b"@" + value


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


@asynccontextmanager
async def pooling(database_url: str, size: int) -> AsyncIterator[TransactionPooler]:
    """Serve a pooler in front of the server of a database."""
    pooler = TransactionPooler(size)
    server = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    pooler.listen_at(server.sockets[0].getsockname()[1], database_url)
    try:
        yield pooler
    finally:
        server.close()
        await pooler.close()
