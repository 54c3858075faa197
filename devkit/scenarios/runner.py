"""Run the steps of one scenario at their virtual times, and check their expectations."""

import asyncio
import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.errors import RecadoError
from app.inbox.decisions import OperatorDecision
from app.telemetry import Milestone
from devkit.scenarios.checks import ExpectationChecker, Failure
from devkit.scenarios.clock import VirtualLoop
from devkit.scenarios.environment import ScenarioEnvironment
from devkit.scenarios.loader import Scenario
from devkit.scenarios.model import ScriptedModel
from devkit.scenarios.schema import DURING_MODEL_CALL, OperatorAction, Step, StepTime
from devkit.scenarios.simulated_twilio import ContactMessage
from devkit.scenarios.transcript import Transcript, elapsed

FIRST_POLL, LONGEST_POLL = 0.05, 2.0
"""Virtual seconds between two looks at the database while the system is busy. The interval grows by a tenth."""

CLOCK_RESOLUTION = 1e-6
"""The smallest difference between two dates, in seconds."""

SETTLE_TIMEOUT = 900.0
"""Virtual seconds after which a system that is still busy has failed."""

MOMENT_TIMEOUT = 120.0
"""Virtual seconds that a step waits for the moment in its `during`."""


class CannotContinue(Exception):
    """The scenario cannot continue. The text says why."""


