import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import parse_qs, parse_qsl

from aiohttp import web

from devkit.simulators.twilio.drafts import read_draft
from devkit.simulators.twilio.errors import TwilioError
from devkit.simulators.twilio.faults import CREATE, Faults
from devkit.simulators.twilio.lifecycle import Lifecycle
from devkit.simulators.twilio.listing import list_messages
from devkit.simulators.twilio.resource import resource
from devkit.simulators.twilio.state import OUTBOUND, Message, Store, dump, new_sid

ROOT = "/2010-04-01/Accounts/{account_sid}"
HEADERS = {"Content-Type": "application/json"}
REFUSALS = {"p_429": 20429, "p_500": 20500}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@lru_cache(maxsize=1024)
def basic(account_sid: str, token: str) -> str:
    return "Basic " + b64encode(f"{account_sid}:{token}".encode()).decode()


def answered(handler: Handler) -> Handler:
    async def wrapped(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except TwilioError as error:
            return error.response()

    return wrapped


def cut(request: web.Request) -> web.Response:
    """Closes the connection, so that the response goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


class Rest:
    """The Message resource of the REST API."""

    def __init__(self, store: Store, faults: Faults, lifecycle: Lifecycle) -> None:
        self._store = store
        self._faults = faults
        self._lifecycle = lifecycle

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(f"{ROOT}/Messages.json", self._dated(self.create)),
            web.get(f"{ROOT}/Messages.json", self._dated(self.list)),
            web.get(ROOT + "/Messages/{sid}.json", self._dated(self.fetch)),
            web.route("*", "/2010-04-01/{rest:.*}", self._dated(self.missing)),
        ]

    def _dated(self, handler: Handler) -> Handler:
        """Add the Date header: like the dates of messages it is a time of this Twilio."""

        async def wrapped(request: web.Request) -> web.StreamResponse:
            response = await answered(handler)(request)
            response.headers["Date"] = formatdate(self._store.now(), usegmt=True)
            return response

        return wrapped

    async def create(self, request: web.Request) -> web.Response:
        faults = self._faults.create
        if delay_ms := faults["delay_ms"]:
            await asyncio.sleep(delay_ms / 1000)
        fault = faults.draw(*CREATE)
        if fault == "p_refuse":
            self._store.stats.rejected += 1
            return cut(request)
        try:
            account = self._authenticate(request)
            if fault in REFUSALS:
                raise TwilioError(REFUSALS[fault])
            message = self._accept(account, await request.read())
        except TwilioError:
            self._store.stats.rejected += 1
            raise
        if fault == "p_500_after":
            raise TwilioError(20500)
        if fault == "p_hang":
            await asyncio.sleep(faults["hang_s"])
        if fault in ("p_hang", "p_drop"):
            return cut(request)
        return web.Response(body=dump(resource(message)), status=201, headers=HEADERS)

    async def list(self, request: web.Request) -> web.Response:
        account = self._authenticate(request)
        if self._faults.listing.draw("p_500"):
            raise TwilioError(20500)
        query = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
        page = list_messages(self._store, account, query)
        return web.Response(body=dump(page), headers=HEADERS)

    async def fetch(self, request: web.Request) -> web.Response:
        account = self._authenticate(request)
        message = self._store.by_sid.get(request.match_info["sid"])
        if message is None or message.account_sid != account:
            raise TwilioError(20404, request.path)
        return web.Response(body=dump(resource(message)), headers=HEADERS)

    async def missing(self, request: web.Request) -> web.Response:
        raise TwilioError(20404, request.path)

    def _authenticate(self, request: web.Request) -> str:
        account = request.match_info["account_sid"]
        token = self._store.accounts.get(account)
        if token is None or request.headers.get("Authorization") != basic(account, token):
            raise TwilioError(20003)
        return account

    def _accept(self, account: str, raw: bytes) -> Message:
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
        self._lifecycle.start(message)
        return message
