"""Set up logging. Log lines have ids and reasons, never message texts, names or secrets.

Logging never raises: a line that cannot be rendered or written is dropped and counted.
"""

import logging
import sys
import traceback
from collections.abc import Callable
from enum import StrEnum
from typing import TextIO, cast

import structlog

from app import log_output
from app.log_output import LogOutput


class Milestone(StrEnum):
    """The named points in the way of a message. What is durable does not change between two of them."""

    MESSAGE_STORED = "message stored"
    TURN_CLAIMED = "turn claimed"
    LEG_RUN = "leg run"
    LEG_COMMITTED = "leg committed"
    TOOL_RUN = "tool run"
    TOOL_COMMITTED = "tool committed"
    TURN_RUN = "turn run"
    TURN_COMMITTED = "turn committed"
    ROW_CLAIMED = "row claimed"
    ROW_POSTED = "row posted"
    ROW_SETTLED = "row settled"


MilestoneHook = Callable[[Milestone], None]
"""A function that is called when a milestone is passed."""


def no_hook(_: Milestone) -> None:
    """Do nothing: the default milestone hook."""


def _where(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace an exception by its types and places, because its text may quote a contact and its variables a secret."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exception()
    chain: list[str] = []
    seen: set[int] = set()
    while isinstance(error, BaseException) and id(error) not in seen:
        seen.add(id(error))
        sqlstate = getattr(error, "sqlstate", None)
        name = f"{type(error).__name__} {sqlstate}" if sqlstate else type(error).__name__
        chain.append(" < ".join([name, *_places(traceback.extract_tb(error.__traceback__))]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return {**event, "error": chain} if chain else event


def _places(frames: traceback.StackSummary) -> list[str]:
    """Return where the error was raised, and the calls of our own code above it."""
    ours = [frame for frame in frames[:-1] if "site-packages" not in frame.filename]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in [*frames[-1:], *reversed(ours)]]


def _droppable(processor: structlog.typing.Processor) -> structlog.typing.Processor:
    """Return a processor that drops and counts the line that it fails for."""

    def process(
        logger: object, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.ProcessorReturnValue:
        try:
            return processor(logger, method, event)
        except Exception:
            log_output.count_dropped()
            raise structlog.DropEvent from None

    return process


class _Handler(logging.StreamHandler[LogOutput]):
    """Handles the lines of libraries."""

    def handleError(self, record: logging.LogRecord) -> None:
        log_output.count_dropped()


def setup(log_format: str = "auto", *, level: int = logging.INFO) -> None:
    """Log readable lines on a terminal, JSON otherwise. `log_format` `json` or `console` forces one."""
    log_output.open_standard_descriptors()
    output = LogOutput(sys.stderr)
    pretty = log_format == "console" or (log_format == "auto" and sys.stderr is not None and sys.stderr.isatty())
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _where,
        structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[_droppable(processor) for processor in processors],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", output)),
        cache_logger_on_first_use=True,
    )
    handler = _Handler(output)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(levelname)s %(name)s %(message)s")


def announce(line: str) -> None:
    """Print a line on stdout for the program that started this process."""
    LogOutput(sys.stdout).write(f"{line}\n")
