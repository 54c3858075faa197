"""Serve the simulator's own endpoints, for tests, load drivers and the demo."""

import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from devkit.simulators.twilio.delivery import DeliverySimulation
from devkit.simulators.twilio.faults import TwilioFaultInjector
from devkit.simulators.twilio.inbound import InboundMessages
from devkit.simulators.twilio.numbers import parse_number
from devkit.simulators.twilio.store import MessageStore, TwilioMessage, dump_json

Handler = Callable[[web.Request], Awaitable[object]]

MAX_WAIT_SECONDS = 600.0


def as_json(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Send what the handler returns as JSON. A ValueError becomes a 400 with its text."""

    async def wrapped(request: web.Request) -> web.Response:
        status = 200
        try:
            answer = await handler(request)
        except ValueError as error:
            status, answer = 400, {"error": str(error)}
        return web.Response(body=dump_json(answer), status=status, headers={"Content-Type": "application/json"})

    return wrapped


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the request's body. Raises ValueError."""
    data = json.loads(await request.read() or b"{}")
    if not isinstance(data, dict):
        raise ValueError("expected a JSON object")
    return data


class TwilioControlApi:
    """The endpoints below /control."""

    def __init__(
        self, store: MessageStore, faults: TwilioFaultInjector, delivery: DeliverySimulation, inbound: InboundMessages
    ) -> None:
        self._store = store
        self._faults = faults
        self._delivery = delivery
        self._inbound = inbound

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/control/numbers", as_json(self.numbers)),
            web.post("/control/numbers", as_json(self.put_number)),
            web.post("/control/inbound", as_json(self.send)),
            web.post("/control/read", as_json(self.read)),
            web.get("/control/faults", as_json(self.faults)),
            web.post("/control/faults", as_json(self.replace_faults)),
            web.get("/control/messages", as_json(self.messages)),
            web.get("/control/wait", as_json(self.wait)),
            web.get("/control/stats", as_json(self.stats)),
            web.post("/control/reset", as_json(self.reset)),
        ]

    async def numbers(self, request: web.Request) -> object:
        """Return the numbers."""
        return {"numbers": [number.as_json() for number in self._store.numbers.values()]}

    async def put_number(self, request: web.Request) -> object:
        """Add a number, or replace the one with its address."""
        number, token = parse_number(await read_object(request))
        self._store.put_number(number, token)
        return number.as_json()

    async def send(self, request: web.Request) -> object:
        """Post a message of a contact to the number's webhook, and return the webhook's answer."""
        return await self._inbound.send(await read_object(request))

    async def read(self, request: web.Request) -> object:
        """Mark messages as read."""
        sids = (await read_object(request)).get("sids")
        if not isinstance(sids, list):
            raise ValueError("sids must be a list of message sids")
        found = [self._store.by_sid[sid] for sid in sids if sid in self._store.by_sid]
        for message in found:
            self._delivery.mark_read(message)
        return {"marked": len(found)}

    async def faults(self, request: web.Request) -> object:
        """Return the fault plan, and how often each fault was injected."""
        return self._faults.as_json()

    async def replace_faults(self, request: web.Request) -> object:
        """Replace the fault plan."""
        self._faults.replace(await read_object(request))
        return self._faults.as_json()

    async def messages(self, request: web.Request) -> object:
        """Return the messages with an index above `since`."""
        query = request.query
        found = self._store.since(int(query.get("since", 0)), query.get("contact", ""), query.get("direction", ""))
        return self._page(found)

    async def wait(self, request: web.Request) -> object:
        """Return the messages to a contact with an index above `after`. Wait up to `timeout` seconds for the first."""
        query = request.query
        seconds = min(float(query.get("timeout", 30)), MAX_WAIT_SECONDS)
        return self._page(await self._store.wait(query.get("contact", ""), int(query.get("after", 0)), seconds))

    async def stats(self, request: web.Request) -> object:
        """Return how many messages and callbacks there were."""
        return dataclasses.asdict(self._store.stats) | {"messages": len(self._store.messages)}

    async def reset(self, request: web.Request) -> object:
        """Forget the messages and the fault plan. The numbers stay."""
        self._delivery.cancel()
        self._faults.replace({})
        self._store.clear()
        return {"index": self._store.index}

    def _page(self, messages: list[TwilioMessage]) -> object:
        return {"messages": [message.as_json() for message in messages], "index": self._store.index}
