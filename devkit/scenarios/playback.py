"""Runs one scenario: lets each step happen at its moment, and looks at what came of it."""

import asyncio
import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.errors import RecadoError
from app.inbox.decisions import OperatorDecision
from app.telemetry import Milestone
from devkit.scenarios.checks import Checks, Failure
from devkit.scenarios.clock import VirtualLoop
from devkit.scenarios.environment import Stage
from devkit.scenarios.loader import Scenario
from devkit.scenarios.model import ScriptedModel
from devkit.scenarios.phone import Sent
from devkit.scenarios.schema import MODEL, At, Decided, Step
from devkit.scenarios.transcript import Transcript, elapsed

FIRST_LOOK, LONGEST_LOOK = 0.05, 2.0
"""Virtual seconds between looks while something is under way: a tenth more each time."""

TICK = 1e-6
"""Seconds that dates can tell apart."""

LONGEST_UNREST = 900.0
"""Virtual seconds after which a system that is never quiet has failed."""

COMES_WITHIN = 120.0
"""Virtual seconds that a step waits for the moment that it is to happen in."""


class Stopped(Exception):
    """The scenario cannot go on from here; the text says why."""


@dataclass
class Runner:
    """One scenario on its stage."""

    scenario: Scenario
    stage: Stage
    transcript: Transcript
    loop: VirtualLoop
    _last: Sent | None = None

    async def run(self) -> list[Failure]:
        """What was not as expected; nothing when all was. The scenario ends with its first failing step."""
        # Back-offs are random: the same scenario draws the same numbers each time.
        random.seed(self.scenario.document.name)
        checks = Checks(self.scenario, self.stage, self.transcript, exactly=isinstance(self.stage.model, ScriptedModel))
        before = self.transcript.begins = self.loop.time()
        for number, step in enumerate(self.scenario.document.steps):
            try:
                await self._come_to(step, before)
                before = self.loop.time()
                await self._act(step)
                if step.expect is not None:
                    if step.at is None or _acts(step):
                        await self._settle()
                    failures = await checks.failures(number, step.expect, since=before)
                    before = self.loop.time()
                    if failures:
                        return failures
            except (Stopped, RecadoError) as error:
                return [Failure(self.scenario.place("steps", number), str(error))]
        return []

    # When.

    async def _come_to(self, step: Step, before: float) -> None:
        if step.during is not None:
            await self._come_in_the_middle(step.during)
        elif step.at is not None:
            await self._come_at(step.at, before)
        else:
            await self._settle()

    async def _come_at(self, at: At, before: float) -> None:
        target = at.seconds + (before if at.after_previous else self.transcript.begins)
        if target < self.loop.time() - TICK:
            raise Stopped(
                f"{elapsed(target - self.transcript.begins)} is over: "
                f"the step before ended at {elapsed(self.transcript.elapsed)}, when all was quiet after it"
            )
        await self._pass_until(target)

    async def _come_in_the_middle(self, moment: str) -> None:
        is_model = moment == MODEL
        comes = self.stage.model.called() if is_model else self.stage.worker.passes(Milestone(moment))
        await self.stage.nudge()
        try:
            async with asyncio.timeout(COMES_WITHIN):
                await comes
        except TimeoutError:
            raise Stopped(f"nothing came to `{moment}` within {COMES_WITHIN:.0f} s") from None
        self.transcript.add("", f"in the middle: {moment}")

    async def _pass_until(self, target: float) -> None:
        """Lets virtual time pass, from event to event."""
        look = FIRST_LOOK
        while (left := target - self.loop.time()) >= TICK:
            outlook = await self.stage.ledger.outlook(self.loop.clock())
            if outlook.busy:
                await asyncio.sleep(min(look, left))
                look = min(look * 1.1, LONGEST_LOOK)
            else:
                moments = [outlook.next_due, outlook.next_timer, self.loop.clock() + timedelta(seconds=left)]
                await self._leap_to(min(moment for moment in moments if moment is not None))

    async def _settle(self) -> None:
        """Lets all that is due be done. What waits for a timer goes on waiting."""
        began, look = self.loop.time(), FIRST_LOOK
        while True:
            outlook = await self.stage.ledger.outlook(self.loop.clock())
            if not outlook.busy and outlook.next_due is None:
                return
            if self.loop.time() - began > LONGEST_UNREST:
                raise Stopped(f"not quiet after {LONGEST_UNREST:.0f} s")
            if outlook.busy:
                await asyncio.sleep(look)
                look = min(look * 1.1, LONGEST_LOOK)
            elif outlook.next_due is not None:
                await self._leap_to(outlook.next_due)

    async def _leap_to(self, moment: datetime) -> None:
        self.loop.leap(moment)
        # Whatever waited for this moment, or for one before, has its turn first.
        await asyncio.sleep(0)
        await self.stage.fire_timers()
        await self.stage.nudge()

    # What.

    async def _act(self, step: Step) -> None:
        halted = step.during is not None and step.during != MODEL
        try:
            await self._do(step)
        finally:
            if halted:
                self.stage.worker.go_on()
        await self.stage.nudge()

    async def _do(self, step: Step) -> None:
        if step.say is not None or step.button is not None:
            await self._write(step)
        elif step.redeliver:
            self.transcript.add("twilio", "delivers the last message once more")
            await self._post(copies=0)
        elif step.operator is not None:
            await self._operate(step.operator)
        elif step.worker is not None:
            self.transcript.add("worker", "is killed")
            await self.stage.kill_worker()
        elif step.advance is not None:
            self.transcript.add("", f"{elapsed(step.advance)} pass")
            await self._pass_until(self.loop.time() + step.advance)
        else:
            self._break(step)

    async def _write(self, step: Step) -> None:
        texts = list(step.say or (step.button or "",))
        copies = int(step.duplicate)
        for text in reversed(texts) if step.reorder else texts:
            button = f" [{step.button}]" if step.button else ""
            self.transcript.add("contact", text + button + (f" (delivered {copies + 1} times)" if copies else ""))
            self._last = self.stage.phone.write(text, step.button)
            await self._post(copies)

    async def _post(self, copies: int) -> None:
        if self._last is None:
            raise Stopped("there is no message yet that could be delivered once more")
        statuses = await self.stage.phone.post(self._last, copies)
        if refused := [status for status in statuses if status != 200]:
            raise Stopped(f"the webhook answered {refused[0] or 'nothing'}")

    async def _operate(self, decided: Decided) -> None:
        interrupt = await self.stage.interrupt()
        if interrupt is None:
            raise Stopped("nothing waits for an operator")
        said = decided.reply or decided.reason
        self.transcript.add("operator", f"{decided.action}: {said}" if said else decided.action)
        await self.stage.decide(interrupt, OperatorDecision(decided.action, decided.reply, reason=decided.reason))

    def _break(self, step: Step) -> None:
        if step.provider is not None and isinstance(self.stage.model, ScriptedModel):
            provider, fault = step.provider.provider, step.provider.fault
            self.transcript.add(provider, f"will fail {step.provider.times} times: {fault}")
            self.stage.model.misbehave(provider, fault, step.provider.times)
        elif step.twilio is not None:
            wrong = step.twilio
            what = [f"will fail {wrong.times} times: {wrong.post}"] if wrong.post else []
            what += ["loses callbacks from now on"] if wrong.callbacks else []
            self.transcript.add("twilio", ", ".join(what))
            self.stage.phone.misbehave(wrong.post, wrong.times, lose_callbacks=wrong.callbacks is not None)


def _acts(step: Step) -> bool:
    return bool(step.model_fields_set - {"at", "during", "expect"})
