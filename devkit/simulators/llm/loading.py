"""From YAML to scripts; every mistake is told with file and line."""

import datetime
import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Never

from jinja2 import TemplateSyntaxError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from devkit.simulators.llm.chat import BREAKING, SPOILING, Fault
from devkit.simulators.llm.script import Conditions, Rule, Script, ScriptError
from devkit.simulators.llm.templates import compiled
from devkit.simulators.llm.turn import VARIABLES
from graphs.providers import PROVIDERS

_SCRIPT = ("name", "match", "rules")
_RULE = ("when", "say", "call", "json", "fail", "delay_ms", "times")
_WHEN = ("structured", "user", "system", "model", "provider", "tool", "result_of")
_CALL = ("name", "arguments")
_KNOWN = frozenset(VARIABLES) | {"result", "m"}

type _Kind = Literal["text", "number", "truth", "mapping", "list"]
_KINDS: dict[_Kind, type | tuple[type, ...]] = {
    "text": str,
    "number": (int, float),
    "truth": bool,
    "mapping": CommentedMap,
    "list": CommentedSeq,
}


def load_files(paths: Iterable[Path]) -> list[Script]:
    scripts: list[Script] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ScriptError(f"{path}: cannot be read: {error}") from error
        scripts.extend(load_text(text, str(path)))
    return scripts


