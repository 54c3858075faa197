"""Tools that are one operation of an OpenAPI document, which gives their declaration and their request."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.kinds import swagger2
from tools.kinds.form_bodies import is_json
from tools.kinds.json_schema import UNSTORABLE, SchemaProblem, SchemaTooLarge, plain_schema
from tools.kinds.openapi_body import Body, read_body
from tools.kinds.openapi_document import Documents, OpenApiNode, OpenApiProblem
from tools.kinds.openapi_lookup import LocatedOperation, locate_operation
from tools.kinds.openapi_request import BODY, PLACEHOLDER, Operation, Parameter
from tools.kinds.openapi_schema import MAX_DESCRIPTION_LENGTH, SchemaConverter
from tools.kinds.parameter_styles import STYLES
from tools.kinds.templates import Template, TemplateProblem, parse_url_template
from tools.net.headers import RESERVED_HEADERS

VERSION = re.compile(r"3\.[0-2](\.\d+)?([-+].*)?")
SWAGGER = re.compile(r"2(\.0)?")
LEVELS = (12, 8, 6, 5, 4, 3, 2)
"""Levels of objects and lists that a tool's schema may have. Where it is too large, the next number is tried."""

MEDIA_HEADERS = frozenset({"accept", "content-type", "authorization"})
"""Headers that OpenAPI describes elsewhere, so that a parameter with this name means nothing."""

KEPT_OF_ROOT = ("openapi", "swagger", "servers", "host", "basePath", "schemes", "consumes")
KEPT_OF_PATH = ("parameters", "servers")
KEPT_OF_OPERATION = ("operationId", "summary", "description", "parameters", "requestBody", "servers", "consumes")


@dataclass(frozen=True)
class _Source:
    """An operation and where it stands."""

    documents: Documents
    root: OpenApiNode
    located: LocatedOperation
    swagger: bool

    def parameters(self) -> list[OpenApiNode]:
        """Return the parameters of the path and of the operation, as the document writes them."""
        holders = (self.located.path_item, self.located.node)
        nodes = [self.documents.resolve(node) for holder in holders for node in holder.items("parameters")]
        named: dict[tuple[Any, Any], OpenApiNode] = {}
        for node in nodes:
            if not isinstance(node.get("name"), str) or not isinstance(node.get("in"), str):
                raise OpenApiProblem("a parameter has no `name` or no `in`, so it is not valid OpenAPI", node)
            named[node.get("name"), node.get("in")] = node
        return list(named.values())


def find_operation(
    documents: Documents,
    file: str,
    name: str,
    server: str | None = None,
    headers: Mapping[str, Template] | None = None,
) -> Operation:
    """Return the operation with this operationId, or this method and path. Raises OpenApiProblem.

    `server` replaces the server of the document. `headers` are sent with each request; models cannot set them.
    Optional parameters that cannot be sent are omitted.
    """
    root = documents.root(file)
    swagger = SWAGGER.fullmatch(str(root.get("swagger"))) is not None
    if not swagger and not VERSION.fullmatch(str(root.get("openapi"))):
        raise OpenApiProblem("not an OpenAPI document of version 3, or of Swagger 2.0: it has no `openapi: 3.x`")
    located = locate_operation(documents, root, name)
    source = _Source(documents, root, located, swagger)
    _use(source)
    try:
        return _read(source, server, headers or {})
    except OpenApiProblem as problem:
        raise OpenApiProblem(f"`{name}`: {problem.message}", problem.node or located.node) from None
    except SchemaProblem as problem:
        raise OpenApiProblem(f"`{name}`: {problem}", located.node) from None
    except RecursionError:
        raise OpenApiProblem(f"`{name}` is nested too deeply", located.node) from None
    except (AttributeError, TypeError, KeyError):
        # Documents are not validated as a whole. One that does not follow OpenAPI fails here.
        raise OpenApiProblem(f"`{name}` is not valid OpenAPI", located.node) from None


def _use(source: _Source) -> None:
    """Keep what makes the operation in the extract of the document."""
    for reference in source.located.references:
        source.documents.use_references(reference)
    for node, keys in (
        (source.root, KEPT_OF_ROOT),
        (source.located.path_item, KEPT_OF_PATH),
        (source.located.node, KEPT_OF_OPERATION),
    ):
        for key in keys:
            source.documents.use(node.child(key))


