"""JSON, by orjson where it is installed."""

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
    return dumps(value).decode()


def decoded(raw: str) -> object:
    """The JSON a text holds, or the text itself."""
    try:
        return loads(raw)
    except ValueError:
        return raw
