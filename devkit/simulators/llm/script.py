"""Choose the rule of a script that answers a request, and make its answer."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from devkit.simulators.llm import codec
from devkit.simulators.llm.chat import ANSWER_FAULTS, ChatAnswer, ChatToolCall, Fault, RequestRejected, new_id
from devkit.simulators.llm.request_view import VARIABLES, MatchedGroups, RequestView, matched_groups
from devkit.simulators.llm.templates import render
from manifest.yaml_source import InvalidFiles, Problem


@dataclass(frozen=True, slots=True)
class CompiledConditions:
    """The conditions of a rule."""

    structured: bool | None = None
    user: re.Pattern[str] | None = None
    system: re.Pattern[str] | None = None
    model: re.Pattern[str] | None = None
    provider: str = ""
    tools: tuple[str, ...] = ()
    results_of: tuple[str, ...] = ()

    def _hold(self, view: RequestView) -> bool:
        chat = view.chat
        if self.structured is not None and self.structured is not chat.structured:
            return False
        if self.provider and self.provider != chat.provider:
            return False
        if self.results_of and not all(name in view.trailing_results for name in self.results_of):
            return False
        if self.tools and not self._offered(view):
            return False
        return self.model is None or self.model.search(chat.model) is not None

    def _offered(self, view: RequestView) -> bool:
        if view.has_results and not self.results_of:
            return False
        return all(name in view.chat.tools for name in self.tools)

    def match(self, view: RequestView) -> MatchedGroups | None:
        """Return the groups of the `user` expression, or else of `system`. None when a condition does not hold."""
        if not self._hold(view):
            return None
        system = self.system.search(view.system) if self.system else None
        if self.system and system is None:
            return None
        user = self.user.search(view.user) if self.user else None
        if self.user and user is None:
            return None
        return matched_groups(user or system)


@dataclass(slots=True)
class CompiledRule:
    """A rule with compiled templates. `delay` is in seconds, `variables` are those that the templates read."""

    line: int
    when: CompiledConditions
    say: object = None
    calls: list[tuple[str, object]] = field(default_factory=list)
    json: object = None
    has_json: bool = False
    fail: Fault | None = None
    delay: float = 0.0
    times: int | None = None
    variables: frozenset[str] = frozenset()
    used: int = 0

    def match(self, view: RequestView) -> MatchedGroups | None:
        """Return the groups of the match, or None when the rule does not serve the request."""
        if self.times is not None and self.used >= self.times:
            return None
        return self.when.match(view)

    def answer(self, view: RequestView, found: MatchedGroups) -> ChatAnswer:
        """Return the answer, with all templates evaluated."""
        values = {name: VARIABLES[name](view) for name in self.variables if name in VARIABLES}
        values["result"] = view.result(self.when.results_of) if "result" in self.variables else None
        values["m"] = found
        if self.has_json:
            answer = _structured(view, render(self.json, values))
        else:
            answer = ChatAnswer(text=_spoken(render(self.say, values)))
            answer.calls = [_call(name, render(arguments, values)) for name, arguments in self.calls]
        if self.fail in ANSWER_FAULTS:
            answer.damage(self.fail)
        return answer


def _structured(view: RequestView, value: object) -> ChatAnswer:
    if view.chat.forced:
        return ChatAnswer(calls=[_call(view.chat.forced, value)], structured=True)
    return ChatAnswer(text=codec.text(value), structured=view.chat.structured)


def _call(name: str, arguments: object) -> ChatToolCall:
    if not isinstance(arguments, dict):
        raise TypeError(f"the arguments of {name} must be a mapping, not {codec.text(arguments)}")
    return ChatToolCall(new_id("call_"), name, arguments)


def _spoken(value: object) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else codec.text(value)


@dataclass(slots=True)
class Script:
    """The rules for the requests whose system prompt contains `match`."""

    name: str
    match: str
    source: str
    rules: list[CompiledRule]

    def choose(self, view: RequestView) -> tuple[int, CompiledRule, MatchedGroups]:
        """Return the first rule that serves a request, with its index and its match. Raises RequestRejected."""
        for index, rule in enumerate(self.rules):
            found = rule.match(view)
            if found is not None:
                rule.used += 1
                return index, rule, found
        kind = "structured request" if view.chat.structured else "request"
        raise RequestRejected(400, f"script {self.name}: no rule for this {kind} (user: {view.user!r})", "script_error")

    def answer(self, view: RequestView, rule: CompiledRule, found: MatchedGroups) -> ChatAnswer:
        """Return the answer of a rule. Raises RequestRejected when a template fails."""
        try:
            return rule.answer(view, found)
        except Exception as error:
            # A template may raise any error. The author of the script needs its file and line, not a 500.
            reason = f"{type(error).__name__}: {error}"
            raise RequestRejected(400, f"script {self.source}:{rule.line}: {reason}", "script_error") from error


class ScriptLibrary:
    """The scripts in use. The first one whose `match` is in the system prompt answers a request."""

    def __init__(self, scripts: Iterable[Script]) -> None:
        self._initial = list(scripts)
        self._scripts = _checked(self._initial)

    @property
    def names(self) -> list[str]:
        """The names of the scripts."""
        return list(self._scripts)

    def put(self, scripts: Iterable[Script]) -> None:
        """Add scripts. Each replaces the one with its name. Raises InvalidFiles."""
        added = {script.name: script for script in scripts}
        self._scripts = _checked([*({**self._scripts, **added}).values()])

    def reset(self) -> None:
        """Restore the scripts of the start, unused."""
        for script in self._initial:
            for rule in script.rules:
                rule.used = 0
        self._scripts = _checked(self._initial)

    def find(self, system: str) -> Script:
        """Return the script for a system prompt. Raises RequestRejected."""
        default = None
        for script in self._scripts.values():
            if not script.match:
                default = script
            elif script.match in system:
                return script
        if default is None:
            raise RequestRejected(400, "no script matches this system prompt and none is the default", "script_error")
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
