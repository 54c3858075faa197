"""Texts with placeholders: `{argument}`, `${secret:NAME}`, `${contact.phone}`; `{{` and `}}` stand for braces.

`${contact.phone}` and its like are trusted values: Recado knows them, and no model can set them.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tools.base import InvalidArguments
from tools.kinds.trusted_values import NAMES_OF_TRUSTED, is_trusted
from tools.net.headers import CONTROL_CHARACTER, HEADER_NAME, RESERVED_HEADERS
from tools.ports import Unreachable

PLACEHOLDER = re.compile(
    r"\$\{secret:(?P<secret>[^{}]*)\}|\$\{(?P<trusted>[^{}]*)\}|\$\{|(?P<brace>\{\{|\}\})|\{(?P<argument>[^{}]*)\}|[{}]"
)
ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
SECRET = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
ADDRESS = re.compile(
    r"(https?://[A-Za-z0-9.-]+(?::\d{1,5})?|https?://\[[0-9A-Fa-f:.]+\](?::\d{1,5})?)(/[^?#]*)?(\?[^#]*)?"
)
"""Groups: origin, path, query."""

MAX_EXACT_INTEGER = 2**53

MISSING = object()
"""The result of a template whose argument is missing. None is not used, because it is a valid JSON value."""


class TemplateProblem(ValueError):
    """The text is not a valid template. The message says why."""


@dataclass(frozen=True)
class Argument:
    """A placeholder for an argument."""

    name: str


@dataclass(frozen=True)
class Trusted(Argument):
    """A placeholder for a trusted value, which is given like an argument. No argument of a model has such a name."""


@dataclass(frozen=True)
class Secret:
    """A placeholder for a secret."""

    name: str


@dataclass(frozen=True)
class Template:
    """The literal texts and placeholders of a template, in order. Trusted values are filled in from the arguments."""

    parts: tuple[str | Argument | Secret, ...]

    @property
    def arguments(self) -> frozenset[str]:
        """The names of the arguments that the template uses."""
        return frozenset(part.name for part in self.parts if type(part) is Argument)

    @property
    def trusted(self) -> frozenset[str]:
        """The names of the trusted values that the template uses."""
        return frozenset(part.name for part in self.parts if isinstance(part, Trusted))

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that the template uses."""
        return frozenset(part.name for part in self.parts if isinstance(part, Secret))

    def fill(
        self, arguments: Mapping[str, Any], secrets: Mapping[str, str], quote_value: Callable[[str], str] = str
    ) -> str | None:
        """Return the text with its placeholders filled, or None if an argument is missing.

        `quote_value` is applied to each filled value. Raises Unreachable if a secret is not set.
        """
        if any(arguments.get(name) is None for name in self.arguments | self.trusted):
            return None
        return "".join(
            part
            if isinstance(part, str)
            else quote_value(
                secret_value(secrets, part.name) if isinstance(part, Secret) else as_text(arguments[part.name])
            )
            for part in self.parts
        )

    def fill_value(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Any:
        """Return the text, or MISSING. A template that is a single argument gives that argument with its type."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Argument):
            return arguments.get(self.parts[0].name, MISSING)
        text = self.fill(arguments, secrets)
        return MISSING if text is None else text


def parse_template(text: str) -> Template:
    """Parse a text. Raises TemplateProblem."""
    parts: list[str | Argument | Secret] = []
    end = 0
    for match in PLACEHOLDER.finditer(text):
        parts.append(text[end : match.start()])
        parts.append(_parse_placeholder(match))
        end = match.end()
    parts.append(text[end:])
    return Template(tuple(part for part in parts if part != ""))


def _parse_placeholder(match: re.Match[str]) -> str | Argument | Secret:
    if match["brace"] is not None:
        return str(match["brace"][0])
    if match["secret"] is not None:
        if SECRET.fullmatch(match["secret"]):
            return Secret(match["secret"])
        raise TemplateProblem(f"`{match[0]}`: secrets have names such as API_KEY")
    if match["trusted"] is not None:
        if is_trusted(match["trusted"]):
            return Trusted(match["trusted"])
        raise TemplateProblem(f"`{match[0]}` is none of `${{secret:NAME}}`, {NAMES_OF_TRUSTED}")
    if match["argument"] is not None:
        if ARGUMENT.fullmatch(match["argument"]):
            return Argument(match["argument"])
        raise TemplateProblem(f"`{match[0]}` is not the name of a parameter; braces are written {{{{ and }}}}")
    raise TemplateProblem(
        "`${` without its `}`" if match[0] == "${" else "a brace without its pair; write {{ or }} for braces"
    )


def secret_value(secrets: Mapping[str, str], name: str) -> str:
    """Return the value of a secret without surrounding white space. Raises Unreachable if it is not set."""
    if name not in secrets:
        raise Unreachable(f"the secret {name} is not set", sent=False)
    return secrets[name].strip()


def as_text(value: Any) -> str:
    """Return a value as text: lists joined with commas, mappings as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ",".join(as_text(item) for item in value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT_INTEGER:
        # Models write 5.0 for an integer, which servers refuse.
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_json(value: Any) -> str:
    """Return a value as JSON text. Raises ValueError for numbers that are not finite."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def quote_segment(value: Any) -> str:
    """Percent-encode a value for one segment of a path. Raises InvalidArguments if it could change the path."""
    text = "" if value is None else as_text(value)
    # Some servers decode a path before they split it, so an encoded slash is not safe.
    if not text or "/" in text or "\\" in text or CONTROL_CHARACTER.search(text):
        raise InvalidArguments(f"{text[:100]!r} cannot be part of an address: no slashes, and not empty")
    return quote(text, safe="")


def quote_literal(text: str) -> str:
    """Return a part of an address that the tenant wrote, percent-encoded where necessary."""
    return quote(text, safe="%/:@!$'()*+,;=~-._")


@dataclass(frozen=True)
class UrlTemplate:
    """An address with a fixed host, and placeholders in segments of the path and in values of the query."""

    origin: str
    path: tuple[Template, ...]
    query: tuple[tuple[str, Template], ...]

    @property
    def path_arguments(self) -> frozenset[str]:
        """The arguments in the path. Without them there is no address."""
        return frozenset().union(*(part.arguments for part in self.path))

    @property
    def arguments(self) -> frozenset[str]:
        """The names of all arguments that the address uses."""
        return self.path_arguments.union(*(value.arguments for _, value in self.query))

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that the template uses."""
        return frozenset().union(*(value.secrets for _, value in self.query))

    @property
    def trusted(self) -> frozenset[str]:
        """The names of the trusted values that the template uses."""
        return frozenset().union(*(part.trusted for part in (*self.path, *(value for _, value in self.query))))

    def address(self, arguments: Mapping[str, Any]) -> str:
        """Return the address without the query. Raises InvalidArguments."""
        return self.origin + "".join(f"/{_filled(part, arguments)}" for part in self.path)

    def fill(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> str:
        """Return the whole address. Values of the query whose argument is missing are omitted."""
        pairs = ((name, value.fill(arguments, secrets, _query_value)) for name, value in self.query)
        query = "&".join(f"{quote_literal(name)}={value}" for name, value in pairs if value is not None)
        return self.address(arguments) + (f"?{query}" if query else "")


def parse_url_template(text: str) -> UrlTemplate:
    """Parse an address. Raises TemplateProblem."""
    match = ADDRESS.fullmatch(text)
    if match is None or CONTROL_CHARACTER.search(text) or "\\" in text or " " in text:
        raise TemplateProblem(
            "expected an address such as https://api.example.com/orders/{id}?q={word}: "
            "with a host that is written out, and without a user, spaces or a fragment"
        )
    path = tuple(parse_template(part) for part in (match[2] or "/")[1:].split("/"))
    if any(part.secrets for part in path):
        raise TemplateProblem("a secret is allowed in the query, in headers and in the body, but not in the path")
    if any("".join(str(piece) for piece in part.parts) in (".", "..") for part in path):
        raise TemplateProblem("an address must not contain the segments `.` and `..`")
    query = tuple(_pair(pair) for pair in (match[3] or "")[1:].split("&") if pair)
    return UrlTemplate(match[1], path, query)


def _pair(pair: str) -> tuple[str, Template]:
    name, _, value = pair.partition("=")
    if "{" in name or "}" in name or not name:
        raise TemplateProblem(f"`{pair}`: placeholders are only allowed on the right of a `=`")
    parts = parse_template(value).parts
    return name, Template(tuple(quote_literal(part) if isinstance(part, str) else part for part in parts))


def _filled(part: Template, arguments: Mapping[str, Any]) -> str:
    pieces = (
        quote_literal(piece) if isinstance(piece, str) else quote_segment(arguments.get(piece.name))
        for piece in part.parts
    )
    text = "".join(pieces)
    if text in (".", ".."):
        raise InvalidArguments(f"{text!r} cannot be part of an address")
    return text


def _query_value(text: str) -> str:
    return quote(text, safe="")


def parse_header_templates(headers: Mapping[str, str]) -> dict[str, Template]:
    """Parse the values of headers. Raises TemplateProblem, also for headers that a tool must not set."""
    for name in headers:
        if not HEADER_NAME.fullmatch(name) or name.lower() in RESERVED_HEADERS:
            raise TemplateProblem(f"`{name}` is not a header that a tool may set")
    return {name: parse_template(text) for name, text in headers.items()}


def fill_headers(
    headers: Mapping[str, Template], arguments: Mapping[str, Any], secrets: Mapping[str, str]
) -> dict[str, str]:
    """Fill the placeholders of headers. Headers whose argument is missing are omitted. Raises Unreachable."""
    filled = {name: text.fill(arguments, secrets) for name, text in headers.items()}
    for name, value in filled.items():
        if value is not None and CONTROL_CHARACTER.search(value):
            raise Unreachable(f"the value of the header {name} has control characters", sent=False)
    return {name: value for name, value in filled.items() if value is not None}


def check_headers(headers: Iterable[Template], arguments: Mapping[str, Any]) -> None:
    """Raise InvalidArguments if a header cannot hold the arguments."""
    for name in frozenset().union(*(text.arguments for text in headers)):
        if CONTROL_CHARACTER.search(as_text(arguments.get(name, ""))):
            raise InvalidArguments(f"{name}: must be one line without control characters")


Body = Template | dict[str, Any] | list[Any] | int | float | bool | None
"""A JSON value in which each text is a template."""


def parse_body_template(value: Any) -> Body:
    """Parse each text of a body. Raises TemplateProblem."""
    if isinstance(value, str):
        return parse_template(value)
    if isinstance(value, Mapping):
        return {key: parse_body_template(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [parse_body_template(item) for item in value]
    if value is None or isinstance(value, int | float):
        return value
    raise TemplateProblem("a body holds texts, numbers, lists and mappings")


def body_templates(body: Body) -> list[Template]:
    """Return the templates in a body."""
    if isinstance(body, Template):
        return [body]
    items = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    return [leaf for item in items for leaf in body_templates(item)]


def fill_body(body: Body, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Any:
    """Fill the placeholders of a body. Parts whose argument is missing are omitted; MISSING if nothing is left."""
    if isinstance(body, Template):
        return body.fill_value(arguments, secrets)
    if isinstance(body, dict):
        filled = {key: fill_body(item, arguments, secrets) for key, item in body.items()}
        return {key: item for key, item in filled.items() if item is not MISSING}
    if isinstance(body, list):
        return [item for item in (fill_body(part, arguments, secrets) for part in body) if item is not MISSING]
    return body
