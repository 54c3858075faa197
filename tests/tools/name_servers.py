"""Name servers of which some are dead."""

import asyncio
import socket
import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass
class NameServers:
    """Name servers: those of `*.dead` answer when the test ends, the others at once."""

    asked: list[str] = field(default_factory=list)
    recovered: threading.Event = field(default_factory=threading.Event)

    def look_up(self, host: str, *_: Any) -> list[Any]:
        """Answer as socket.getaddrinfo does."""
        self.asked.append(host)
        if host.endswith(".dead"):
            self.recovered.wait(30)
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]


async def asked(names: NameServers, count: int) -> None:
    """Wait until the name servers were asked `count` times."""
    async with asyncio.timeout(10):
        while len(names.asked) < count:
            await asyncio.sleep(0.001)
