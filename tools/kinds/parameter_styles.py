"""Write values as OpenAPI's styles of parameters demand."""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from tools.base import InvalidArguments
from tools.kinds.templates import as_text, quote_segment

STYLES = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "tabDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form", "cookie"),
}
"""The styles of each place; the first is the default. Swagger 2 alone has tabs."""

DELIMITERS = {"spaceDelimited": " ", "pipeDelimited": "|", "tabDelimited": "\t"}
LITERAL_IN_QUERY = ":/?@!$'()*,="
"""Reserved characters that `allowReserved` leaves as they are. The others would change the meaning of a query."""


def query_pairs(name: str, style: str, exploded: bool, value: Any) -> list[tuple[str, str]]:
    """Return names and values of a query or a form, not yet encoded. Raises InvalidArguments."""
    if style == "deepObject":
        return _deep_pairs(name, value)
    if isinstance(value, dict) and exploded:
        return [(key, as_text(item)) for key, item in value.items() if item is not None]
    if isinstance(value, list) and exploded:
        return [(name, as_text(item)) for item in value]
    if isinstance(value, dict | list):
        return [(name, _joined(_flat(value), DELIMITERS.get(style, ","), name))]
    return [(name, as_text(value))]


def path_text(name: str, style: str, exploded: bool, value: Any) -> str:
    """Return the encoded text for a path. Raises InvalidArguments if it could change the path."""
    if value == [] or value == {}:
        raise InvalidArguments(f"{name} cannot be part of an address: it is empty")
    if style == "matrix":
        pairs = _exploded_pairs(name, value) if exploded else [(name, value)]
        return "".join(f";{quote(key, safe='')}={_path_items(name, item, ',')}" for key, item in pairs)
    if style == "label":
        return "." + _path_items(name, value, "." if exploded else ",", exploded)
    return _path_items(name, value, ",", exploded)


def header_text(name: str, exploded: bool, value: Any) -> str:
    """Return the text for a header. Raises InvalidArguments."""
    if isinstance(value, dict) and exploded:
        return _joined([f"{key}={as_text(item)}" for key, item in value.items()], ",", name)
    return _joined(_flat(value), ",", name) if isinstance(value, dict | list) else as_text(value)


def query_quote(reserved: bool) -> Callable[[str], str]:
    """Return the function that encodes a value of a query. `reserved`: reserved characters are allowed."""
    return lambda text: quote(text, safe=LITERAL_IN_QUERY if reserved else "")


def _deep_pairs(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in _deep_pairs(f"{name}[{key}]", item)]
    if isinstance(value, list):
        return [pair for number, item in enumerate(value) for pair in _deep_pairs(f"{name}[{number}]", item)]
    return [] if value is None else [(name, as_text(value))]


def _exploded_pairs(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return [(name, item) for item in value] if isinstance(value, list) else [(name, value)]


def _flat(value: dict[str, Any] | list[Any]) -> list[str]:
    parts = (part for pair in value.items() for part in pair) if isinstance(value, dict) else value
    return [as_text(part) for part in parts]


def _joined(texts: Iterable[str], delimiter: str, name: str) -> str:
    """Join texts. Raises InvalidArguments for a text that would be read as two."""
    listed = list(texts)
    if any(delimiter in text for text in listed):
        raise InvalidArguments(f"{name}: {delimiter!r} separates its parts, so that no part can contain it")
    return delimiter.join(listed)


def _path_items(name: str, value: Any, delimiter: str, exploded: bool = False) -> str:
    if isinstance(value, dict) and exploded:
        return _joined([f"{quote(key, safe='')}={quote_segment(item)}" for key, item in value.items()], delimiter, name)
    if isinstance(value, dict | list):
        return _joined([quote_segment(text) for text in _flat(value)], delimiter, name)
    return quote_segment(value)
