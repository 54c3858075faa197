"""Scripts: which rule answers a request, and with what."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from devkit.simulators.llm import codec
from devkit.simulators.llm.chat import SPOILING, Answer, Fault, Rejected, ToolCall, unique
from devkit.simulators.llm.templates import render
from devkit.simulators.llm.turn import VARIABLES, Groups, Turn, groups
from manifest.yaml_source import InvalidFiles, Problem


@dataclass(frozen=True, slots=True)
class Conditions:
    structured: bool | None = None
    user: re.Pattern[str] | None = None
    system: re.Pattern[str] | None = None
    model: re.Pattern[str] | None = None
    provider: str = ""
    tools: tuple[str, ...] = ()
    results_of: tuple[str, ...] = ()

    def hold(self, turn: Turn) -> bool:
        chat = turn.chat
        if self.structured is not None and self.structured is not chat.structured:
            return False
        if self.provider and self.provider != chat.provider:
            return False
        if self.results_of and not all(name in turn.fresh for name in self.results_of):
            return False
        if self.tools and not self._offered(turn):
            return False
        return self.model is None or self.model.search(chat.model) is not None

    def _offered(self, turn: Turn) -> bool:
        if turn.has_results and not self.results_of:
            return False
        return all(name in turn.chat.tools for name in self.tools)

    def match(self, turn: Turn) -> Groups | None:
        """The groups of the user's (or else the system's) expression; None when a condition fails."""
        if not self.hold(turn):
            return None
        system = self.system.search(turn.system) if self.system else None
        if self.system and system is None:
            return None
        user = self.user.search(turn.user) if self.user else None
        if self.user and user is None:
            return None
        return groups(user or system)


@dataclass(slots=True)
class Rule:
    line: int
    when: Conditions
    say: object = None
    calls: list[tuple[str, object]] = field(default_factory=list)
    json: object = None
    has_json: bool = False
    fail: Fault | None = None
    delay: float = 0.0
    times: int | None = None
    variables: frozenset[str] = frozenset()
    used: int = 0

    def match(self, turn: Turn) -> Groups | None:
        if self.times is not None and self.used >= self.times:
            return None
        return self.when.match(turn)

    def answer(self, turn: Turn, found: Groups) -> Answer:
        values = {name: VARIABLES[name](turn) for name in self.variables if name in VARIABLES}
        values["result"] = turn.result(self.when.results_of) if "result" in self.variables else None
        values["m"] = found
        if self.has_json:
            answer = _structured(turn, render(self.json, values))
        else:
            answer = Answer(text=_spoken(render(self.say, values)))
            answer.calls = [_call(name, render(arguments, values)) for name, arguments in self.calls]
        if self.fail in SPOILING:
            answer.spoil(self.fail)
        return answer


def _structured(turn: Turn, value: object) -> Answer:
    if turn.chat.forced:
        return Answer(calls=[_call(turn.chat.forced, value)], structured=True)
    return Answer(text=codec.text(value), structured=turn.chat.structured)


def _call(name: str, arguments: object) -> ToolCall:
    if not isinstance(arguments, dict):
        raise TypeError(f"the arguments of {name} must be a mapping, not {codec.text(arguments)}")
    return ToolCall(unique("call_"), name, arguments)


def _spoken(value: object) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else codec.text(value)


@dataclass(slots=True)
class Script:
    name: str
    match: str
    source: str
    rules: list[Rule]

    def choose(self, turn: Turn) -> tuple[int, Rule, Groups]:
        for index, rule in enumerate(self.rules):
            found = rule.match(turn)
            if found is not None:
                rule.used += 1
                return index, rule, found
        kind = "structured request" if turn.chat.structured else "request"
        raise Rejected(400, f"script {self.name}: no rule for this {kind} (user: {turn.user!r})", "script_error")

    def answer(self, turn: Turn, rule: Rule, found: Groups) -> Answer:
        try:
            return rule.answer(turn, found)
        except Exception as error:
            # A template may raise anything at all, and whoever wrote it needs the place, not a 500.
            reason = f"{type(error).__name__}: {error}"
            raise Rejected(400, f"script {self.source}:{rule.line}: {reason}", "script_error") from error


class Library:
    """The scripts in use; the first whose text the system prompt contains serves a request."""

    def __init__(self, scripts: Iterable[Script]) -> None:
        self._initial = list(scripts)
        self._scripts = _checked(self._initial)

    @property
    def names(self) -> list[str]:
        return list(self._scripts)

    def put(self, scripts: Iterable[Script]) -> None:
        """Add scripts, each in the place of the one with its name."""
        added = {script.name: script for script in scripts}
        self._scripts = _checked([*({**self._scripts, **added}).values()])

    def reset(self) -> None:
        for script in self._initial:
            for rule in script.rules:
                rule.used = 0
        self._scripts = _checked(self._initial)

    def find(self, system: str) -> Script:
        default = None
        for script in self._scripts.values():
            if not script.match:
                default = script
            elif script.match in system:
                return script
        if default is None:
            raise Rejected(400, "no script matches this system prompt and none is the default", "script_error")
        return default


def _checked(scripts: list[Script]) -> dict[str, Script]:
    named: dict[str, Script] = {}
    default: Script | None = None
    for script in scripts:
        if other := named.get(script.name):
            raise InvalidFiles([Problem(script.source, 1, 1, f"the name {script.name} is taken by {other.source}")])
        named[script.name] = script
        if script.match:
            continue
        if default:
            message = f"without `match`, but {default.name} is already the default"
            raise InvalidFiles([Problem(script.source, 1, 1, message)])
        default = script
    return named
