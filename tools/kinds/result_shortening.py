"""Shorten a JSON value by its structure, so that it stays valid JSON and says what was left out."""

import json
from typing import Any

LEAST = 24
"""Characters that a value inside another one gets at least. With fewer, nothing of it could be read."""
MAX_NOTES = 4


def json_text(value: Any) -> str:
    """Return a value as JSON, in the form in which models read it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def shorten(value: Any, limit: int) -> tuple[Any, str | None]:
    """Return the value in at most `limit` characters of JSON, and a note that says what was left out.

    A list keeps its first items whole. Long texts, and lists inside mappings, are shortened where they are, so that
    every part keeps something. The note is None if nothing was left out. A text alone is counted without its quotes.
    """
    if isinstance(value, str):
        if len(value) <= limit:
            return value, None
        return value[:limit], f"cut: the first {limit} of {len(value)} characters"
    if len(json_text(value)) <= limit:
        return value, None
    shortening = _Shortening()
    shortened = shortening.apply(value, limit, "")
    return shortened, shortening.note()


class _Shortening:
    """Collects what was left out while a value is shortened."""

    def __init__(self) -> None:
        self._notes: list[str] = []

    def note(self) -> str:
        """Return what was left out, at most MAX_NOTES places of it."""
        further = len(self._notes) - MAX_NOTES
        more = [f"and {further} more places"] if further > 0 else []
        return "cut: " + "; ".join(self._notes[:MAX_NOTES] + more)

    def apply(self, value: Any, limit: int, where: str) -> Any:
        """Return the value in at most `limit` characters. `where` is its JSON pointer."""
        if len(json_text(value)) <= limit:
            return value
        if isinstance(value, dict):
            return self._mapping(value, limit, where)
        if isinstance(value, list | tuple):
            return self._list(list(value), limit, where)
        return self._text(value if isinstance(value, str) else json_text(value), limit, where)

    def _add(self, what: str, where: str) -> None:
        self._notes.append(f"{where}: {what}" if where else what)

    def _text(self, text: str, limit: int, where: str) -> str:
        kept = max(0, limit - 3)
        # Quotes and control characters take more than one character.
        while kept and (excess := len(json_text(text[:kept])) + 1 - limit) > 0:
            kept = max(0, kept - excess)
        self._add(f"the first {kept} of {len(text)} characters", where)
        return f"{text[:kept]}…"

    def _list(self, items: list[Any], limit: int, where: str) -> list[Any]:
        kept: list[Any] = []
        left = limit
        for item in items:
            left -= len(json_text(item)) + 2
            if left < 0:
                break
            kept.append(item)
        shortened = 1 if not kept and limit > LEAST else 0
        self._add(f"the first {len(kept) + shortened} of {len(items)}", where)
        return kept or [self.apply(item, limit - 2, f"{where}/0") for item in items[:shortened]]

    def _mapping(self, value: dict[str, Any], limit: int, where: str) -> dict[str, Any]:
        sizes: dict[str, int] = {}
        left = limit - 2
        for key, item in value.items():
            size = len(json_text(item))
            name = len(json_text(str(key))) + 4
            if left < name + min(size, LEAST):
                break
            left -= name + min(size, LEAST)
            sizes[key] = size
        if len(sizes) < len(value):
            self._add(f"{len(sizes)} of {len(value)} keys", where)
        allowed = _shares(sizes, left)
        return {key: self.apply(value[key], allowed[key], f"{where}/{key}") for key in sizes}


def _shares(sizes: dict[str, int], left: int) -> dict[str, int]:
    """Divide `left` characters among values that have LEAST each. Small ones get what they need."""
    shares = {key: min(size, LEAST) for key, size in sizes.items()}
    waiting = sorted((key for key in sizes if sizes[key] > LEAST), key=lambda key: sizes[key])
    for number, key in enumerate(waiting):
        share = min(sizes[key] - LEAST, left // (len(waiting) - number))
        shares[key] += share
        left -= share
    return shares
