"""Assemble the simulated Twilio and serve it."""

import asyncio
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from devkit.simulators.twilio.control_api import TwilioControlApi
from devkit.simulators.twilio.delivery import DeliverySimulation
from devkit.simulators.twilio.faults import TwilioFaultInjector
from devkit.simulators.twilio.inbound import InboundMessages
from devkit.simulators.twilio.messages_api import MessagesApi
from devkit.simulators.twilio.phone_page import PhonePage
from devkit.simulators.twilio.store import MessageStore, SimulatedNumber
from devkit.simulators.twilio.webhooks import WebhookSender

# Without it, long polls and event streams would delay the end of the process by a minute.
SHUTDOWN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class TwilioOptions:
    """The options of the command line. `callback_delay` is in seconds; each number comes with its account's token."""

    host: str
    port: int
    callback_delay: float
    auto_read: bool
    numbers: Iterable[tuple[SimulatedNumber, str]]


async def serve(settings: TwilioOptions) -> None:
    """Serve until SIGTERM or SIGINT."""
    store, faults, webhooks = MessageStore(), TwilioFaultInjector(), WebhookSender()
    for number, token in settings.numbers:
        store.put_number(number, token)
    delivery = DeliverySimulation(store, faults, webhooks, settings.callback_delay, settings.auto_read)
    control = TwilioControlApi(store, faults, delivery, InboundMessages(store, webhooks))
    app = web.Application()
    app.add_routes([*MessagesApi(store, faults, delivery).routes(), *control.routes(), *PhonePage(store).routes()])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS)
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
        base = f"http://{settings.host}:{runner.addresses[0][1]}"
        print(f"twilio simulator ready on {base} (phone: {base}/phone)", flush=True)
        await stop.wait()
    finally:
        delivery.cancel()
        await runner.cleanup()
        webhooks.close()
