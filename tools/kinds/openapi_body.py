"""Read the request bodies of OpenAPI documents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.kinds.form_bodies import JSON_TYPE, MULTIPART, URLENCODED, FormField, is_json
from tools.kinds.http import WITH_BODY
from tools.kinds.openapi_document import Documents, OpenApiNode, OpenApiProblem
from tools.kinds.openapi_schema import SchemaConverter
from tools.kinds.parameter_styles import STYLES

TEXT_TYPE = "text/plain"
ANYTHING = frozenset({"*/*", "application/*", "*"})
FORMS = frozenset({URLENCODED, MULTIPART})


@dataclass(frozen=True)
class Body:
    """The body of a request. `files` are the fields of its form that hold files, which tools do not send."""

    content_type: str
    node: OpenApiNode
    required: bool
    fields: tuple[FormField, ...] = ()
    files: frozenset[str] = frozenset()

    def schema(self, converter: SchemaConverter) -> dict[str, Any]:
        """Return its schema. Raises OpenApiProblem, SchemaTooLarge."""
        schema = converter.convert(self.node)
        if self.content_type in FORMS:
            schema.setdefault("type", "object")
        for part in [schema, *schema.get("allOf", ())] if self.files else ():
            if "properties" in part:
                part["properties"] = {name: item for name, item in part["properties"].items() if name not in self.files}
        return schema


def read_body(documents: Documents, method: str, described: OpenApiNode) -> Body | None:
    """Return the body that a tool sends, or None if it sends none. Raises OpenApiProblem."""
    body = documents.resolve(described)
    required = body.get("required") is True
    if method == "GET":
        if required:
            raise OpenApiProblem("it is a GET with a body, which tools do not send", body)
        return None
    content = {name: media for name, media in body.mapping("content") if media.value is not None}
    if not content:
        return None
    name = _chosen(content)
    if name is None:
        types = f"{JSON_TYPE}, {URLENCODED}, {MULTIPART} or {TEXT_TYPE}"
        if method not in WITH_BODY and not required:
            return None
        raise OpenApiProblem(f"its body is {', '.join(content)}; tools send {types}", body)
    media = documents.resolve(content[name])
    schema = media.child("schema")
    bare = _bare(name)
    if bare not in FORMS:
        return Body(name if "*" not in name else JSON_TYPE, schema, required)
    properties = _properties(documents, schema)
    files = frozenset(each for each, node in properties.items() if _is_file(documents, node))
    _check_files(documents, schema, files, properties)
    fields = tuple(_fields(documents, media, properties, files))
    return Body(bare, schema, required, fields, files)


def _bare(name: str) -> str:
    return name.split(";")[0].strip().lower()


def _chosen(content: Mapping[str, OpenApiNode]) -> str | None:
    """Return the media type to send: JSON if it is possible, and else a form, or text."""
    bare = {name: _bare(name) for name in content}
    ranked = [
        *(name for name in content if bare[name] == JSON_TYPE),
        *(name for name in content if is_json(name)),
        *(name for wanted in (URLENCODED, MULTIPART) for name in content if bare[name] == wanted),
        *(name for name in content if bare[name] in ANYTHING or bare[name] == TEXT_TYPE),
    ]
    return next(iter(ranked), None)


def _properties(documents: Documents, schema: OpenApiNode, depth: int = 0) -> dict[str, OpenApiNode]:
    """Return the properties of a form's schema, also of those that it combines."""
    schema = documents.resolve(schema)
    found = dict(documents.resolve(schema.child("properties")).entries()) if "properties" in schema else {}
    if depth < 5:
        for part in schema.items("allOf"):
            found = {**_properties(documents, part, depth + 1), **found}
    return found


def _is_file(documents: Documents, node: OpenApiNode) -> bool:
    node = documents.resolve(node)
    if node.get("type") == "array" and node.get("items") is not None:
        node = documents.resolve(node.child("items"))
    media_type = node.get("contentMediaType")
    binary = isinstance(media_type, str) and not media_type.startswith("text/") and not is_json(media_type)
    return node.get("format") == "binary" or (binary and "contentEncoding" not in node)


def _check_files(
    documents: Documents, schema: OpenApiNode, files: frozenset[str], properties: Mapping[str, OpenApiNode]
) -> None:
    required = documents.resolve(schema).get("required")
    needed = [name for name in required if name in files] if isinstance(required, list) else []
    if needed:
        raise OpenApiProblem(f"the field `{needed[0]}` is a file, which tools cannot send", properties[needed[0]])
    if files and files >= properties.keys():
        raise OpenApiProblem("all fields of its form are files, which tools cannot send", schema)


def _fields(
    documents: Documents, media: OpenApiNode, properties: Mapping[str, OpenApiNode], files: frozenset[str]
) -> list[FormField]:
    fields = []
    for name, written in media.mapping("encoding"):
        encoding = documents.resolve(written)
        if name not in files and isinstance(encoding.value, Mapping):
            fields.append(_field(name, encoding))
    return fields


def _field(name: str, encoding: OpenApiNode) -> FormField:
    style, explode = encoding.get("style"), encoding.get("explode")
    if style is not None and style not in STYLES["query"]:
        raise OpenApiProblem(
            f"the field `{name}` has the style {style}; a form may have {', '.join(STYLES['query'])}", encoding
        )
    content_type = encoding.get("contentType")
    # One of the three alone means the usual value of the others.
    styled = style is not None or isinstance(explode, bool) or encoding.get("allowReserved") is True
    style = (style or "form") if styled else None
    exploded = explode if isinstance(explode, bool) else style in (None, "form")
    first = str(content_type).split(",")[0].strip() if isinstance(content_type, str) else None
    return FormField(name, style, exploded, first, encoding.get("allowReserved") is True)