def load_text(text: str, source: str) -> list[Script]:
    """The scripts of a YAML text, one per document."""
    try:
        documents = list(YAML(typ="rt").load_all(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ScriptError(f"{source}:{mark.line + 1 if mark else 1}: {error.problem or error.context}") from error
    except YAMLError as error:
        raise ScriptError(f"{source}:1: {error}") from error
    scripts = [_script(document, source) for document in documents]
    if not scripts:
        raise ScriptError(f"{source}:1: no script in it")
    return scripts


class _Section:
    """A mapping of the document with the places of its keys."""

    def __init__(self, node: object, source: str, line: int, path: str, keys: tuple[str, ...]) -> None:
        self.source, self.line, self.path = source, line, path
        if not isinstance(node, CommentedMap):
            self.fail("a mapping is expected here")
        self.node = node
        for key in node:
            if key not in keys:
                near = difflib.get_close_matches(str(key), keys, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(keys)}"
                self.fail(f"unknown key {key!r}; {hint}", key)

    def __contains__(self, key: str) -> bool:
        return key in self.node

    def line_of(self, key: object) -> int:
        places = self.node.lc.data or {}
        return int(places[key][0]) + 1 if key in places else self.line

    def fail(self, message: str, key: object = None) -> Never:
        line = self.line if key is None else self.line_of(key)
        raise ScriptError(f"{self.source}:{line}: {self.path}: {message}")

    def get(self, key: str, kind: _Kind) -> object:
        """The value under a key, None when the key is absent."""
        if key not in self.node:
            return None
        value = self.node[key]
        wrong = not isinstance(value, _KINDS[kind]) or (kind == "number" and isinstance(value, bool))
        if wrong:
            self.fail(f"{key} must be a {kind}", key)
        return value

    def text(self, key: str) -> str:
        return str(self.get(key, "text") or "")

    def number(self, key: str) -> float:
        value = self.get(key, "number")
        number = float(value) if isinstance(value, int | float) else 0.0
        if number < 0:
            self.fail(f"{key} must not be negative", key)
        return number

    def names(self, key: str) -> tuple[str, ...]:
        """One name, or a list of names."""
        value = self.node.get(key, [])
        items = value if isinstance(value, CommentedSeq | list) else [value]
        if not all(isinstance(item, str) and item for item in items):
            self.fail(f"{key} must be a name or a list of names", key)
        return tuple(str(item) for item in items)

    def pattern(self, key: str) -> re.Pattern[str] | None:
        source = self.text(key)
        try:
            return re.compile(source) if source else None
        except re.error as error:
            self.fail(f"{key}: bad regular expression: {error}", key)

    def template(self, key: str, names: set[str]) -> object:
        return self._template(self.node[key], self.line_of(key), key, names)

    def _template(self, value: object, line: int, path: str, names: set[str]) -> object:
        if isinstance(value, CommentedMap):
            places = value.lc.data or {}
            return {
                str(key): self._template(item, places[key][0] + 1 if key in places else line, f"{path}.{key}", names)
                for key, item in value.items()
            }
        if isinstance(value, CommentedSeq):
            return [self._template(item, line, f"{path}[{index}]", names) for index, item in enumerate(value)]
        return self._scalar(value, line, path, names)

    def _scalar(self, value: object, line: int, path: str, names: set[str]) -> object:
        if isinstance(value, datetime.date):
            return value.isoformat()
        if isinstance(value, float | int) and not isinstance(value, bool):
            return float(value) if isinstance(value, float) else int(value)
        if not isinstance(value, str):
            return value
        used: set[str] = set()
        try:
            template = compiled(str(value), used)
        except TemplateSyntaxError as error:
            raise ScriptError(f"{self.source}:{line}: {self.path}.{path}: {error.message}") from error
        if unknown := sorted(used - _KNOWN):
            known = ", ".join(sorted(_KNOWN))
            raise ScriptError(
                f"{self.source}:{line}: {self.path}.{path}: unknown variable {unknown[0]!r}; known: {known}"
            )
        names |= used
        return template


def _script(document: object, source: str) -> Script:
    section = _Section(document, source, 1, "script", _SCRIPT)
    name = section.text("name") or section.fail("name is missing")
    nodes = section.get("rules", "list")
    if not isinstance(nodes, CommentedSeq) or not nodes:
        section.fail("rules is missing or empty")
    rules = [
        _rule(_Section(node, source, int(nodes.lc.item(index)[0]) + 1, f"rules[{index}]", _RULE))
        for index, node in enumerate(nodes)
    ]
    return Script(name, section.text("match"), source, rules)


def _rule(section: _Section) -> Rule:
    if not any(key in section for key in ("say", "call", "json", "fail")):
        section.fail("one of say, call, json, fail is needed")
    if "json" in section and ("say" in section or "call" in section):
        section.fail("json excludes say and call", "json")
    names: set[str] = set()
    rule = Rule(
        line=section.line,
        when=_conditions(section),
        say=section.template("say", names) if "say" in section else None,
        calls=list(_calls(section, names)),
        json=section.template("json", names) if "json" in section else None,
        has_json="json" in section,
        fail=_fault(section),
        delay=section.number("delay_ms") / 1000,
        times=int(section.number("times")) if "times" in section else None,
    )
    rule.variables = frozenset(names)
    if "say" in section and not isinstance(section.node["say"], str | int | float):
        section.fail("say must be a text", "say")
    return rule


def _calls(section: _Section, names: set[str]) -> Iterator[tuple[str, object]]:
    if "call" not in section:
        return
    node = section.node["call"]
    listed = isinstance(node, CommentedSeq)
    for index, item in enumerate(node if listed else [node]):
        line = int(node.lc.item(index)[0]) + 1 if listed else section.line_of("call")
        path = f"{section.path}.call[{index}]" if listed else f"{section.path}.call"
        call = _Section(item, section.source, line, path, _CALL)
        arguments = call.template("arguments", names) if "arguments" in call else {}
        if isinstance(arguments, list | str | int | float) or arguments is None:
            call.fail("arguments must be a mapping or a template that yields one", "arguments")
        yield call.text("name") or call.fail("name is missing"), arguments


def _conditions(rule: _Section) -> Conditions:
    if "when" not in rule:
        return Conditions(structured=_expects_structured(rule))
    when = _Section(rule.node["when"], rule.source, rule.line_of("when"), f"{rule.path}.when", _WHEN)
    provider = when.text("provider")
    if provider and provider not in PROVIDERS:
        when.fail(f"provider must be one of {', '.join(PROVIDERS)}", "provider")
    structured = bool(when.get("structured", "truth")) if "structured" in when else _expects_structured(rule)
    return Conditions(
        structured=structured,
        user=when.pattern("user"),
        system=when.pattern("system"),
        model=when.pattern("model"),
        provider=provider,
        tools=when.names("tool"),
        results_of=when.names("result_of"),
    )


def _expects_structured(rule: _Section) -> bool | None:
    """What a rule without the condition serves: json the structured requests, words and calls the others."""
    if "json" in rule:
        return True
    return False if "say" in rule or "call" in rule else None


def _fault(section: _Section) -> Fault | None:
    if "fail" not in section:
        return None
    fault = section.node["fail"]
    names = (*SPOILING, *BREAKING)
    if isinstance(fault, str) and fault in names:
        if fault == "bad_args" and "call" not in section and "json" not in section:
            section.fail("bad_args needs a call or json to damage", "fail")
        return str(fault)
    if isinstance(fault, int) and not isinstance(fault, bool) and 400 <= fault <= 599:
        return int(fault)
    return section.fail(f"fail must be a status from 400 to 599 or one of {', '.join(names)}", "fail")
