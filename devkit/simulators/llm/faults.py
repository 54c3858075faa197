"""Decide by chance, from a plan, which requests to the simulated providers fail."""

import dataclasses
import difflib
import random
from dataclasses import dataclass

from devkit.simulators.llm.chat import Fault
from graphs.providers import PROVIDERS

_FAULTS: dict[str, Fault] = {
    "p_429": 429,
    "p_500": 500,
    "p_503": 503,
    "p_timeout": "timeout",
    "p_drop": "drop",
    "p_garbage": "garbage",
    "p_empty": "empty",
    "p_bad_args": "bad_args",
}


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """The latency of all answers, and the probability of each fault.

    `count` is the number of faults after which no more are injected. `hang_s` is how long a `timeout` hangs.
    """

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    p_429: float = 0.0
    p_500: float = 0.0
    p_503: float = 0.0
    p_timeout: float = 0.0
    p_drop: float = 0.0
    p_garbage: float = 0.0
    p_empty: float = 0.0
    p_bad_args: float = 0.0
    only_provider: str | None = None
    seed: int | None = None
    count: int | None = None
    hang_s: float = 600.0
    retry_after_s: float = 1.0


_FIELDS = tuple(field.name for field in dataclasses.fields(FaultPlan))


def parse_plan(document: object, latency_ms: float) -> FaultPlan:
    """Return the plan in a JSON document. Raises ValueError. `latency_ms` is the default."""
    if not isinstance(document, dict):
        raise ValueError("the plan must be an object")
    for key, value in document.items():
        if key not in _FIELDS:
            near = difflib.get_close_matches(str(key), _FIELDS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_FIELDS)}"
            raise ValueError(f"unknown key {key!r}; {hint}")
        _check(key, value)
    if sum(document.get(key, 0) for key in _FAULTS) > 1.000001:
        raise ValueError("the probabilities sum to more than 1")
    return FaultPlan(**{"latency_ms": latency_ms, **document})


def _check(key: str, value: object) -> None:
    if key == "only_provider":
        if value is not None and value not in PROVIDERS:
            raise ValueError(f"only_provider must be one of {', '.join(PROVIDERS)}")
        return
    if key in ("seed", "count"):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (whole and (key == "seed" or int(str(value)) >= 0)):
            raise ValueError(f"{key} must be a whole number")
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{key} must be a number, 0 or more")
    if key in _FAULTS and value > 1:
        raise ValueError(f"{key} must be from 0 to 1")


class ModelFaultInjector:
    """Draws faults by a plan, and counts them."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self.injected = 0
        self._random = random.Random(plan.seed)
        self._chances = [(getattr(plan, key), fault) for key, fault in _FAULTS.items() if getattr(plan, key)]

    def draw(self, provider: str) -> Fault | None:
        """Draw the fault of a request, or None."""
        plan = self.plan
        if not self._chances or (plan.only_provider and plan.only_provider != provider):
            return None
        if plan.count is not None and self.injected >= plan.count:
            return None
        point = self._random.random()
        for chance, fault in self._chances:
            point -= chance
            if point < 0:
                self.injected += 1
                return fault
        return None

    def undo_draw(self) -> None:
        """Take back the count of a fault that had nothing to damage."""
        self.injected -= 1

    def delay(self, provider: str) -> float:
        """Return the latency of a request, in seconds."""
        plan = self.plan
        if plan.only_provider and plan.only_provider != provider:
            return 0.0
        jitter = self._random.uniform(-plan.jitter_ms, plan.jitter_ms) if plan.jitter_ms else 0.0
        return max(0.0, plan.latency_ms + jitter) / 1000

    def describe(self) -> dict[str, object]:
        """Return the plan and the number of faults, for the control endpoint."""
        return {**dataclasses.asdict(self.plan), "injected": self.injected}
