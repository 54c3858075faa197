"""Run all scenarios of a tenant, one after another. Each has an event loop, a database and a clock of its own."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from app.errors import RecadoError
from devkit.database_urls import DatabaseUrls
from devkit.scenarios import loader
from devkit.scenarios.clock import VirtualLoop
from devkit.scenarios.database import scenario_databases
from devkit.scenarios.environment import ScenarioServers, run_environment
from devkit.scenarios.live_model import LiveModel, keys_in_environment
from devkit.scenarios.loader import Scenario
from devkit.scenarios.model import ScenarioModel, ScriptedModel
from devkit.scenarios.report import ScenarioResult, SuiteReport
from devkit.scenarios.runner import ScenarioRunner
from devkit.scenarios.transcript import Transcript
from graphs.providers import PROVIDERS
from manifest.folder import load_folder
from manifest.loader import LoadedAssistant


def run(
    folder: Path, *, only: str | None, live: bool, databases: DatabaseUrls | None, say: Callable[[str], None]
) -> bool:
    """Run a tenant's scenarios, print their results, and return whether all passed.

    Raises InvalidFiles before anything runs, and RecadoError when a server or a key is missing.
    """
    assistant = load_folder(folder)
    scenarios = loader.load_folder(folder, only)
    if live:
        _require_key(assistant)
    say(f"{len(scenarios)} scenarios of {assistant.assistant.name}, with {'the real' if live else 'a scripted'} model")
    report = SuiteReport(say)
    with scenario_databases(databases) as servers:
        for scenario in scenarios:
            if live and any(step.provider is not None for step in scenario.document.steps):
                reason = "it injects faults of a provider, which needs the scripted model"
                report.add(ScenarioResult(scenario.document.name, str(scenario.path), skipped=reason))
                continue
            with servers.create() as urls:
                report.add(
                    _run_in_virtual_loop(scenario, assistant, ScenarioServers(urls, servers.redis_url), live=live)
                )
    report.print_summary()
    return not report.failed


def _run_in_virtual_loop(
    scenario: Scenario, assistant: LoadedAssistant, servers: ScenarioServers, *, live: bool
) -> ScenarioResult:
    loop = VirtualLoop(_start(scenario, assistant))
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        transcript = Transcript(loop.time)
        _log_to(transcript)
        latency = scenario.document.model_latency
        model = LiveModel(latency, transcript) if live else ScriptedModel(scenario.script, latency, transcript)
        return runner.run(_run_scenario(scenario, assistant, servers, model, transcript, loop))


async def _run_scenario(
    scenario: Scenario,
    assistant: LoadedAssistant,
    servers: ScenarioServers,
    model: ScenarioModel,
    transcript: Transcript,
    loop: VirtualLoop,
) -> ScenarioResult:
    async with run_environment(servers, assistant, scenario.document, model, transcript) as environment:
        failures = await ScenarioRunner(scenario, environment, transcript, loop).run()
        # A copy: what is added from here on belongs to the end of the servers, not to the scenario.
        lines = Transcript(transcript.now, transcript.begins, list(transcript.lines))
        return ScenarioResult(scenario.document.name, str(scenario.path), failures, lines, transcript.elapsed)


def _start(scenario: Scenario, assistant: LoadedAssistant) -> datetime:
    starts = scenario.document.starts
    return starts if starts.tzinfo is not None else starts.replace(tzinfo=assistant.assistant.timezone)


def _require_key(assistant: LoadedAssistant) -> None:
    provider = assistant.assistant.models[0].provider
    if provider not in keys_in_environment():
        raise RecadoError(
            f"--live needs {PROVIDERS[provider].key_variable}: the assistant's first model is {provider}'s"
        )


def _log_to(transcript: Transcript) -> None:
    """Add the product's warnings and errors to the transcript."""

    def add_event(_: Any, level: str, event: Any) -> Any:
        details = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("event", "exc_info"))
        transcript.add(level, f"{event['event']} {details} {_error_of(event)}".strip())
        raise structlog.DropEvent

    structlog.configure(
        processors=[add_event],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        cache_logger_on_first_use=False,
    )
    logging.disable(logging.CRITICAL)


def _error_of(event: Any) -> str:
    error = event.get("exc_info")
    return f"({type(error).__name__}: {error})" if isinstance(error, BaseException) else ""
