"""The contact's side of a scenario: a simulated Twilio in this loop, on the loop's time."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from app.clock import Clock
from devkit.scenarios.transcript import Transcript
from devkit.serving import AiohttpServer
from devkit.simulators.twilio.faults import Faults
from devkit.simulators.twilio.inbound import Inbound
from devkit.simulators.twilio.lifecycle import Lifecycle
from devkit.simulators.twilio.rest import Rest
from devkit.simulators.twilio.state import OUTBOUND, Message, Store
from devkit.simulators.twilio.state import Number as SimulatedNumber
from devkit.simulators.twilio.webhooks import Webhooks
from devkit.stack import Number

CALLBACK_DELAY = 0.05
"""Virtual seconds between two statuses of a message."""


class _Store(Store):
    """Takes its time from the virtual clock."""

    def __init__(self, clock: Clock, transcript: Transcript) -> None:
        super().__init__()
        self._clock = clock
        self._transcript = transcript

    def accept(self, number: SimulatedNumber, contact: str, **given: Any) -> Message:
        message = super().accept(number, contact, **given)
        if message.direction == OUTBOUND:
            self._transcript.add("assistant", message.body)
        return message

    def now(self) -> float:
        moment: datetime = self._clock()
        return moment.timestamp()


@dataclass(frozen=True)
class Sent:
    """A message of the contact, as it may be sent again."""

    sid: str
    fields: dict[str, Any] = field(default_factory=dict)


class Phone:
    """Writes for the contact, and takes what the assistant answers."""

    def __init__(self, number: Number, contact: str, name: str, clock: Clock, transcript: Transcript) -> None:
        self._number = number
        self._contact = contact
        self._name = name
        self._transcript = transcript
        self._webhooks, self._faults = Webhooks(), Faults()
        self._store = _Store(clock, transcript)
        self._lifecycle = Lifecycle(self._store, self._faults, self._webhooks, CALLBACK_DELAY, auto_read=False)
        self._inbound = Inbound(self._store, self._webhooks)
        self._served: AiohttpServer | None = None
        self._plan: dict[str, Any] = {}

    @property
    def port(self) -> int:
        """Where Twilio's API listens."""
        assert self._served is not None, "started before"
        return self._served.port

    @property
    def replies(self) -> list[Message]:
        """What Twilio has taken for the contact, oldest first."""
        return self._store.since(0, self._contact, OUTBOUND)

    async def start(self, webhook_url: str) -> None:
        """Listens; the contact's messages are posted to the URL."""
        number = SimulatedNumber(self._number.account_sid, self._number.address, webhook_url, "Recado", [])
        self._store.put_number(number, self._number.auth_token)
        application = web.Application()
        application.add_routes(Rest(self._store, self._faults, self._lifecycle).routes())
        self._served = await AiohttpServer.start(application)

    async def stop(self) -> None:
        """Ends, whatever is on its way."""
        self._lifecycle.cancel()
        if self._served is not None:
            await self._served.stop()
        self._webhooks.close()

    def write(self, body: str, button: str | None = None) -> Sent:
        """A message that the contact has written; `post` sends it."""
        given = {"button_payload": button, "button_text": body} if button else {}
        fields = {"from": self._contact, "to": self._number.address, "body": body, "profile_name": self._name}
        return Sent(f"SM{uuid.uuid4().hex}", fields | given)

    async def post(self, sent: Sent, copies: int = 0) -> list[int | None]:
        """Posts the webhook, and `copies` more of it at the same time; the statuses of the answers."""
        answer = await self._inbound.send({**sent.fields, "message_sid": sent.sid, "duplicate": copies})
        return [answer["status"], *(other["status"] for other in answer["duplicates"])]

    def misbehave(self, post: int | str | None, times: int, *, lose_callbacks: bool) -> None:
        """The next `times` posts of a reply go wrong; from now on callbacks are lost."""
        if post is not None:
            self._plan["create"] = {f"p_{post}": 1, "count": times, "hang_s": 3600}
        if lose_callbacks:
            self._plan["callbacks"] = {"p_drop": 1}
        self._faults.replace(self._plan)
