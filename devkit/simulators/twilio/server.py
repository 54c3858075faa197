import asyncio
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from devkit.simulators.twilio.control import Control
from devkit.simulators.twilio.faults import Faults
from devkit.simulators.twilio.inbound import Inbound
from devkit.simulators.twilio.lifecycle import Lifecycle
from devkit.simulators.twilio.phone import Phone
from devkit.simulators.twilio.rest import Rest
from devkit.simulators.twilio.state import Number, Store
from devkit.simulators.twilio.webhooks import Webhooks

# Long polls and event streams would otherwise hold the end of the process up for a minute.
SHUTDOWN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Settings:
    host: str
    port: int
    callback_delay: float
    auto_read: bool
    numbers: Iterable[tuple[Number, str]]


async def serve(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT."""
    store, faults, webhooks = Store(), Faults(), Webhooks()
    for number, token in settings.numbers:
        store.put_number(number, token)
    lifecycle = Lifecycle(store, faults, webhooks, settings.callback_delay, settings.auto_read)
    control = Control(store, faults, lifecycle, Inbound(store, webhooks))
    app = web.Application()
    app.add_routes([*Rest(store, faults, lifecycle).routes(), *control.routes(), *Phone(store).routes()])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS)
    stop = asyncio.Event()
    for number_of_signal in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number_of_signal, stop.set)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
        base = f"http://{settings.host}:{runner.addresses[0][1]}"
        print(f"twilio simulator ready on {base} (phone: {base}/phone)", flush=True)
        await stop.wait()
    finally:
        lifecycle.cancel()
        await runner.cleanup()
        webhooks.close()
