"""Logging, set up once per process. Log lines carry ids and reasons: never message text, names or secrets."""

import logging
import sys
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


Reached = Callable[[Milestone], None]
"""Told of every milestone as it is passed. Whoever assembles a process may listen."""


def nobody_listens(_: Milestone) -> None:
    """The listener of a process that nobody watches."""


def setup(log_format: str = "auto", *, level: int = logging.INFO) -> None:
    """Readable lines on a terminal, JSON elsewhere; `log_format` `json` or `console` forces one."""
    pretty = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if pretty
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
