"""Placeholders in addresses, headers and bodies."""

from typing import Any

import pytest

from tools.base import InvalidArguments
from tools.kinds.templates import (
    MISSING,
    TemplateProblem,
    check_headers,
    fill_body,
    fill_headers,
    parse_body_template,
    parse_header_templates,
    parse_template,
    parse_url_template,
)
from tools.ports import Unreachable

URL = parse_url_template("https://api.example.com/orders/{id}?q={word}&key=${secret:KEY}")


@pytest.mark.parametrize(
    ("id_", "path"),
    [
        ("A-1", "A-1"),
        (12, "12"),
        ("São João", "S%C3%A3o%20Jo%C3%A3o"),
        ("a?b#c&d", "a%3Fb%23c%26d"),
        ("@evil.example:80", "%40evil.example%3A80"),
        ("%2e%2e%2f", "%252e%252e%252f"),
        ("...", "..."),
    ],
)
def test_an_argument_stays_within_its_segment_of_the_path(id_: Any, path: str) -> None:
    assert URL.fill({"id": id_}, {"KEY": "k"}) == f"https://api.example.com/orders/{path}?key=k"


@pytest.mark.parametrize("id_", ["", ".", "..", "../admin", "a/b", "a\\b", "a\nb", "\x00", None])
def test_an_argument_that_could_change_the_path_is_refused(id_: str | None) -> None:
    with pytest.raises(InvalidArguments):
        URL.address({"id": id_})


def test_two_arguments_cannot_form_two_dots() -> None:
    with pytest.raises(InvalidArguments):
        parse_url_template("https://a.example/{a}{b}/x").address({"a": ".", "b": "."})


def test_an_argument_cannot_add_to_the_query() -> None:
    url = URL.fill({"id": "1", "word": "a&admin=1#x +"}, {"KEY": "k&e=y"})
    assert url == "https://api.example.com/orders/1?q=a%26admin%3D1%23x%20%2B&key=k%26e%3Dy"


@pytest.mark.parametrize(
    "url",
    [
        "https://{host}/x",
        "https://a.{domain}/x",
        "https://user:password@a.example/",
        "https://a.example:{port}/",
        "{url}",
        "ftp://a.example/",
        "file:///etc/passwd",
        "//a.example/",
        "https://a.example/#{x}",
        "https://a.example/a b",
        "https://a.example\\@b.example/",
        "https://a.example/../x",
        "https://a.example/${secret:KEY}",
        "https://a.example/?{name}=1",
        "https://a.example/{unclosed",
        "https://a.example/x\n",
    ],
)
def test_an_address_whose_host_could_change_is_refused(url: str) -> None:
    with pytest.raises(TemplateProblem):
        parse_url_template(url)


@pytest.mark.parametrize(
    "text",
    [
        "${secret:lower}",
        "${KEY}",
        "${contact.email}",
        "${verified.X}",
        "${verified.}",
        "${}",
        "${x",
        "$${",
        "{",
        "}",
        "{a b}",
        "{}",
        "${secret:}",
    ],
)
def test_an_invalid_placeholder_is_refused(text: str) -> None:
    with pytest.raises(TemplateProblem):
        parse_template(text)


def test_a_doubled_brace_is_a_brace() -> None:
    assert parse_template("{{{a}}} $5").fill({"a": 1}, {}) == "{1} $5"


@pytest.mark.parametrize("name", ["Host", "content-length", "Idempotency-Key", "X Y", "X:", ""])
def test_reserved_headers_cannot_be_set(name: str) -> None:
    with pytest.raises(TemplateProblem):
        parse_header_templates({name: "x"})


def test_a_header_without_its_argument_is_omitted() -> None:
    headers = parse_header_templates({"Authorization": "Bearer ${secret:KEY}", "X-Unit": "{unit}"})
    assert fill_headers(headers, {}, {"KEY": " k\n"}) == {"Authorization": "Bearer k"}


def test_an_argument_cannot_add_a_header() -> None:
    headers = parse_header_templates({"X-Unit": "{unit}"})
    with pytest.raises(InvalidArguments):
        check_headers(headers.values(), {"unit": "a\r\nX-Admin: 1"})


def test_a_secret_with_a_line_break_is_not_in_the_error() -> None:
    headers = parse_header_templates({"X": "${secret:KEY}"})
    with pytest.raises(Unreachable) as raised:
        fill_headers(headers, {}, {"KEY": "abc\ndef"})
    assert "abc" not in str(raised.value)
    assert not raised.value.sent


def test_a_secret_that_is_not_set_stops_the_call() -> None:
    with pytest.raises(Unreachable, match="KEY is not set") as raised:
        URL.fill({"id": "1"}, {})
    assert not raised.value.sent


def test_a_body_keeps_types_and_omits_missing_arguments() -> None:
    body = parse_body_template(
        {"n": "{n}", "text": "n={n}", "list": ["{n}", "{gone}"], "gone": "{gone}", "fixed": [1, None]}
    )
    value = fill_body(body, {"n": 3}, {})
    assert value == {"n": 3, "text": "n=3", "list": [3], "fixed": [1, None]}


def test_a_body_that_is_one_missing_argument_is_missing() -> None:
    assert fill_body(parse_body_template("{gone}"), {}, {}) is MISSING


def test_an_argument_cannot_break_out_of_a_body() -> None:
    hostile = '", "admin": true, "x": "${secret:KEY} {other}'
    value = fill_body(parse_body_template({"note": "{note}"}), {"note": hostile, "other": 1}, {"KEY": "k"})
    assert value == {"note": hostile}
