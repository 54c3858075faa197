"""Renders the answer of another system for a model: the selected part, truncated, and with secrets redacted."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

import orjson

from tools.kinds.result_shortening import json_text, shorten
from tools.ports import HttpResponse

MAX_DEPTH = 60
MAX_ERROR_LENGTH = 2_000
"""Characters of another system's error text."""

SELECTION = re.compile(r"(/[^\s]*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)")
REDACTED = "[secret]"


@dataclass(frozen=True)
class ResultRendering:
    """How an answer is rendered.

    `select`: a dotted path (`data.items.0`) or a JSON pointer (`/data/items/0`). `limit`: characters of JSON.
    """

    select: str | None = None
    limit: int = 8_000

    def render(self, value: Any, secrets: Mapping[str, str], notes: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the result for the model, with a note if a part was left out."""
        exists, value = _select(value, self.select)
        if not exists:
            return {"result": None, "note": f"the answer has nothing at {self.select}"}
        result, note = shorten(redact(value, secrets), self.limit)
        notes = (*notes, note) if note else notes
        return {"result": result} | ({"note": "; ".join(notes)} if notes else {})


def decode_body(response: HttpResponse) -> Any:
    """Return the body as a JSON value if it is one, otherwise as text. An empty body is None."""
    if not response.body.strip():
        return None
    if "json" in response.content_type.lower() or response.body.lstrip()[:1] in (b"{", b"["):
        try:
            value = orjson.loads(response.body)
        except orjson.JSONDecodeError:
            return _decode_text(response)
        return value if _is_shallow(value) else _decode_text(response)
    return _decode_text(response)


def render_refusal(response: HttpResponse, secrets: Mapping[str, str]) -> dict[str, Any]:
    """Return the result for the model when the other system refused the request."""
    error, note = shorten(redact(decode_body(response), secrets), MAX_ERROR_LENGTH)
    return {"status": response.status, "error": error} | ({"note": note} if note else {})


def redact(value: Any, secrets: Mapping[str, str]) -> Any:
    """Return the value with every occurrence of a secret replaced, also in URL and JSON encodings.

    NUL characters are removed, because Postgres cannot store them.
    """
    forms = {form for secret in secrets.values() for form in _encodings(secret)}
    pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))) if forms else None
    return _redact(value, pattern)


def _decode_text(response: HttpResponse) -> str:
    charset = re.search(r"charset=\"?([A-Za-z0-9_.:-]+)", response.content_type)
    try:
        return response.body.decode(charset[1] if charset else "utf-8", "replace")
    except LookupError:
        return response.body.decode("utf-8", "replace")


def _is_shallow(value: Any, depth: int = 0) -> bool:
    if depth > MAX_DEPTH:
        return False
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_is_shallow(item, depth + 1) for item in items)


def _select(value: Any, select: str | None) -> tuple[bool, Any]:
    if select is None:
        return True, value
    if select.startswith("/"):
        parts = [part.replace("~1", "/").replace("~0", "~") for part in select[1:].split("/")]
    else:
        parts = select.split(".")
    for part in parts:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return False, None
    return True, value


def _encodings(secret: str) -> set[str]:
    plain = {secret, secret.strip()}
    encoded = {form for text in plain for form in (text, quote(text, safe=""), quote(text), quote_plus(text))}
    return {form for text in encoded for form in (text, json.dumps(text)[1:-1], json_text(text)[1:-1]) if form}


def _redact(value: Any, pattern: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        text = value.replace("\x00", "")
        return pattern.sub(REDACTED, text) if pattern else text
    if isinstance(value, dict):
        return {_redact(key, pattern): _redact(item, pattern) for key, item in value.items()}
    if isinstance(value, list):
        return [_redact(item, pattern) for item in value]
    if pattern is not None and isinstance(value, int | float) and pattern.fullmatch(json_text(value)):
        return REDACTED
    return value
