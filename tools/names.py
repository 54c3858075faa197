"""Names that were meant."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """What to add to an error about a name that nobody has: the one that it looks like, or nothing."""
    close = difflib.get_close_matches(name, list(names), 1, 0.5)
    return f": did you mean `{close[0]}`?" if close else ""
