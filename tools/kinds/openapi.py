"""Tools that are one operation of an OpenAPI 3 document, which gives their declaration and their request."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tools.base import InvalidArguments
from tools.kinds.http import FORM, JSON_TYPE, WITH_BODY, HttpRequest, request_with_body
from tools.kinds.json_schema import CHECKED_FORMATS, Inliner, SchemaProblem, iter_schemas, pattern_problem, plain_schema
from tools.kinds.templates import (
    Template,
    TemplateProblem,
    as_text,
    fill_headers,
    parse_url_template,
    quote_literal,
    quote_segment,
)
from tools.names import nearest
from tools.net.headers import CONTROL_CHARACTER, RESERVED_HEADERS

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
METHODS = ("get", "post", "put", "patch", "delete")
VERSION = re.compile(r"3\.[0-2](\.\d+)?")
KEPT_KEYWORDS = frozenset(
    {
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "default",
        "description",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "not",
        "oneOf",
        "pattern",
        "prefixItems",
        "properties",
        "required",
        "type",
        "uniqueItems",
    }
)
"""Keywords of a schema that are kept: they are sent to models, and arguments are checked against them."""

BODY = "body"
MAX_DESCRIPTION_LENGTH = 1_000


class OpenApiProblem(ValueError):
    """A document or one of its operations cannot be a tool. The message says why."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of the request.

    `argument` is its name for the model; `place` is the value of `in`. `exploded`: a list is sent as one pair for each
    item. `as_json`: the value is sent as JSON text.
    """

    argument: str
    name: str
    place: str
    exploded: bool
    as_json: bool


@dataclass(frozen=True)
class Operation:
    """One operation, with what a declaration and a request need."""

    method: str
    server: str
    path: str
    description: str
    schema: dict[str, Any]
    parameters: tuple[Parameter, ...]
    body_type: str | None
    headers: Mapping[str, Template]

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that its headers use."""
        return frozenset().union(*(text.secrets for text in self.headers.values()))

    @property
    def trusted(self) -> frozenset[str]:
        """The names of the trusted values that its headers use."""
        return frozenset().union(*(text.trusted for text in self.headers.values()))

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise InvalidArguments if the address or a header cannot hold the arguments."""
        self._address(arguments)
        for parameter in self.parameters:
            if parameter.place == "header" and CONTROL_CHARACTER.search(as_text(arguments.get(parameter.argument, ""))):
                raise InvalidArguments(f"{parameter.argument}: must be one line without control characters")

    def request(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpRequest:
        """Return the request for these arguments. Raises InvalidArguments, Unreachable."""
        self.check(arguments)
        given = {p: arguments[p.argument] for p in self.parameters if arguments.get(p.argument) is not None}
        filled = {p.name: _serialize(p, value) for p, value in given.items() if p.place == "header"}
        filled |= fill_headers(self.headers, arguments, secrets)
        pairs = [pair for p, value in given.items() if p.place == "query" for pair in _query_pairs(p, value)]
        query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
        url = self._address(arguments) + (f"?{query}" if query else "")
        if self.body_type is None or BODY not in arguments:
            return HttpRequest(self.method, url, filled)
        return request_with_body(self.method, url, {**filled, "Content-Type": self.body_type}, arguments[BODY])

    def _address(self, arguments: Mapping[str, Any]) -> str:
        called = {parameter.name: parameter.argument for parameter in self.parameters if parameter.place == "path"}
        path = "".join(
            quote_segment(arguments.get(called[piece])) if number % 2 else quote_literal(piece)
            for number, piece in enumerate(PLACEHOLDER.split(self.path))
        )
        if any(part in (".", "..") for part in path.split("/")):
            raise InvalidArguments("an address must not contain the segments `.` and `..`")
        return self.server + path


def find_operation(
    document: Any, operation_id: str, server: str | None = None, headers: Mapping[str, Template] | None = None
) -> Operation:
    """Return the operation with this id. Raises OpenApiProblem.

    `server` replaces the server of the document. `headers` are sent with each request; models cannot set them.
    Optional parameters that cannot be sent (cookies, nested objects in a query) are omitted.
    """
    if not isinstance(document, Mapping) or not VERSION.fullmatch(str(document.get("openapi", ""))):
        raise OpenApiProblem("not an OpenAPI document of version 3")
    method, path, path_item, operation = _locate(document, operation_id)
    headers = headers or {}
    fixed = frozenset(name.lower() for name in headers)
    try:
        entries = list(_parameters(Inliner(document, open_ended=True), path_item, operation, fixed))
        body = _body(document, operation) if method.upper() in WITH_BODY else None
        parameters, schema = _arguments(entries, body)
        schema = plain_schema(schema)
        address = _server(document, path_item, operation) if server is None else _checked_server(server)
    except SchemaProblem as problem:
        raise OpenApiProblem(f"`{operation_id}`: {problem}") from None
    except (AttributeError, TypeError, KeyError):
        # Documents are not validated as a whole. One that does not follow OpenAPI fails here.
        raise OpenApiProblem(f"`{operation_id}` is not valid OpenAPI") from None
    placeholders = PLACEHOLDER.findall(path)
    if not path.startswith("/") or sorted(placeholders) != sorted(p.name for p in parameters if p.place == "path"):
        raise OpenApiProblem(f"`{operation_id}`: the path {path} and the path parameters do not match")
    text = str(operation.get("description") or operation.get("summary") or operation_id)[:MAX_DESCRIPTION_LENGTH]
    body_type = body[0] if body else None
    return Operation(method.upper(), address, path, text, schema, parameters, body_type, headers)


def _locate(document: Mapping[str, Any], operation_id: str) -> tuple[str, str, Mapping[str, Any], Mapping[str, Any]]:
    names: list[str] = []
    paths = document.get("paths")
    for path, path_item in (paths if isinstance(paths, Mapping) else {}).items():
        for method in METHODS:
            candidate = path_item.get(method) if isinstance(path_item, Mapping) else None
            if isinstance(candidate, Mapping) and "operationId" in candidate:
                if candidate["operationId"] == operation_id:
                    return method, str(path), path_item, candidate
                names.append(str(candidate["operationId"]))
    raise OpenApiProblem(f"there is no operation `{operation_id}`{nearest(operation_id, names)}")


def _parameters(
    inliner: Inliner, path_item: Mapping[str, Any], operation: Mapping[str, Any], fixed: frozenset[str]
) -> Iterator[dict[str, Any]]:
    listed = [inliner.copy(entry) for source in (path_item, operation) for entry in source.get("parameters") or ()]
    named = {(entry["name"], entry["in"]): entry for entry in listed if isinstance(entry, dict) and _is_named(entry)}
    for (name, place), entry in named.items():
        if place == "header" and (
            name.lower() in fixed | RESERVED_HEADERS | {"accept", "content-type", "authorization"}
        ):
            continue
        reason = _unsupported(entry)
        if reason is None:
            yield entry
        elif entry.get("required") is True:
            raise OpenApiProblem(f"the parameter `{name}` is required, and {reason}")


def _is_named(entry: dict[str, Any]) -> bool:
    return isinstance(entry.get("name"), str) and isinstance(entry.get("in"), str)


def _unsupported(entry: Mapping[str, Any]) -> str | None:
    if entry["in"] not in ("path", "query", "header"):
        return f"is sent as a {entry['in']}, which tools cannot do"
    if entry.get("style") not in (None, "form", "simple"):
        return f"has the style {entry['style']}, which tools cannot write"
    if entry["in"] == "query" and "content" not in entry and _schema_of(entry).get("type") == "object":
        return "is a mapping in a query, which tools cannot write"
    return None


def _schema_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    content = entry.get("content")
    holder = next(iter(content.values()), {}) if isinstance(content, dict) else entry
    schema = holder.get("schema") if isinstance(holder, dict) else None
    return schema if isinstance(schema, dict) else {}


def _body(document: Mapping[str, Any], operation: Mapping[str, Any]) -> tuple[str, dict[str, Any], bool] | None:
    """Return content type, schema, and whether the body is required."""
    body = Inliner(document, open_ended=True).copy(operation.get("requestBody"))
    if not isinstance(body, dict):
        return None
    content = body.get("content")
    media_types = {str(name): media for name, media in (content if isinstance(content, dict) else {}).items()}
    chosen = next((name for name in media_types if name.split(";")[0].strip().endswith("json")), None)
    chosen = chosen or next((name for name in media_types if name.split(";")[0].strip() == FORM), None)
    if chosen is None and not media_types:
        return None
    if chosen is None:
        raise OpenApiProblem(f"its body is {', '.join(media_types)}; tools send {JSON_TYPE} or {FORM}")
    return (
        chosen,
        _schema_of(media_types[chosen] if isinstance(media_types[chosen], dict) else {}),
        body.get("required") is True,
    )


def _arguments(
    entries: list[dict[str, Any]], body: tuple[str, dict[str, Any], bool] | None
) -> tuple[tuple[Parameter, ...], dict[str, Any]]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    parameters: list[Parameter] = []
    taken = {BODY} if body else set()
    for entry in entries:
        argument = _argument_name(entry, taken)
        taken.add(argument)
        exploded = entry.get("explode", entry["in"] == "query") is True
        parameters.append(Parameter(argument, entry["name"], entry["in"], exploded, "content" in entry))
        properties[argument] = _convert(_schema_of(entry))
        if isinstance(entry.get("description"), str):
            properties[argument].setdefault("description", entry["description"][:MAX_DESCRIPTION_LENGTH])
        if entry["in"] == "path" or entry.get("required") is True:
            required.append(argument)
    if body:
        properties[BODY] = _convert(body[1])
        required += [BODY] if body[2] else []
    return tuple(parameters), {"type": "object", "properties": properties, "required": required}


def _argument_name(entry: Mapping[str, Any], taken: set[str]) -> str:
    """Return a unique name that every model provider accepts."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", entry["name"]).strip("_")[:50] or entry["in"]
    name = f"{entry['in']}_{name}" if name in taken else name
    number = 2
    while name in taken:
        name, number = f"{name}_{number}", number + 1
    return name


