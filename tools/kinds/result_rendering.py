"""What a model is shown of another system's answer: the part that was selected, not too long, and without secrets."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

import orjson

from tools.ports import HttpResponse

DEEPEST = 60
LONGEST_ERROR = 2_000
"""Characters of another system's explanation."""

SELECTION = re.compile(r"(/[^\s]*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)")
HIDDEN = "[secret]"


@dataclass(frozen=True)
class Shown:
    """`select`: a dotted path (`data.items.0`) or a JSON pointer (`/data/items/0`). `limit`: characters of JSON."""

    select: str | None = None
    limit: int = 8_000

    def result(self, value: Any, secrets: Mapping[str, str], notes: tuple[str, ...] = ()) -> dict[str, Any]:
        """The result, with a note on what was left out."""
        found, value = _selected(value, self.select)
        if not found:
            return {"result": None, "note": f"the answer has nothing at {self.select}"}
        shown, note = cut(hidden(value, secrets), self.limit)
        notes = (*notes, note) if note else notes
        return {"result": shown} | ({"note": "; ".join(notes)} if notes else {})


def body_of(response: HttpResponse) -> Any:
    """The answer's body: a JSON value if it is one, otherwise its text; None if there is none."""
    if not response.body.strip():
        return None
    if "json" in response.content_type.lower() or response.body.lstrip()[:1] in (b"{", b"["):
        try:
            value = orjson.loads(response.body)
        except orjson.JSONDecodeError:
            return _text(response)
        return value if _shallow(value) else _text(response)
    return _text(response)


def refusal(response: HttpResponse, secrets: Mapping[str, str]) -> dict[str, Any]:
    """How the other side said no."""
    error, note = cut(hidden(body_of(response), secrets), LONGEST_ERROR)
    return {"status": response.status, "error": error} | ({"note": note} if note else {})


def hidden(value: Any, secrets: Mapping[str, str]) -> Any:
    """The value with every appearance of a secret taken out, as it is or as addresses and JSON write it.

    NUL characters go too: no table holds them.
    """
    forms = {form for secret in secrets.values() for form in _forms(secret)}
    pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))) if forms else None
    return _hidden(value, pattern)


def cut(value: Any, limit: int) -> tuple[Any, str | None]:
    """As much of the value as has `limit` characters, and a note if that is not all of it."""
    text = value if isinstance(value, str) else _json(value)
    if len(text) <= limit:
        return value, None
    if isinstance(value, list):
        kept = 0
        left = limit
        for item in value:
            left -= len(_json(item)) + 2
            if left < 0:
                break
            kept += 1
        if kept:
            return value[:kept], f"cut: the first {kept} of {len(value)}"
    return text[:limit], f"cut: the first {limit} of {len(text)} characters"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(response: HttpResponse) -> str:
    charset = re.search(r"charset=\"?([A-Za-z0-9_.:-]+)", response.content_type)
    try:
        return response.body.decode(charset[1] if charset else "utf-8", "replace")
    except LookupError:
        return response.body.decode("utf-8", "replace")


def _shallow(value: Any, depth: int = 0) -> bool:
    if depth > DEEPEST:
        return False
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_shallow(item, depth + 1) for item in items)


def _selected(value: Any, select: str | None) -> tuple[bool, Any]:
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


def _forms(secret: str) -> set[str]:
    plain = {secret, secret.strip()}
    written = {form for text in plain for form in (text, quote(text, safe=""), quote(text), quote_plus(text))}
    return {form for text in written for form in (text, json.dumps(text)[1:-1], _json(text)[1:-1]) if form}


def _hidden(value: Any, pattern: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        text = value.replace("\x00", "")
        return pattern.sub(HIDDEN, text) if pattern else text
    if isinstance(value, dict):
        return {_hidden(key, pattern): _hidden(item, pattern) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item, pattern) for item in value]
    if pattern is not None and isinstance(value, int | float) and pattern.fullmatch(_json(value)):
        return HIDDEN
    return value
