"""Convert an operation of Swagger 2.0 to OpenAPI 3. References stay, and lead into the same document."""

from collections.abc import Mapping, Sequence
from typing import Any

from tools.kinds.form_bodies import JSON_TYPE, MULTIPART, URLENCODED
from tools.kinds.openapi_document import Documents, OpenApiNode

STYLES: Mapping[Any, tuple[str | None, bool]] = {
    None: (None, False),
    "csv": (None, False),
    "multi": ("form", True),
    "ssv": ("spaceDelimited", False),
    "pipes": ("pipeDelimited", False),
    "tsv": ("tabDelimited", False),
}
"""Style and `explode` of OpenAPI 3 for each `collectionFormat`."""

NO_SCHEMA = frozenset({"name", "in", "required", "collectionFormat", "allowEmptyValue"})


def servers_of(root: OpenApiNode) -> list[dict[str, Any]]:
    """Return the server of a document, over https where the document does not exclude it."""
    host, base = str(root.get("host") or ""), str(root.get("basePath") or "").strip("/")
    schemes = root.get("schemes")
    scheme = "http" if isinstance(schemes, list) and "http" in schemes and "https" not in schemes else "https"
    if not host:
        return [{"url": f"/{base}"}] if base else []
    return [{"url": f"{scheme}://{host}/{base}"}]


def parameters_of(nodes: Sequence[OpenApiNode]) -> list[OpenApiNode]:
    """Return the parameters that are not part of a body, as OpenAPI 3 writes them."""
    return [_parameter(node) for node in nodes if node.get("in") not in ("body", "formData")]


def body_of(documents: Documents, nodes: Sequence[OpenApiNode], consumes: Sequence[str]) -> OpenApiNode | None:
    """Return the request's body as OpenAPI 3 writes it, or None if there is none."""
    for node in nodes:
        if node.get("in") == "body":
            types = [name for name in consumes if "form" not in name] or [JSON_TYPE]
            content = {name: {"schema": node.get("schema")} for name in types}
            return OpenApiNode({"required": node.get("required"), "content": content}, node.file, node.path)
    fields = [node for node in nodes if node.get("in") == "formData" and isinstance(node.get("name"), str)]
    if not fields:
        return None
    files = any(node.get("type") == "file" for node in fields)
    form = MULTIPART if files or (MULTIPART in consumes and URLENCODED not in consumes) else URLENCODED
    required = [node.get("name") for node in fields if node.get("required") is True]
    schema = {
        "type": "object",
        "properties": {node.get("name"): _field(node) for node in fields},
        "required": required,
    }
    encoding = {node.get("name"): _encoding(node) for node in fields if node.get("type") == "array"}
    content = {form: {"schema": schema, "encoding": encoding}}
    return OpenApiNode({"required": bool(required), "content": content}, fields[0].file, fields[0].path)


def _parameter(node: OpenApiNode) -> OpenApiNode:
    if not isinstance(node.value, Mapping):
        return node
    style, exploded = STYLES.get(node.get("collectionFormat"), (None, False))
    kept = {key: node.value[key] for key in ("name", "in", "required", "description") if key in node}
    written = {"schema": _schema(node), "explode": exploded, **({"style": style} if style else {})}
    return OpenApiNode({**kept, **written}, node.file, node.path)


def _schema(node: OpenApiNode) -> dict[str, Any]:
    return {key: value for key, value in node.value.items() if key not in NO_SCHEMA}


def _field(node: OpenApiNode) -> dict[str, Any]:
    schema = _schema(node)
    return {**schema, "type": "string", "format": "binary"} if schema.get("type") == "file" else schema


def _encoding(node: OpenApiNode) -> dict[str, Any]:
    style, exploded = STYLES.get(node.get("collectionFormat"), (None, False))
    return {"style": style or "form", "explode": exploded}