def _convert(schema: dict[str, Any]) -> dict[str, Any]:
    """Convert a schema of OpenAPI 3.0 or 3.1 to JSON Schema, with only the keywords that are kept."""
    copy: dict[str, Any] = json.loads(json.dumps(schema))
    for _, node in iter_schemas(copy):
        _to_json_schema(node)
    return copy


def _to_json_schema(node: dict[str, Any]) -> None:
    nullable = node.get("nullable") is True
    # In OpenAPI 3.0 an exclusive bound is a boolean next to the bound; in JSON Schema it is the bound itself.
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(node.get(exclusive), bool):
            limit = node.pop(bound) if node[exclusive] and bound in node else None
            del node[exclusive]
            if limit is not None:
                node[exclusive] = limit
    properties = node.get("properties")
    if isinstance(properties, dict):
        # The server sets these; a request must not contain them.
        read_only = [
            name for name, item in properties.items() if isinstance(item, dict) and item.get("readOnly") is True
        ]
        node["properties"] = {name: item for name, item in properties.items() if name not in read_only}
        node["required"] = [name for name in node.get("required") or () if name not in read_only]
    if node.get("format") not in CHECKED_FORMATS:
        node.pop("format", None)
    if pattern_problem(node.get("pattern")) is not None:
        del node["pattern"]
    for keyword in [keyword for keyword in node if keyword not in KEPT_KEYWORDS]:
        del node[keyword]
    if nullable and isinstance(node.get("type"), str):
        node["type"] = [node["type"], "null"]
        if "enum" in node:
            node["enum"] = [*node["enum"], None]


def _server(document: Mapping[str, Any], path_item: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    for source in (operation, path_item, document):
        servers = source.get("servers")
        if isinstance(servers, list) and servers and isinstance(servers[0], Mapping):
            url = str(servers[0].get("url", ""))
            for name, variable in (servers[0].get("variables") or {}).items():
                url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
            return _checked_server(url)
    raise OpenApiProblem("the document names no server: write `server:`")


def _checked_server(url: str) -> str:
    try:
        template = parse_url_template(url)
    except TemplateProblem as problem:
        raise OpenApiProblem(f"the server `{url}`: {problem}; write `server:`") from None
    if template.arguments or template.query:
        raise OpenApiProblem(f"the server `{url}` has placeholders or a query; write `server:`")
    return template.address({}).rstrip("/")


def _serialize(parameter: Parameter, value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if parameter.as_json else as_text(value)


def _query_pairs(parameter: Parameter, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, list) and parameter.exploded and not parameter.as_json:
        return [(parameter.name, as_text(item)) for item in value]
    return [(parameter.name, _serialize(parameter, value))]
