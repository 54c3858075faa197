"""Logging, set up once per process. Log lines carry ids and reasons: never message text, names or secrets."""

import logging
import sys
import traceback
from collections.abc import Callable
from enum import StrEnum

import structlog


class Milestone(StrEnum):
    """The named points of a message's way: between two of them, what is durable does not change."""

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
"""Told of every milestone as it is passed. Whoever assembles a process may listen."""


def no_hook(_: Milestone) -> None:
    """The listener of a process that nobody watches."""


def _where(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replaces an exception by its types and places: its text may quote a contact, its variables a secret."""
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
    """Where it was raised, and from there up where our own code called."""
    ours = [frame for frame in frames[:-1] if "site-packages" not in frame.filename]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in [*frames[-1:], *reversed(ours)]]


def setup(log_format: str = "auto", *, level: int = logging.INFO) -> None:
    """Readable lines on a terminal, JSON elsewhere; `log_format` `json` or `console` forces one."""
    pretty = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _where,
            structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
