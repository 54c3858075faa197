import random
from collections import Counter
from typing import Any

CREATE = ("p_429", "p_500", "p_refuse", "p_500_after", "p_hang", "p_drop")
POSTING = ("p_duplicate", "p_drop")
SETTINGS: dict[str, dict[str, float]] = {
    "create": {"delay_ms": 0, "hang_s": 60, **dict.fromkeys(CREATE, 0)},
    "callbacks": {"delay_ms": 0, "p_reorder": 0, "p_undelivered": 0, "error_code": 63016, **dict.fromkeys(POSTING, 0)},
    "list": {"p_500": 0},
}


class Section:
    """The faults of one kind of request. Its own random numbers, so that one section does not disturb another."""

    def __init__(self, name: str, seed: int, settings: dict[str, Any]) -> None:
        self._settings = SETTINGS[name] | settings
        self._left = settings.get("count")
        self._random = random.Random(f"{seed}/{name}")
        self._applied: Counter[str] = Counter()

    def __getitem__(self, name: str) -> float:
        return float(self._settings[name])

    def draw(self, *names: str) -> str:
        """At most one of the named faults: one random number, laid on their probabilities side by side."""
        odds = [self._settings[name] for name in names]
        if not any(odds) or self._left == 0:
            return ""
        drawn = self._random.random()
        for name, probability in zip(names, odds, strict=True):
            drawn -= probability
            if drawn < 0:
                self._applied[name] += 1
                self._left = None if self._left is None else self._left - 1
                return name
        return ""

    def as_json(self) -> dict[str, Any]:
        return {**self._settings, "left": self._left, "applied": dict(self._applied)}


class Faults:
    def __init__(self) -> None:
        self.replace({})

    def replace(self, plan: dict[str, Any]) -> None:
        """ValueError says what is wrong, and then the old plan stays."""
        if unknown := set(plan) - {"seed", *SETTINGS}:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: seed, {', '.join(SETTINGS)}")
        seed = plan.get("seed", 0)
        if not isinstance(seed, int):
            raise ValueError("seed must be a whole number")
        for name in SETTINGS:
            _check(name, plan.get(name, {}))
        self._seed = seed
        self.create = Section("create", seed, plan.get("create", {}))
        self.callbacks = Section("callbacks", seed, plan.get("callbacks", {}))
        self.listing = Section("list", seed, plan.get("list", {}))

    def as_json(self) -> dict[str, Any]:
        sections = {"create": self.create, "callbacks": self.callbacks, "list": self.listing}
        return {"seed": self._seed, **{name: section.as_json() for name, section in sections.items()}}


def _check(section: str, settings: object) -> None:
    if not isinstance(settings, dict):
        raise ValueError(f"{section} must be an object")
    known = SETTINGS[section]
    if unknown := set(settings) - {"count", *known}:
        raise ValueError(f"{section}: unknown {', '.join(sorted(unknown))}; known: count, {', '.join(known)}")
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f"{section}.{name} must be a number, zero or more")
    if not isinstance(settings.get("count", 0), int):
        raise ValueError(f"{section}.count must be a whole number")
    exclusive = CREATE if section == "create" else POSTING if section == "callbacks" else ("p_500",)
    odds = [value for name, value in settings.items() if name.startswith("p_")]
    if any(value > 1 for value in odds) or sum(settings.get(name, 0) for name in exclusive) > 1:
        raise ValueError(f"{section}: a probability, and the sum of {', '.join(exclusive)}, is at most 1")
