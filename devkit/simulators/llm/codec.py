"""Read and write JSON with orjson, or with the standard library where it is not installed."""

import json
from collections.abc import Callable
from typing import Any

type Document = dict[str, Any]

loads: Callable[[bytes | str], Any]
dumps: Callable[[object], bytes]

try:
    import orjson
except ImportError:

    def _compact(value: object) -> bytes:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    loads = json.loads
    dumps = _compact
else:
    loads = orjson.loads
    dumps = orjson.dumps


def text(value: object) -> str:
    """Return compact JSON."""
    return dumps(value).decode()


def parse_or_text(raw: str) -> object:
    """Return the value of a JSON text, or the text itself if it is not JSON."""
    try:
        return loads(raw)
    except ValueError:
        return raw
