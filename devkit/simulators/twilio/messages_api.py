"""Serve the part of Twilio's REST API that sends and lists messages."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import parse_qs, parse_qsl

from aiohttp import web

from devkit.simulators.twilio.delivery import DeliverySimulation
from devkit.simulators.twilio.drafts import read_draft
from devkit.simulators.twilio.errors import TwilioError
from devkit.simulators.twilio.faults import CREATE_FAULTS, TwilioFaultInjector
from devkit.simulators.twilio.listing import list_messages
from devkit.simulators.twilio.resource import resource
from devkit.simulators.twilio.store import OUTBOUND, MessageStore, TwilioMessage, dump_json, new_sid

ROOT = "/2010-04-01/Accounts/{account_sid}"
HEADERS = {"Content-Type": "application/json"}
ERROR_CODES = {"p_429": 20429, "p_500": 20500}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@lru_cache(maxsize=1024)
def basic_authorization(account_sid: str, token: str) -> str:
    """Return the Authorization header of an account."""
    return "Basic " + b64encode(f"{account_sid}:{token}".encode()).decode()


def with_json_errors(handler: Handler) -> Handler:
    """Send the handler's TwilioError as JSON."""

    async def wrapped(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except TwilioError as error:
            return error.response()

    return wrapped


def close_connection(request: web.Request) -> web.Response:
    """Close the connection. The returned response is not sent."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


class MessagesApi:
    """The endpoints below /2010-04-01/Accounts/{sid}/Messages."""

    def __init__(self, store: MessageStore, faults: TwilioFaultInjector, delivery: DeliverySimulation) -> None:
        self._store = store
        self._faults = faults
        self._delivery = delivery

    def routes(self) -> list[web.RouteDef]:
        """Return the routes. Unknown paths answer 404 as at Twilio."""
        return [
            web.post(f"{ROOT}/Messages.json", self._dated(self.create)),
            web.get(f"{ROOT}/Messages.json", self._dated(self.list)),
            web.get(ROOT + "/Messages/{sid}.json", self._dated(self.fetch)),
            web.route("*", "/2010-04-01/{rest:.*}", self._dated(self.missing)),
        ]

    def _dated(self, handler: Handler) -> Handler:
        """Add the Date header. Like the dates of messages, it comes from the store's clock."""

        async def wrapped(request: web.Request) -> web.StreamResponse:
            response = await with_json_errors(handler)(request)
            response.headers["Date"] = formatdate(self._store.now(), usegmt=True)
            return response

        return wrapped

    async def create(self, request: web.Request) -> web.Response:
        """Accept a message, and start its delivery. A fault may refuse it, or lose the answer."""
        faults = self._faults.create
        if delay_ms := faults["delay_ms"]:
            await asyncio.sleep(delay_ms / 1000)
        fault = faults.draw(*CREATE_FAULTS)
        if fault == "p_refuse":
            self._store.stats.rejected += 1
            return close_connection(request)
        try:
            account = self._authenticate(request)
            if fault in ERROR_CODES:
                raise TwilioError(ERROR_CODES[fault])
            message = self._accept(account, await request.read())
        except TwilioError:
            self._store.stats.rejected += 1
            raise
        if fault == "p_500_after":
            raise TwilioError(20500)
        if fault == "p_hang":
            await asyncio.sleep(faults["hang_s"])
        if fault in ("p_hang", "p_drop"):
            return close_connection(request)
        return web.Response(body=dump_json(resource(message)), status=201, headers=HEADERS)

    async def list(self, request: web.Request) -> web.Response:
        """Return a page of messages."""
        account = self._authenticate(request)
        if self._faults.listing.draw("p_500"):
            raise TwilioError(20500)
        query = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
        page = list_messages(self._store, account, query)
        return web.Response(body=dump_json(page), headers=HEADERS)

    async def fetch(self, request: web.Request) -> web.Response:
        """Return a message."""
        account = self._authenticate(request)
        message = self._store.by_sid.get(request.match_info["sid"])
        if message is None or message.account_sid != account:
            raise TwilioError(20404, request.path)
        return web.Response(body=dump_json(resource(message)), headers=HEADERS)

    async def missing(self, request: web.Request) -> web.Response:
        """Answer 404."""
        raise TwilioError(20404, request.path)

    def _authenticate(self, request: web.Request) -> str:
        account = request.match_info["account_sid"]
        token = self._store.accounts.get(account)
        if token is None or request.headers.get("Authorization") != basic_authorization(account, token):
            raise TwilioError(20003)
        return account

    def _accept(self, account: str, raw: bytes) -> TwilioMessage:
        form = parse_qs(raw.decode(errors="replace"), keep_blank_values=True)
        draft = read_draft(self._store, account, form)
        media = draft.details.get("media_urls")
        message = self._store.accept(
            draft.number,
            draft.to,
            direction=OUTBOUND,
            sid=new_sid("MM" if media else "SM"),
            body=draft.body,
            status="accepted" if "messaging_service_sid" in draft.details else "queued",
            details=draft.details,
        )
        self._store.stats.created += 1
        self._delivery.start(message)
        return message