@dataclass
class ScenarioRunner:
    """One scenario, run in its environment."""

    scenario: Scenario
    environment: ScenarioEnvironment
    transcript: Transcript
    loop: VirtualLoop
    _last_message: ContactMessage | None = None

    async def run(self) -> list[Failure]:
        """Run the scenario up to its first failing step. Return the failures of that step."""
        # Back-offs are random. With the same seed, a scenario draws the same numbers each time.
        random.seed(self.scenario.document.name)
        exactly = isinstance(self.environment.model, ScriptedModel)
        checker = ExpectationChecker(self.scenario, self.environment, self.transcript, exactly=exactly)
        before = self.transcript.begins = self.loop.time()
        for number, step in enumerate(self.scenario.document.steps):
            try:
                await self._wait_for(step, before)
                before = self.loop.time()
                await self._act(step)
                if step.expect is not None:
                    if step.at is None or _has_action(step):
                        await self._settle()
                    failures = await checker.failures(number, step.expect, since=before)
                    before = self.loop.time()
                    if failures:
                        return failures
            except (CannotContinue, RecadoError) as error:
                return [Failure(self.scenario.place("steps", number), str(error))]
        return []

    # Waiting for the time of a step.

    async def _wait_for(self, step: Step, before: float) -> None:
        if step.during is not None:
            await self._wait_for_moment(step.during)
        elif step.at is not None:
            await self._wait_until(step.at, before)
        else:
            await self._settle()

    async def _wait_until(self, at: StepTime, before: float) -> None:
        target = at.seconds + (before if at.after_previous else self.transcript.begins)
        if target < self.loop.time() - CLOCK_RESOLUTION:
            raise CannotContinue(
                f"{elapsed(target - self.transcript.begins)} is over: "
                f"the step before ended at {elapsed(self.transcript.elapsed)}, when the system was idle again. "
                "Give this step a later `at`"
            )
        await self._advance_to(target)

    async def _wait_for_moment(self, moment: str) -> None:
        is_model_call = moment == DURING_MODEL_CALL
        if is_model_call:
            reached = self.environment.model.next_request()
        else:
            reached = self.environment.worker.pause_at(Milestone(moment))
        await self.environment.nudge()
        try:
            async with asyncio.timeout(MOMENT_TIMEOUT):
                await reached
        except TimeoutError:
            raise CannotContinue(f"nothing reached `{moment}` within {MOMENT_TIMEOUT:.0f} s") from None
        self.transcript.add("", f"during: {moment}")

    async def _advance_to(self, target: float) -> None:
        """Let virtual time pass until `target`, and fire timers on the way."""
        poll = FIRST_POLL
        while (left := target - self.loop.time()) >= CLOCK_RESOLUTION:
            work = await self.environment.probe.due_work(self.loop.clock())
            if work.busy:
                await asyncio.sleep(min(poll, left))
                poll = min(poll * 1.1, LONGEST_POLL)
            else:
                moments = [work.next_due, work.next_timer, self.loop.clock() + timedelta(seconds=left)]
                await self._jump_to(min(moment for moment in moments if moment is not None))

    async def _settle(self) -> None:
        """Let virtual time pass until no row is due. Timers that are due later are not waited for."""
        began, poll = self.loop.time(), FIRST_POLL
        while True:
            work = await self.environment.probe.due_work(self.loop.clock())
            if not work.busy and work.next_due is None:
                return
            if self.loop.time() - began > SETTLE_TIMEOUT:
                raise CannotContinue(f"the system is still busy after {SETTLE_TIMEOUT:.0f} s")
            if work.busy:
                await asyncio.sleep(poll)
                poll = min(poll * 1.1, LONGEST_POLL)
            elif work.next_due is not None:
                await self._jump_to(work.next_due)

    async def _jump_to(self, moment: datetime) -> None:
        self.loop.jump_to(moment)
        # Callbacks that were scheduled for this moment, or before it, run first.
        await asyncio.sleep(0)
        await self.environment.fire_timers()
        await self.environment.nudge()

    # The action of a step.

    async def _act(self, step: Step) -> None:
        is_paused = step.during is not None and step.during != DURING_MODEL_CALL
        try:
            await self._run_action(step)
        finally:
            if is_paused:
                self.environment.worker.resume()
        await self.environment.nudge()

    async def _run_action(self, step: Step) -> None:
        if step.say is not None or step.button is not None:
            await self._write(step)
        elif step.redeliver:
            self.transcript.add("twilio", "delivers the last message once more")
            await self._post(copies=0)
        elif step.operator is not None:
            await self._decide(step.operator)
        elif step.worker is not None:
            self.transcript.add("worker", "is killed")
            await self.environment.kill_worker()
        elif step.advance is not None:
            self.transcript.add("", f"{elapsed(step.advance)} pass")
            await self._advance_to(self.loop.time() + step.advance)
        else:
            self._inject_fault(step)

    async def _write(self, step: Step) -> None:
        texts = list(step.say or (step.button or "",))
        copies = int(step.duplicate)
        for text in reversed(texts) if step.reorder else texts:
            button = f" [{step.button}]" if step.button else ""
            self.transcript.add("contact", text + button + (f" (delivered {copies + 1} times)" if copies else ""))
            self._last_message = self.environment.twilio.write(text, step.button)
            await self._post(copies)

    async def _post(self, copies: int) -> None:
        if self._last_message is None:
            raise CannotContinue("there is no message to deliver again: put a step with `say` before this one")
        statuses = await self.environment.twilio.post(self._last_message, copies)
        if refused := [status for status in statuses if status != 200]:
            raise CannotContinue(f"the webhook answered {refused[0] or 'nothing'}")

    async def _decide(self, action: OperatorAction) -> None:
        interrupt = await self.environment.interrupt()
        if interrupt is None:
            raise CannotContinue("no interrupt waits for an operator")
        said = action.reply or action.reason
        self.transcript.add("operator", f"{action.action}: {said}" if said else action.action)
        await self.environment.decide(interrupt, OperatorDecision(action.action, action.reply, reason=action.reason))

    def _inject_fault(self, step: Step) -> None:
        if step.provider is not None and isinstance(self.environment.model, ScriptedModel):
            provider, fault, times = step.provider.provider, step.provider.fault, step.provider.times
            self.transcript.add(provider, f"will fail {times} times: {fault}")
            self.environment.model.inject_fault(provider, fault, times)
        elif step.twilio is not None:
            twilio_fault = step.twilio
            what = [f"will fail {twilio_fault.times} times: {twilio_fault.post}"] if twilio_fault.post else []
            what += ["loses callbacks from now on"] if twilio_fault.callbacks else []
            self.transcript.add("twilio", ", ".join(what))
            lose_callbacks = twilio_fault.callbacks is not None
            self.environment.twilio.inject_faults(twilio_fault.post, twilio_fault.times, lose_callbacks=lose_callbacks)


def _has_action(step: Step) -> bool:
    return bool(step.model_fields_set - {"at", "during", "expect"})
