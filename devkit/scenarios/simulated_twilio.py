"""Write as the contact and receive the replies: a simulated Twilio in the scenario's event loop, on virtual time."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from app.clock import Clock
from devkit.scenarios.transcript import Transcript
from devkit.serving import AiohttpServer
from devkit.simulators.twilio.delivery import DeliverySimulation
from devkit.simulators.twilio.faults import TwilioFaultInjector
from devkit.simulators.twilio.inbound import InboundMessages
from devkit.simulators.twilio.messages_api import MessagesApi
from devkit.simulators.twilio.store import OUTBOUND, MessageStore, SimulatedNumber, TwilioMessage
from devkit.simulators.twilio.webhooks import WebhookSender
from devkit.stack import Number

CALLBACK_DELAY = 0.05
"""Virtual seconds between two statuses of a message."""
HANG = 3600
"""Virtual seconds that a hanging request gets no answer."""


class _VirtualTimeStore(MessageStore):
    """A store whose time is the virtual clock. It adds replies to the transcript."""

    def __init__(self, clock: Clock, transcript: Transcript) -> None:
        super().__init__()
        self._clock = clock
        self._transcript = transcript

    def accept(self, number: SimulatedNumber, contact: str, **given: Any) -> TwilioMessage:
        message = super().accept(number, contact, **given)
        if message.direction == OUTBOUND:
            self._transcript.add("assistant", message.body)
        return message

    def now(self) -> float:
        moment: datetime = self._clock()
        return moment.timestamp()


@dataclass(frozen=True)
class ContactMessage:
    """A message of the contact. It can be posted several times with the same sid."""

    sid: str
    fields: dict[str, Any] = field(default_factory=dict)


class SimulatedTwilio:
    """Twilio's API and webhooks for one number and one contact."""

    def __init__(self, number: Number, contact: str, name: str, clock: Clock, transcript: Transcript) -> None:
        self._number = number
        self._contact = contact
        self._name = name
        self._transcript = transcript
        self._webhooks, self._faults = WebhookSender(), TwilioFaultInjector()
        self._store = _VirtualTimeStore(clock, transcript)
        self._delivery = DeliverySimulation(self._store, self._faults, self._webhooks, CALLBACK_DELAY, auto_read=False)
        self._inbound = InboundMessages(self._store, self._webhooks)
        self._server: AiohttpServer | None = None
        self._plan: dict[str, Any] = {}

    @property
    def port(self) -> int:
        """The port of Twilio's API."""
        assert self._server is not None, "started before"
        return self._server.port

    @property
    def replies(self) -> list[TwilioMessage]:
        """The messages to the contact that Twilio has accepted, oldest first."""
        return self._store.since(0, self._contact, OUTBOUND)

    async def start(self, webhook_url: str) -> None:
        """Start to listen. Messages of the contact will be posted to the URL."""
        number = SimulatedNumber(self._number.account_sid, self._number.address, webhook_url, "Recado", [])
        self._store.put_number(number, self._number.auth_token)
        application = web.Application()
        application.add_routes(MessagesApi(self._store, self._faults, self._delivery).routes())
        self._server = await AiohttpServer.start(application)

    async def stop(self) -> None:
        """Stop, and cancel the callbacks that are not posted yet."""
        self._delivery.cancel()
        if self._server is not None:
            await self._server.stop()
        self._webhooks.close()

    def write(self, body: str, button: str | None = None) -> ContactMessage:
        """Return a new message of the contact. It is not posted yet."""
        given = {"button_payload": button, "button_text": body} if button else {}
        fields = {"from": self._contact, "to": self._number.address, "body": body, "profile_name": self._name}
        return ContactMessage(f"SM{uuid.uuid4().hex}", fields | given)

    async def post(self, message: ContactMessage, copies: int = 0) -> list[int | None]:
        """Post the webhook of a message, and `copies` duplicates at the same time.

        Return the HTTP status of each answer, None where no answer came.
        """
        answer = await self._inbound.send({**message.fields, "message_sid": message.sid, "duplicate": copies})
        return [answer["status"], *(other["status"] for other in answer["duplicates"])]

    def inject_faults(self, post: int | str | None, times: int, *, lose_callbacks: bool) -> None:
        """Make the next `times` posts of a reply fail as `post` says. `lose_callbacks` drops all later callbacks."""
        if post is not None:
            self._plan["create"] = {f"p_{post}": 1, "count": times, "hang_s": HANG}
        if lose_callbacks:
            self._plan["callbacks"] = {"p_drop": 1}
        self._faults.replace(self._plan)
