"""Write the bodies of forms: application/x-www-form-urlencoded and multipart/form-data."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from tools.base import InvalidArguments
from tools.kinds.parameter_styles import LITERAL_IN_QUERY, query_pairs
from tools.kinds.templates import as_json, as_text

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
JSON_TYPE = "application/json"
LINE_BREAKS = {'"': "%22", "\r": "%0D", "\n": "%0A"}
"""Characters that end a field's name, as browsers write them."""


@dataclass(frozen=True)
class FormField:
    """How one field is written, where it is not written in the usual way.

    `style` is one of OpenAPI's, and `exploded` belongs to it. `content_type` is used if there is no style.
    `reserved`: reserved characters are not encoded.
    """

    name: str
    style: str | None = None
    exploded: bool = True
    content_type: str | None = None
    reserved: bool = False


@dataclass(frozen=True)
class _Part:
    """One name with its text. `content_type` is None for plain text."""

    name: str
    text: str
    content_type: str | None = None
    reserved: bool = False


def is_json(media_type: str) -> bool:
    """Return whether a media type, perhaps with parameters, is JSON."""
    name = media_type.split(";")[0].strip().lower()
    return name in (JSON_TYPE, "text/json") or name.endswith("+json")


def urlencoded_body(values: Mapping[str, Any], fields: Iterable[FormField] = ()) -> str:
    """Return the body. Fields with the value None are left out. Raises InvalidArguments."""
    return "&".join(
        f"{quote_plus(part.name)}={quote_plus(part.text, safe=LITERAL_IN_QUERY if part.reserved else '')}"
        for part in _parts(values, fields)
    )


def multipart_body(values: Mapping[str, Any], fields: Iterable[FormField] = ()) -> tuple[str, bytes]:
    """Return the content type and the body, which are the same for the same values. Raises InvalidArguments."""
    written = [_written(part) for part in _parts(values, fields)]
    # Derived from the texts, so that it is in none of them and a second attempt sends the same.
    boundary = hashlib.sha256("\n".join(written).encode()).hexdigest()[:40]
    body = "".join(f"--{boundary}\r\n{text}\r\n" for text in written) + f"--{boundary}--\r\n"
    return f"{MULTIPART}; boundary={boundary}", body.encode()


def _written(part: _Part) -> str:
    name = "".join(LINE_BREAKS.get(character, character) for character in part.name)
    type_line = f"Content-Type: {part.content_type}\r\n" if part.content_type else ""
    return f'Content-Disposition: form-data; name="{name}"\r\n{type_line}\r\n{part.text}'


def _parts(values: Mapping[str, Any], fields: Iterable[FormField]) -> list[_Part]:
    if not isinstance(values, Mapping):
        raise InvalidArguments("the body of a form is an object")
    named = {field.name: field for field in fields}
    return [
        part
        for name, value in values.items()
        if value is not None
        for part in _field_parts(named.get(name, FormField(name)), value)
    ]


def _field_parts(field: FormField, value: Any) -> list[_Part]:
    if field.style is not None:
        pairs = query_pairs(field.name, field.style, field.exploded, value)
        return [_Part(name, text, reserved=field.reserved) for name, text in pairs]
    if field.content_type is not None and is_json(field.content_type):
        return [_Part(field.name, as_json(value), field.content_type)]
    items = value if isinstance(value, list) else [value]
    return [_Part(field.name, as_text(item), field.content_type or _usual_type(item)) for item in items]


def _usual_type(value: Any) -> str | None:
    return JSON_TYPE if isinstance(value, dict | list) else None
