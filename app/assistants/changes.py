"""Compare two versions of an assistant, in the words of its YAML."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from manifest.loader import MAIN, Files

SHOWN = 120
"""The number of characters of a value that are shown."""

MARKS = {"added": "+", "removed": "-", "changed": "~"}


@dataclass(frozen=True)
class Change:
    """A difference between two versions.

    `where` is a place in assistant.yaml, such as `agents.agenda.tools`, or the name of another file. `what` is the
    value that was added, removed or changed, on one line.
    """

    kind: Literal["added", "removed", "changed"]
    where: str
    what: str

    def __str__(self) -> str:
        return f"{MARKS[self.kind]} {self.where}: {self.what}"


def changes(before: Files, after: Files) -> list[Change]:
    """Return every difference, in the order of the YAML, then those of the other files."""
    found = list(_main_changes(before.get(MAIN, ""), after.get(MAIN, "")))
    for name in sorted({*before, *after} - {MAIN}):
        old, new = before.get(name), after.get(name)
        if old is None:
            found.append(Change("added", name, _lines(len((new or "").splitlines()))))
        elif new is None:
            found.append(Change("removed", name, _lines(len(old.splitlines()))))
        elif old != new:
            found.append(Change("changed", name, _counted(old, new)))
    return found


def text_diff(before: Files, after: Files) -> str:
    """Return the unified diff of every file but assistant.yaml."""
    lines: list[str] = []
    for name in sorted({*before, *after} - {MAIN}):
        old, new = before.get(name, "").splitlines(), after.get(name, "").splitlines()
        lines += difflib.unified_diff(old, new, f"before/{name}", f"after/{name}", lineterm="")
    return "\n".join(lines)


def _main_changes(before: str, after: str) -> Iterator[Change]:
    old, new = _plain(before), _plain(after)
    if old is not None and new is not None:
        yield from _of_mappings("", old, new)
    elif before != after:
        yield Change("changed", MAIN, _counted(before, after))


def _plain(text: str) -> Mapping[str, Any] | None:
    """Return the YAML's values, or None when it cannot be read: an older version may be invalid today."""
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, TypeError):
        return None
    return tree if isinstance(tree, Mapping) else None


def _of_mappings(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for key in [*new, *(key for key in old if key not in new)]:
        path = f"{where}.{key}" if where else str(key)
        if key not in old:
            yield Change("added", path, shown(new[key]))
        elif key not in new:
            yield Change("removed", path, shown(old[key]))
        else:
            yield from _of_values(path, old[key], new[key])


def _of_values(where: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new and type(old) is type(new):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _of_mappings(where, old, new)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _of_lists(where, old, new)
    else:
        yield Change("changed", where, f"{shown(old)} → {shown(new)}")


def _of_lists(where: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Change]:
    keys_of_old, keys_of_new = [_key(item) for item in old], [_key(item) for item in new]
    if sorted(keys_of_old) == sorted(keys_of_new):
        yield Change("changed", where, f"in another order: {shown(new)}")
        return
    matcher = difflib.SequenceMatcher(None, keys_of_old, keys_of_new, autojunk=False)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        gone, come = old[old_start:old_end], new[new_start:new_end]
        # As many mappings as before in the same place are the same ones, changed.
        if len(gone) == len(come) and all(isinstance(item, Mapping) for item in (*gone, *come)):
            for number, (was, now) in enumerate(zip(gone, come, strict=True), new_start):
                yield from _of_values(f"{where}[{number}]", was, now)
            continue
        yield from (Change("removed", _at(where, n, item), shown(item)) for n, item in enumerate(gone, old_start))
        yield from (Change("added", _at(where, n, item), shown(item)) for n, item in enumerate(come, new_start))


def _at(where: str, number: int, item: Any) -> str:
    return f"{where}[{number}]" if isinstance(item, Mapping) else where


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _counted(old: str, new: str) -> str:
    diff = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm=""))[2:]
    added, removed = (sum(line.startswith(mark) for line in diff) for mark in "+-")
    if not added and not removed:
        return "line endings"
    return ", ".join(part for part in (added and f"{_lines(added)} added", removed and f"{removed} removed") if part)


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def shown(value: Any) -> str:
    """Return a value on one line, as YAML writes it, cut where it is long."""
    text = _flow(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    # Escaped, so that no text can play with the terminal.
    return json.dumps(str(value), ensure_ascii=False)[1:-1] if isinstance(value, str) else str(value)
