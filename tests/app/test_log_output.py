"""Logging on outputs that take nothing: the code goes on, and what was dropped is counted."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

PROGRAM = """
import logging, os, sys, structlog
from app import telemetry
telemetry.setup("json")
log = structlog.get_logger()
for _ in range(500):
    log.warning("a line " + "x" * 200)
    logging.getLogger("library").warning("a line of a library")
try:
    int("x")
except ValueError:
    log.exception("it failed")
telemetry.announce("ready")
from app.log_output import LogOutput
os.write(int(sys.argv[1]), b"went on, dropped %d" % LogOutput.dropped)
"""
LINES = 1002


@contextmanager
def full_disk() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@contextmanager
def pipe_without_reader() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def pipe_that_nobody_reads(*, blocking: bool) -> Iterator[int]:
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    yield writer
    os.close(reader)
    os.close(writer)


def went_on(output: int | None) -> int:
    """Run the program with an output for stdout and stderr, None for closed ones. Return the lines it has dropped."""
    told, tell = os.pipe()
    command = [sys.executable, "-c", PROGRAM, str(tell)]
    if output is None:
        command = ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
    ran = subprocess.run(command, stdout=output, stderr=output, pass_fds=[tell], timeout=30, check=False)
    os.close(tell)
    with os.fdopen(told) as result:
        text = result.read()
    assert ran.returncode == 0, text
    assert text.startswith("went on, dropped "), text
    return int(text.rpartition(" ")[2])


@pytest.mark.parametrize("output", [full_disk, pipe_without_reader])
def test_what_cannot_be_written_is_dropped(output: Callable[[], AbstractContextManager[int]]) -> None:
    with output() as descriptor:
        assert went_on(descriptor) == LINES


@pytest.mark.parametrize("blocking", [True, False])
def test_a_reader_that_stands_still_stops_nobody(blocking: bool) -> None:
    with pipe_that_nobody_reads(blocking=blocking) as descriptor:
        assert 0 < went_on(descriptor) < LINES, "the pipe takes the first lines"


def test_a_process_without_stdout_and_stderr_goes_on() -> None:
    assert went_on(None) == LINES
