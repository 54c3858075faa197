"""Log lines: one object each, that says where something went wrong and never what a contact or a secret said."""

import ast
import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import logging, sys, structlog
from app import telemetry
telemetry.setup({log_format!r})
log = structlog.get_logger()
{body}
"""
SECRET = "palavras-do-contato"


def logged(body: str, log_format: str = "json") -> str:
    """What a process writes to stderr; nothing may go to stdout."""
    program = PROGRAM.format(log_format=log_format, body=body)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=10, check=True)
    assert ran.stdout == ""
    return ran.stderr


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


RAISING = f"""
import psycopg
def tell_a_secret():
    try:
        int("{SECRET}")
    except ValueError as error:
        raise psycopg.errors.UniqueViolation("key ({SECRET}) already exists") from error
try:
    tell_a_secret()
except psycopg.Error as error:
    caught = error
    {{statement}}
"""


@pytest.mark.parametrize(
    "statement", ["log.exception('it failed', id=7)", "log.error('it failed', id=7, exc_info=error)"]
)
def test_an_exception_is_its_types_and_places(statement: str) -> None:
    text = logged(RAISING.format(statement=statement))
    assert SECRET not in text
    (line,) = objects(text)
    assert (line["event"], line["id"], line["level"]) == ("it failed", 7, "error")
    outer, inner = line["error"]
    assert outer.startswith("UniqueViolation")
    assert "tell_a_secret" in outer
    assert inner.startswith("ValueError")


def test_a_person_at_a_terminal_gets_no_more_of_it() -> None:
    text = logged(RAISING.format(statement="log.exception('it failed')"), "console")
    assert "it failed" in text
    assert "UniqueViolation" in text
    assert SECRET not in text


def test_text_that_would_break_a_line_does_not() -> None:
    hostile = 'a"b\n{"event": "forged"}\r\x1b[31m\u2028👋'
    (line,) = objects(logged(f"log.warning('refused', reason={hostile!r})"))
    assert line["reason"] == hostile


def test_a_value_that_is_no_json_does_not_stop_the_work() -> None:
    (line,) = objects(logged("import uuid, datetime; log.info('x', id=uuid.UUID(int=0), at=datetime.timedelta(1))"))
    assert "00000000-0000" in line["id"]


def test_times_are_in_utc_and_levels_are_named() -> None:
    (info,) = objects(logged("log.debug('no'); log.info('yes')"))
    assert info["event"] == "yes"
    assert info["level"] == "info"
    assert info["timestamp"].endswith("Z")


def test_libraries_are_heard_from_warnings_on() -> None:
    text = logged("logging.getLogger('lib').info('no'); logging.getLogger('lib').warning('yes')")
    assert "no" not in text
    assert "yes" in text


def test_auto_is_json_where_nobody_watches() -> None:
    (line,) = objects(logged("log.info('x')", "auto"))
    assert line["event"] == "x"


def test_an_exception_that_is_its_own_cause_ends() -> None:
    """`raise error from error` makes one."""
    body = """
try:
    try:
        int("x")
    except ValueError as error:
        raise error from error
except ValueError:
    log.exception('odd')
"""
    (line,) = objects(logged(body))
    assert line["event"] == "odd"


def test_the_program_above_is_python() -> None:
    ast.parse(PROGRAM.format(log_format="json", body=RAISING.format(statement="pass")))