def _read(source: _Source, server: str | None, headers: Mapping[str, Template]) -> Operation:
    located = source.located
    nodes = source.parameters()
    body = _body(source, nodes)
    if source.swagger:
        nodes = swagger2.parameters_of(nodes)
    parameters = list(_parameters(nodes, frozenset(name.lower() for name in headers), located.path))
    _check_path(located, parameters)
    address = _server(source) if server is None else _checked_server(server)
    listed = _with_arguments(parameters, body is not None)
    text = located.node.get("description") or located.node.get("summary") or located.node.get("operationId")
    return Operation(
        located.method.upper(),
        address,
        # A fragment tells operations of one address apart, and is not sent.
        located.path.partition("#")[0],
        UNSTORABLE.sub("", str(text or located.name))[:MAX_DESCRIPTION_LENGTH],
        _schema(source.documents, listed, body),
        tuple(parameter for parameter, _ in listed),
        body.content_type if body else None,
        headers,
        body.fields if body else (),
    )


def _body(source: _Source, nodes: Sequence[OpenApiNode]) -> Body | None:
    if source.swagger:
        consumes = source.located.node.get("consumes") or source.root.get("consumes") or []
        described = swagger2.body_of(source.documents, nodes, [str(name) for name in consumes])
    else:
        described = source.located.node.child("requestBody")
    if described is None or described.value is None:
        return None
    return read_body(source.documents, source.located.method.upper(), described)


def _parameters(nodes: Sequence[OpenApiNode], fixed: frozenset[str], path: str) -> Iterator[OpenApiNode]:
    """Yield the parameters that a tool sends. Raises OpenApiProblem for a required one that it cannot send."""
    placeholders = PLACEHOLDER.findall(path)
    for node in nodes:
        name, place = node.value["name"], node.value["in"]
        if place == "header" and name.lower() in fixed | RESERVED_HEADERS | MEDIA_HEADERS:
            continue
        if (place == "cookie" and "cookie" in fixed) or (place == "path" and name not in placeholders):
            continue
        reason = _unsupported(node)
        if reason is None:
            yield node
        elif node.get("required") is True or place == "path":
            raise OpenApiProblem(f"the parameter `{name}` is required, and {reason}", node)


def _unsupported(node: OpenApiNode) -> str | None:
    place, style = node.value["in"], node.get("style")
    if place not in STYLES:
        return f"`in: {place}` is not a place that tools can write"
    if style is not None and style not in STYLES[place]:
        return f"has the style {style}, which a {place} cannot have: that may be {', '.join(STYLES[place])}"
    media_type = _media_type(node)
    if media_type is not None and not is_json(media_type) and not media_type.startswith("text/plain"):
        return f"is {media_type}, which tools cannot write in a {place}"
    return None


def _media_type(node: OpenApiNode) -> str | None:
    content = node.get("content")
    return str(next(iter(content))) if isinstance(content, Mapping) and content else None


def _check_path(located: LocatedOperation, parameters: Sequence[OpenApiNode]) -> None:
    path, described = located.path, {node.value["name"] for node in parameters if node.value["in"] == "path"}
    if not path.startswith("/") or "?" in path:
        message = f"the path {path} must begin with `/`, and have no `?`: a query is made of `parameters`"
        raise OpenApiProblem(message, located.node)
    if missing := [name for name in PLACEHOLDER.findall(path) if name not in described]:
        message = f"the path {path} and the path parameters do not match: add `{missing[0]}` to `parameters`"
        raise OpenApiProblem(message, located.node)


def _with_arguments(nodes: Sequence[OpenApiNode], has_body: bool) -> list[tuple[Parameter, OpenApiNode]]:
    taken = {BODY} if has_body else set()
    listed: list[tuple[Parameter, OpenApiNode]] = []
    for node in nodes:
        place, media_type = node.value["in"], _media_type(node)
        argument = _argument_name(node.value["name"], place, taken)
        taken.add(argument)
        style = str(node.get("style") or STYLES[place][0])
        explode = node.get("explode")
        exploded = explode if isinstance(explode, bool) else style in ("form", "cookie")
        parameter = Parameter(
            argument,
            node.value["name"],
            place,
            exploded,
            media_type is not None and is_json(media_type),
            style,
            node.get("allowReserved") is True,
        )
        listed.append((parameter, node))
    return listed


