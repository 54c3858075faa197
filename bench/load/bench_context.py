"""What every measure is given: the running system, clients for it, and the stub of Twilio."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.load.closed_loop import ClosedLoop, MeasurementFailed
from bench.simulator_control import SimulatorControl
from bench.stack import BenchStack, StackOptions, run_stack
from bench.storage import BenchStorage, open_storage
from bench.twilio_stub import PostedReply, TwilioStub
from bench.webhook_client import WebhookClient
from devkit.stack import Number

WORKERS = 2
IDLE_TIMEOUT = 60.0
WARM_UP_CONTACTS = range(90_000, 90_008)
WARM_UP_ROUNDS = 3


@dataclass
class BenchContext:
    """The system under test, shared by all measures of a run.

    With `quick`, measures take less time and are less exact.
    """

    stack: BenchStack
    storage: BenchStorage
    model: SimulatorControl
    client: WebhookClient
    quick: bool
    reply_listeners: list[Callable[[PostedReply], None]] = field(default_factory=list)

    def size(self, full: int, quick: int) -> int:
        """Return the size of a measure: `quick` with the option --quick, otherwise `full`."""
        return quick if self.quick else full

    def new_closed_loop(self, *numbers: Number) -> ClosedLoop:
        """Return a closed loop that receives replies until the next `restart`. By default of the first tenant."""
        loop = ClosedLoop(self.client, *(numbers or [self.stack.number]))
        self.reply_listeners.append(loop.on_reply)
        return loop

    async def restart(self, *, workers: int = 1, model_ms: float = 0.0) -> None:
        """Delete all conversations, restart the workers, and set the latency of the simulated model.

        With `workers=0` only the API and the scheduler run. Otherwise the workers are warmed up.
        """
        self.reply_listeners.clear()
        names = [f"worker-{number}" for number in range(1, WORKERS + 1)]
        for name in names:
            self.stack.children[name].send(signal.SIGKILL)
            self.stack.children[name].stop()
        await self.storage.delete_conversations()
        await self.model.post("faults", {"latency_ms": model_ms})
        wanted = ["api", "scheduler", *names[:workers]]
        # Without a name, `start` would start every process, also those that run.
        if ended := [name for name in wanted if not self.stack.children[name].alive]:
            self.stack.start(*ended)
        if workers:
            await self._warm_up()

    async def wait_until_idle(self) -> None:
        """Wait until no turn and no message is left to process. Raises MeasurementFailed after IDLE_TIMEOUT seconds."""
        if await self.storage.wait_until_idle(IDLE_TIMEOUT) is None:
            raise MeasurementFailed(f"turns or messages were still unfinished after {IDLE_TIMEOUT:.0f} s")

    async def _warm_up(self) -> None:
        # A process in production has its connections, prepared statements and compiled graphs.
        await self.new_closed_loop().run_rounds(WARM_UP_CONTACTS, WARM_UP_ROUNDS)
        await self.wait_until_idle()
        self.reply_listeners.clear()


@asynccontextmanager
async def run_bench_context(folder: Path, *, quick: bool, callbacks: bool) -> AsyncIterator[BenchContext]:
    """Run servers and simulators, and yield the context of the measures. The measures start Recado's processes.

    With `callbacks`, the stub of Twilio posts two status callbacks for every reply.
    """
    listeners: list[Callable[[PostedReply], None]] = []

    def on_reply(reply: PostedReply) -> None:
        for listener in listeners:
            listener(reply)

    twilio = TwilioStub(on_reply)
    await twilio.start()
    try:
        async with (
            run_stack(folder, StackOptions(workers=WORKERS, twilio_url=twilio.url)) as stack,
            open_storage(stack.servers.databases, stack.servers.redis_url) as storage,
            SimulatorControl(stack.addresses["model"]) as model,
        ):
            client = WebhookClient(stack.addresses["api"])
            if callbacks:
                twilio.enable_status_callbacks(client, stack.number)
            yield BenchContext(stack, storage, model, client, quick, listeners)
            client.close()
    finally:
        await twilio.close()
