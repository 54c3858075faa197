"""The requests of one operation of an OpenAPI document."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tools.base import InvalidArguments
from tools.kinds.form_bodies import FormField
from tools.kinds.http import HttpRequest, request_with_body
from tools.kinds.parameter_styles import STYLES, header_text, path_text, query_pairs, query_quote
from tools.kinds.templates import Template, as_json, fill_headers, quote_literal
from tools.net.headers import CONTROL_CHARACTER

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
BODY = "body"
"""The name of the argument that is the body of the request."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of the request.

    `argument` is its name for the model; `place` is the value of `in`. `exploded` and `style` are those of OpenAPI; an
    empty style is the usual one of the place. `as_json`: the value is sent as JSON text. `reserved`: reserved
    characters are not encoded.
    """

    argument: str
    name: str
    place: str
    exploded: bool
    as_json: bool
    style: str = ""
    reserved: bool = False

    def pairs(self, value: Any) -> list[tuple[str, str]]:
        """Return names and values for a query or cookies. Raises InvalidArguments."""
        if self.as_json:
            return [(self.name, as_json(value))]
        return query_pairs(self.name, self.style or STYLES["query"][0], self.exploded, value)

    def path_text(self, value: Any) -> str:
        """Return the encoded text for the path. Raises InvalidArguments."""
        value = as_json(value) if self.as_json else value
        return path_text(self.name, self.style or STYLES["path"][0], self.exploded, value)

    def header_text(self, value: Any) -> str:
        """Return the text for a header. Raises InvalidArguments."""
        text = as_json(value) if self.as_json else header_text(self.name, self.exploded, value)
        if CONTROL_CHARACTER.search(text):
            raise InvalidArguments(f"{self.argument}: must be one line without control characters")
        return text


@dataclass(frozen=True)
class Operation:
    """One operation, with what a declaration and a request need. `fields` say how a form is written."""

    method: str
    server: str
    path: str
    description: str
    schema: dict[str, Any]
    parameters: tuple[Parameter, ...]
    body_type: str | None
    headers: Mapping[str, Template]
    fields: tuple[FormField, ...] = ()

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that its headers use."""
        return frozenset().union(*(text.secrets for text in self.headers.values()))

    @property
    def trusted(self) -> frozenset[str]:
        """The names of the trusted values that its headers use."""
        return frozenset().union(*(text.trusted for text in self.headers.values()))

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise InvalidArguments if the request cannot hold the arguments."""
        self._url(arguments)
        self._headers(arguments)
        self._with_body("", {}, arguments)

    def request(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpRequest:
        """Return the request for these arguments. Raises InvalidArguments, Unreachable."""
        headers = self._headers(arguments) | fill_headers(self.headers, arguments, secrets)
        return self._with_body(self._url(arguments), headers, arguments)

    def _with_body(self, url: str, headers: Mapping[str, str], arguments: Mapping[str, Any]) -> HttpRequest:
        if self.body_type is None or BODY not in arguments:
            return HttpRequest(self.method, url, headers)
        typed = {**headers, "Content-Type": self.body_type}
        return request_with_body(self.method, url, typed, arguments[BODY], self.fields)

    def _given(self, place: str, arguments: Mapping[str, Any]) -> Iterator[tuple[Parameter, Any]]:
        for parameter in self.parameters:
            value = arguments.get(parameter.argument)
            if parameter.place == place and value is not None:
                yield parameter, value

    def _headers(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        headers = {
            parameter.name: parameter.header_text(value) for parameter, value in self._given("header", arguments)
        }
        cookies = [
            f"{quote(name, safe='')}={quote(text, safe='')}"
            for parameter, value in self._given("cookie", arguments)
            for name, text in parameter.pairs(value)
        ]
        return headers | ({"Cookie": "; ".join(cookies)} if cookies else {})

    def _url(self, arguments: Mapping[str, Any]) -> str:
        query = [
            f"{quote(name, safe='')}={query_quote(parameter.reserved)(text)}"
            for parameter, value in self._given("query", arguments)
            for name, text in parameter.pairs(value)
        ]
        return self._address(arguments) + (f"?{'&'.join(query)}" if query else "")

    def _address(self, arguments: Mapping[str, Any]) -> str:
        named = {parameter.name: parameter for parameter in self.parameters if parameter.place == "path"}
        path = "".join(
            named[piece].path_text(arguments.get(named[piece].argument)) if number % 2 else quote_literal(piece)
            for number, piece in enumerate(PLACEHOLDER.split(self.path))
        )
        if any(part in (".", "..") for part in path.split("/")):
            raise InvalidArguments("an address must not contain the segments `.` and `..`")
        return self.server + path
