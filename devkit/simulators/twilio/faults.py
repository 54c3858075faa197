"""Decide by chance, from a plan, which requests and callbacks fail."""

import random
from collections import Counter
from typing import Any

CREATE_FAULTS = ("p_429", "p_500", "p_refuse", "p_500_after", "p_hang", "p_drop")
CALLBACK_FAULTS = ("p_duplicate", "p_drop")
DEFAULTS: dict[str, dict[str, float]] = {
    "create": {"delay_ms": 0, "hang_s": 60, **dict.fromkeys(CREATE_FAULTS, 0)},
    "callbacks": {
        "delay_ms": 0,
        "p_reorder": 0,
        "p_undelivered": 0,
        "error_code": 63016,
        **dict.fromkeys(CALLBACK_FAULTS, 0),
    },
    "list": {"p_500": 0},
}
"""The settings of each section. Names with `p_` are probabilities."""


class FaultSection:
    """The faults of one kind of request, with random numbers of its own. Draws of one section do not change another."""

    def __init__(self, name: str, seed: int, settings: dict[str, Any]) -> None:
        self._settings = DEFAULTS[name] | settings
        self._left = settings.get("count")
        self._random = random.Random(f"{seed}/{name}")
        self._applied: Counter[str] = Counter()

    def __getitem__(self, name: str) -> float:
        return float(self._settings[name])

    def draw(self, *names: str) -> str:
        """Draw one of the named faults, or '' for none. Their probabilities add up."""
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
        """Return the settings, the number of faults left, and how often each was drawn."""
        return {**self._settings, "left": self._left, "applied": dict(self._applied)}


class TwilioFaultInjector:
    """The fault plan in use, by section: creating messages, callbacks, and listing messages."""

    def __init__(self) -> None:
        self.replace({})

    def replace(self, plan: dict[str, Any]) -> None:
        """Replace the plan. Raises ValueError when it is not valid; then the old plan stays."""
        if unknown := set(plan) - {"seed", *DEFAULTS}:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: seed, {', '.join(DEFAULTS)}")
        seed = plan.get("seed", 0)
        if not isinstance(seed, int):
            raise ValueError("seed must be a whole number")
        for name in DEFAULTS:
            _check(name, plan.get(name, {}))
        self._seed = seed
        self.create = FaultSection("create", seed, plan.get("create", {}))
        self.callbacks = FaultSection("callbacks", seed, plan.get("callbacks", {}))
        self.listing = FaultSection("list", seed, plan.get("list", {}))

    def as_json(self) -> dict[str, Any]:
        """Return the plan, for the control endpoint."""
        sections = {"create": self.create, "callbacks": self.callbacks, "list": self.listing}
        return {"seed": self._seed, **{name: section.as_json() for name, section in sections.items()}}


def _check(section: str, settings: object) -> None:
    if not isinstance(settings, dict):
        raise ValueError(f"{section} must be an object")
    known = DEFAULTS[section]
    if unknown := set(settings) - {"count", *known}:
        raise ValueError(f"{section}: unknown {', '.join(sorted(unknown))}; known: count, {', '.join(known)}")
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f"{section}.{name} must be a number, zero or more")
    if not isinstance(settings.get("count", 0), int):
        raise ValueError(f"{section}.count must be a whole number")
    exclusive = CREATE_FAULTS if section == "create" else CALLBACK_FAULTS if section == "callbacks" else ("p_500",)
    odds = [value for name, value in settings.items() if name.startswith("p_")]
    if any(value > 1 for value in odds) or sum(settings.get(name, 0) for name in exclusive) > 1:
        raise ValueError(f"{section}: a probability, and the sum of {', '.join(exclusive)}, is at most 1")
