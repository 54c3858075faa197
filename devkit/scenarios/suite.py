"""All the scenarios of a tenant, one after the other, each in a loop, a database and a moment of its own."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from app.errors import RecadoError
from devkit.scenarios import loader
from devkit.scenarios.clock import VirtualLoop
from devkit.scenarios.database import databases
from devkit.scenarios.environment import ScenarioServers, staged
from devkit.scenarios.live_model import LiveModel, known_keys
from devkit.scenarios.loader import Scenario
from devkit.scenarios.model import Model, ScriptedModel
from devkit.scenarios.playback import Runner
from devkit.scenarios.report import Outcome, Report
from devkit.scenarios.transcript import Transcript
from graphs.providers import PROVIDERS
from manifest.folder import load_folder
from manifest.loader import LoadedAssistant


def run(folder: Path, *, only: str | None, live: bool, database_url: str | None, say: Callable[[str], None]) -> bool:
    """Runs a tenant's scenarios and prints what becomes of them; whether all passed.

    Raises InvalidFiles before anything runs, and RecadoError when a server is missing.
    """
    assistant = load_folder(folder)
    scenarios = loader.load_folder(folder, only)
    if live:
        _require_key(assistant)
    say(f"{len(scenarios)} scenarios of {assistant.assistant.name}, with {'the real' if live else 'a scripted'} model")
    report = Report(say)
    with databases(database_url) as servers:
        for scenario in scenarios:
            if live and any(step.provider is not None for step in scenario.document.steps):
                reason = "it needs a provider that fails when told to"
                report.add(Outcome(scenario.document.name, str(scenario.path), skipped=reason))
                continue
            with servers.fresh() as url:
                report.add(_run_one(scenario, assistant, ScenarioServers(url, servers.redis_url), live=live))
    report.close()
    return not report.failed


def _run_one(scenario: Scenario, assistant: LoadedAssistant, servers: ScenarioServers, *, live: bool) -> Outcome:
    starts = _starts(scenario, assistant)
    # Not a lambda of the runner's: the loop must be at hand for its clock.
    loops: list[VirtualLoop] = []

    def make_loop() -> VirtualLoop:
        loops.append(VirtualLoop(starts))
        return loops[0]

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.get_loop()
        transcript = Transcript(loops[0].time)
        _log_to(transcript)
        latency = scenario.document.model_latency
        model: Model = LiveModel(latency, transcript) if live else ScriptedModel(scenario.script, latency, transcript)
        played = _play(scenario, assistant, servers, model, transcript, loops[0])
        return runner.run(played)


async def _play(
    scenario: Scenario,
    assistant: LoadedAssistant,
    servers: ScenarioServers,
    model: Model,
    transcript: Transcript,
    loop: VirtualLoop,
) -> Outcome:
    async with staged(servers, assistant, scenario.document, model, transcript) as stage:
        failures = await Runner(scenario, stage, transcript, loop).run()
        # What is added from here on is the end of the servers, not of the story.
        lines = Transcript(transcript.now, transcript.begins, list(transcript.lines))
        return Outcome(scenario.document.name, str(scenario.path), failures, lines, transcript.elapsed)


def _starts(scenario: Scenario, assistant: LoadedAssistant) -> datetime:
    starts = scenario.document.starts
    return starts if starts.tzinfo is not None else starts.replace(tzinfo=assistant.assistant.timezone)


def _require_key(assistant: LoadedAssistant) -> None:
    provider = assistant.assistant.models[0].provider
    if provider not in known_keys():
        raise RecadoError(
            f"--live needs {PROVIDERS[provider].key_variable}: the assistant's first model is {provider}'s"
        )


def _log_to(transcript: Transcript) -> None:
    """Warnings and errors of the product become lines of the transcript."""

    def note(_: Any, level: str, event: Any) -> Any:
        details = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("event", "exc_info"))
        transcript.add(level, f"{event['event']} {details} {_raised(event)}".strip())
        raise structlog.DropEvent

    structlog.configure(
        processors=[note],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        cache_logger_on_first_use=False,
    )
    logging.disable(logging.CRITICAL)


def _raised(event: Any) -> str:
    error = event.get("exc_info")
    return f"({type(error).__name__}: {error})" if isinstance(error, BaseException) else ""
