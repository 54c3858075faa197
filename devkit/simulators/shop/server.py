"""Serve the shop's API, and the tests' control endpoints beside it."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from devkit.simulators.shop.state import Document, IdempotentAnswer, ShopRefused, ShopState

DOCUMENT = Path(__file__).with_name("openapi.yaml")
FAULTS = ("error", "drop", "drop_after")
MAX_PRODUCTS = 20

Answer = tuple[int, Document]
Handler = Callable[[web.Request, Document], Answer]


def create_application(token: str) -> web.Application:
    """Return the application of a new shop."""
    return ShopServer(token).application()


class ShopServer:
    """The endpoints of one shop. Requests need the bearer token.

    A fault makes the next requests fail. `error` answers 503 and `drop` closes the connection, both before the request
    has an effect. `drop_after` closes the connection after the effect.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self.shop = ShopState()
        self._fault, self._count = "", 0

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/openapi.yaml", self._document),
                web.get("/v1/products", self._api(self._products)),
                web.get("/v1/products/{sku}", self._api(self._product)),
                web.get("/v1/orders/{number}", self._api(self._order)),
                web.post("/v1/orders", self._api(self._reserve)),
                web.post("/v1/orders/{number}/cancellation", self._api(self._cancel)),
                web.post("/v1/orders/{number}/refunds", self._api(self._refund)),
                web.get("/control/state", self._state),
                web.post("/control/faults", self._set_fault),
                web.post("/control/reset", self._reset),
            ]
        )
        return application

    def _api(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            raw = await request.text()
            self.shop.requests[f"{request.method} {request.path}"] += 1
            fault = self._next_fault()
            if fault == "drop":
                return _close_connection(request)
            try:
                if fault == "error":
                    raise ShopRefused(503, "unavailable", "the shop is not available")
                if request.headers.get("Authorization") != f"Bearer {self._token}":
                    raise ShopRefused(401, "unauthorized", "expected a valid bearer token")
                status, body = self._answer_once(request, raw, handler)
            except ShopRefused as refusal:
                status, body = refusal.status, refusal.body()
            return _close_connection(request) if fault == "drop_after" else web.json_response(body, status=status)

        return handle

    def _answer_once(self, request: web.Request, raw: str, handler: Handler) -> Answer:
        """Return the handler's answer. For a repeated Idempotency-Key, return the first answer without a call."""
        key, described = request.headers.get("Idempotency-Key", ""), (request.method, request.path, raw)
        known = self.shop.keys.get(key)
        if known is not None and request.method == "POST":
            if known.request != described:
                raise ShopRefused(422, "key_reused", "this Idempotency-Key came with another request")
            known.times += 1
            return known.status, known.body
        try:
            status, body = handler(request, _parse(raw))
        except ShopRefused as refusal:
            status, body = refusal.status, refusal.body()
        if key and request.method == "POST":
            self.shop.keys[key] = IdempotentAnswer(key, described, status, json.loads(json.dumps(body)))
        return status, body

    def _next_fault(self) -> str:
        if self._count == 0:
            return ""
        self._count -= 1
        return self._fault

    def _products(self, request: web.Request, _: Document) -> Answer:
        limit = request.query.get("limit", "5")
        if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PRODUCTS:
            raise ShopRefused(400, "bad_request", f"limit must be from 1 to {MAX_PRODUCTS}")
        return 200, {"products": self.shop.search(request.query.get("q", ""), int(limit))}

    def _product(self, request: web.Request, _: Document) -> Answer:
        return 200, self.shop.product(request.match_info["sku"])

    def _order(self, request: web.Request, _: Document) -> Answer:
        return 200, {"order": self.shop.order(request.match_info["number"])}

    def _reserve(self, _: web.Request, body: Document) -> Answer:
        quantity = _whole_number(body, "quantity", 1)
        return 201, {"order": self.shop.reserve(_text(body, "sku"), quantity)}

    def _cancel(self, request: web.Request, body: Document) -> Answer:
        _text(body, "reason")
        return 200, {"order": self.shop.cancel(request.match_info["number"])}

    def _refund(self, request: web.Request, body: Document) -> Answer:
        amount = _whole_number(body, "amount", None)
        return 201, {"refund": self.shop.refund(request.match_info["number"], amount, _text(body, "reason"))}

    async def _document(self, _: web.Request) -> web.Response:
        return web.Response(text=DOCUMENT.read_text(), content_type="application/yaml")

    async def _state(self, _: web.Request) -> web.Response:
        return web.json_response(self.shop.as_json())

    async def _set_fault(self, request: web.Request) -> web.Response:
        try:
            body = _parse(await request.text())
            fault, count = _text(body, "fault"), _whole_number(body, "count", 1)
        except ShopRefused as refusal:
            return web.json_response(refusal.body(), status=400)
        if fault not in FAULTS:
            return web.json_response({"error": f"fault must be one of {', '.join(FAULTS)}"}, status=400)
        self._fault, self._count = fault, count
        return web.json_response({"fault": fault, "count": count})

    async def _reset(self, _: web.Request) -> web.Response:
        self.shop = ShopState()
        self._fault, self._count = "", 0
        return web.json_response({})


def _parse(raw: str) -> Document:
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise ShopRefused(400, "bad_request", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise ShopRefused(400, "bad_request", "expected a JSON object")
    return body


def _text(body: Document, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise ShopRefused(400, "bad_request", f"{name} must be a text")
    return value


def _whole_number(body: Document, name: str, default: Any) -> Any:
    value = body.get(name, default)
    if value is not default and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ShopRefused(400, "bad_request", f"{name} must be a whole number above 0")
    return value


def _close_connection(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    # aiohttp does not send this response, because the connection is closed.
    return web.Response()
