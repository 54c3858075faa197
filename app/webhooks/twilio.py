"""Twilio's webhooks: verify, store, acknowledge. The acknowledgement is sent after the commit."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import structlog
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_200_OK

from app import db
from app.channels.whatsapp import inbound
from app.errors import WebhookRefused
from app.identity.service import Channel, Channels
from app.inbox.service import Inbox
from app.outbox.callbacks import StatusCallbacks

log = structlog.get_logger()

AnyRequest = Request[Any, Any, Any]

EMPTY_TWIML = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
ANSWER_WITHIN = 12.0
"""The time limit of an answer in seconds. Twilio waits 15."""
ASK_AGAIN_AFTER = 1.0
"""The minimum age in seconds of cached tokens before a wrong signature makes us read them again."""


class TwilioWebhooks:
    """Verifies that a request comes from the account that owns the channel."""

    def __init__(self, public_url: str, channels: Channels) -> None:
        self._public_url = public_url
        self._channels = channels

    def called_url(self, request: AnyRequest) -> str:
        """Return the URL as Twilio called it: the public base URL, then path and query byte for byte."""
        path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        query = request.scope["query_string"].decode("latin-1")
        return f"{self._public_url}{path}?{query}" if query else self._public_url + path

    async def verified_channel(
        self, request: AnyRequest, account_sid: str, address: str, form: inbound.Form
    ) -> Channel:
        """Return the channel. Raises WebhookRefused: 404 for an unknown number, 403 for a wrong owner or signature."""
        url, signature = self.called_url(request), request.headers.get("X-Twilio-Signature")
        channel = self._owned(await self._channels_of(address), account_sid)
        if channel and inbound.signature_is_valid(channel.auth_tokens, url, form, signature):
            return channel
        if self._channels.age(address) > ASK_AGAIN_AFTER:
            channel = self._owned(await self._channels_of(address, fresh=True), account_sid)
            if channel and inbound.signature_is_valid(channel.auth_tokens, url, form, signature):
                return channel
        if channel is None:
            raise WebhookRefused(403, "the account does not own this number")
        raise WebhookRefused(403, "the signature is missing or wrong")

    async def _channels_of(self, address: str, *, fresh: bool = False) -> list[Channel]:
        return await db.retry_while_unavailable(
            lambda: self._channels.of_address(address, fresh=fresh), within=ANSWER_WITHIN
        )

    @staticmethod
    def _owned(channels: list[Channel], account_sid: str) -> Channel | None:
        if not channels:
            raise WebhookRefused(404, "no channel has this number")
        return next((channel for channel in channels if channel.account_sid == account_sid), None)


@dataclass(frozen=True)
class WebhookDependencies:
    """The services behind the webhooks, as one dependency: Litestar resolves each dependency in a task of its own."""

    twilio: TwilioWebhooks
    inbox: Inbox
    status_callbacks: StatusCallbacks


async def _form(request: AnyRequest) -> inbound.Form:
    return inbound.parse_form(request.headers.get("content-type", ""), await request.body())


@post("/webhook", request_max_body_size=inbound.MAX_REQUEST, status_code=HTTP_200_OK)
async def receive_message(
    request: AnyRequest,
    dependencies: NamedDependency[WebhookDependencies],
) -> Response[bytes]:
    """Store a contact's message."""
    form = await _form(request)
    account_sid, address = inbound.addressed_to(form.fields)
    async with asyncio.timeout(ANSWER_WITHIN):
        channel = await dependencies.twilio.verified_channel(request, account_sid, address, form)
        message = inbound.parse_message(form)
        if not await dependencies.inbox.receive(channel.tenant_id, channel.id, message):
            log.info("duplicate message", provider_sid=message.provider_sid)
    return Response(EMPTY_TWIML, media_type="text/xml")


@post("/status", request_max_body_size=inbound.MAX_REQUEST, status_code=HTTP_200_OK)
async def receive_status(
    request: AnyRequest,
    dependencies: NamedDependency[WebhookDependencies],
) -> Response[bytes]:
    """Apply the status of an outgoing message."""
    form = await _form(request)
    account_sid, address = inbound.sent_from(form.fields)
    outbox_id = parse_qs(request.scope["query_string"].decode("latin-1")).get("o", [None])[-1]
    async with asyncio.timeout(ANSWER_WITHIN):
        channel = await dependencies.twilio.verified_channel(request, account_sid, address, form)
        if (update := inbound.parse_status(outbox_id, form)) is not None:
            await dependencies.status_callbacks.apply(channel.tenant_id, update)
    return Response(EMPTY_TWIML, media_type="text/xml")