def _argument_name(name: str, place: str, taken: set[str]) -> str:
    """Return a unique name that every model provider accepts."""
    argument = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:50] or place
    argument = f"{place}_{argument}" if argument in taken else argument
    unique, number = argument, 2
    while unique in taken:
        unique, number = f"{argument}_{number}", number + 1
    return unique


def _schema(documents: Documents, listed: Sequence[tuple[Parameter, OpenApiNode]], body: Body | None) -> dict[str, Any]:
    """Return the schema of the arguments. What is nested too deeply for its size accepts everything."""
    for levels in LEVELS:
        try:
            return plain_schema(_described(SchemaConverter(documents, levels), listed, body))
        except SchemaTooLarge:
            if levels == LEVELS[-1]:
                raise
    raise AssertionError("the last level returns or raises")


def _described(
    converter: SchemaConverter, listed: Sequence[tuple[Parameter, OpenApiNode]], body: Body | None
) -> dict[str, Any]:
    properties: dict[str, dict[str, Any]] = {}
    for parameter, node in listed:
        schema = properties[parameter.argument] = converter.convert(_schema_node(node))
        text = node.get("description") if isinstance(node.get("description"), str) else ""
        if parameter.argument != _argument_name(parameter.name, parameter.place, set()):
            # Others have the same name for the model, and often the same description.
            text = f"`{parameter.name}` ({parameter.place}). {text or schema.get('description', '')}".rstrip()
            schema.pop("description", None)
        if text:
            schema.setdefault("description", text[:MAX_DESCRIPTION_LENGTH])
    required = [
        parameter.argument for parameter, node in listed if parameter.place == "path" or node.get("required") is True
    ]
    if body:
        properties[BODY] = body.schema(converter)
        required += [BODY] if body.required else []
    arguments: dict[str, Any] = _storable({"type": "object", "properties": properties, "required": required})
    return arguments


def _schema_node(node: OpenApiNode) -> OpenApiNode:
    media_type = _media_type(node)
    return node.child("schema") if media_type is None else node.child("content").child(media_type).child("schema")


def _storable(value: Any) -> Any:
    """Return a copy without characters that Postgres cannot store."""
    if isinstance(value, str):
        return UNSTORABLE.sub("", value)
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else value


def _server(source: _Source) -> str:
    """Return the first server with a whole address. Raises OpenApiProblem."""
    if source.swagger:
        servers = [OpenApiNode(server, source.root.file) for server in swagger2.servers_of(source.root)]
    else:
        holders = (source.located.node, source.located.path_item, source.root)
        servers = next((listed for holder in holders if (listed := holder.items("servers"))), [])
    problems: list[OpenApiProblem] = []
    for server in servers:
        try:
            return _checked_server(_filled(server))
        except OpenApiProblem as problem:
            problems.append(OpenApiProblem(problem.message, server))
    raise problems[0] if problems else OpenApiProblem("the document names no server: write `server:`", source.root)


def _filled(server: OpenApiNode) -> str:
    url = str(server.get("url") or "")
    for name, variable in server.mapping("variables"):
        choices = variable.get("enum")
        value = variable.get("default") or (choices[0] if isinstance(choices, list) and choices else "")
        url = url.replace(f"{{{name}}}", str(value))
    return url


def _checked_server(url: str) -> str:
    if "://" not in url:
        example = f"https://api.example.com/{url.lstrip('/')}"
        raise OpenApiProblem(f"the server `{url}` is not a whole address: write `server:`, such as {example}")
    try:
        template = parse_url_template(url)
    except TemplateProblem as problem:
        raise OpenApiProblem(f"the server `{url}`: {problem}; write `server:`") from None
    if template.arguments or template.query:
        raise OpenApiProblem(f"the server `{url}` has placeholders or a query; write `server:`")
    return template.address({}).rstrip("/")
