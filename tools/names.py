"""Suggestions for misspelt names."""

import difflib
from collections.abc import Iterable

SIMILAR = 0.65
"""How similar a name must be, from 0 to 1. Below it, the suggestion would mostly be wrong."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of an error about an unknown name: the most similar of `names` as a question, or an empty text."""
    close = difflib.get_close_matches(name, list(names), 1, SIMILAR)
    return f": did you mean `{close[0]}`?" if close else ""
