"""An HTTP client for the control endpoints of the simulators."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp


class SimulatorControl:
    """Sends JSON requests to the `/control/` endpoints of one simulator."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))

    async def get(self, path: str, **query: Any) -> Any:
        """Return the JSON answer to GET `/control/<path>`. Raises aiohttp.ClientResponseError on 4xx and 5xx."""
        async with self._session.get(f"{self._base_url}/control/{path}", params=query) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def post(self, path: str, document: Mapping[str, Any]) -> Any:
        """Return the JSON answer to POST `/control/<path>`. Raises aiohttp.ClientResponseError on 4xx and 5xx."""
        async with self._session.post(f"{self._base_url}/control/{path}", json=document) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
