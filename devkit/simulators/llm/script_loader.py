"""Load model scripts from YAML, and report every problem with its file and line."""

import datetime
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from jinja2 import TemplateSyntaxError
from pydantic import BeforeValidator, Field, model_validator

from devkit.simulators.llm.chat import ANSWER_FAULTS, TRANSPORT_FAULTS, Fault
from devkit.simulators.llm.request_view import VARIABLES
from devkit.simulators.llm.script import CompiledConditions, CompiledRule, Script
from devkit.simulators.llm.templates import compile_template
from graphs.fields import ProviderName, Section
from manifest.yaml_source import InvalidFiles, Location, Problem, YamlDocument, path_of, read_text

TEMPLATE_VARIABLES = frozenset(VARIABLES) | {"result", "m"}
"""The variables that a template may read."""


def _compile_regex(value: Any) -> Any:
    try:
        return re.compile(value) if isinstance(value, str) else value
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None


def _check_fault(value: Any) -> Any:
    names = (*ANSWER_FAULTS, *TRANSPORT_FAULTS)
    is_status = isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599
    if not is_status and value not in names:
        raise ValueError(f"expected a status from 400 to 599, or one of {', '.join(names)}")
    return value


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Pattern = Annotated[re.Pattern[str], BeforeValidator(_compile_regex)]
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_list)]


class ScriptConditions(Section):
    """The conditions of a rule. `tool` names offered tools, and `result_of` tools whose results end the request."""

    structured: bool | None = None
    user: Pattern | None = None
    system: Pattern | None = None
    model: Pattern | None = None
    provider: ProviderName | None = None
    tool: Names = ()
    result_of: Names = ()


class ScriptCall(Section):
    """A tool call. `arguments` is a mapping, or a template that yields one."""

    name: Annotated[str, Field(min_length=1)]
    arguments: dict[str, Any] | str = Field(default_factory=dict[str, Any])


class ScriptRule(Section):
    """A rule: its conditions, and its answer or fault."""

    when: ScriptConditions = ScriptConditions()
    say: str | int | float | None = None
    call: Annotated[tuple[ScriptCall, ...], BeforeValidator(_as_list)] = ()
    json_: Annotated[Any, Field(alias="json")] = None
    fail: Annotated[Fault | None, BeforeValidator(_check_fault)] = None
    delay_ms: Annotated[float, Field(ge=0)] = 0
    times: Annotated[int | None, Field(ge=0)] = None

    @property
    def has_json(self) -> bool:
        """Whether the rule has `json`. Its value may be null."""
        return "json_" in self.model_fields_set

    @model_validator(mode="after")
    def _check_answer(self) -> "ScriptRule":
        written = self.model_fields_set
        if not written & {"say", "call", "json_", "fail"}:
            raise ValueError("expected one of `say`, `call`, `json`, `fail`")
        if self.has_json and written & {"say", "call"}:
            raise ValueError("`json` excludes `say` and `call`")
        if self.fail == "bad_args" and not written & {"call", "json_"}:
            raise ValueError("`fail: bad_args` needs a `call` or `json` to damage")
        return self

    def structured(self) -> bool | None:
        """Return the default of the condition `structured`: true for `json`, false for `say` and `call`, else None."""
        if self.has_json:
            return True
        return False if self.model_fields_set & {"say", "call"} else None


class ScriptFile(Section):
    """A script: one document of a YAML file. `match` is a text in the system prompts that it answers."""

    name: Annotated[str, Field(min_length=1)]
    match: str = ""
    rules: Annotated[tuple[ScriptRule, ...], Field(min_length=1)]


def load_files(paths: Iterable[Path]) -> list[Script]:
    """Return the scripts of these files. Raises InvalidFiles."""
    return [script for path in paths for script in load_text(read_text(path), str(path))]


def load_text(text: str, source: str) -> list[Script]:
    """Return the scripts of a YAML text, one per document. Raises InvalidFiles."""
    scripts = [_script(document) for document in YamlDocument.parse_all(text, source)]
    if not scripts:
        raise InvalidFiles([Problem(source, 1, 1, "the file has no script")])
    return scripts


def _script(document: YamlDocument) -> Script:
    file = document.validate(ScriptFile, storable=False)
    templates = _Templates(document)
    rules = [_rule(rule, ("rules", number), templates) for number, rule in enumerate(file.rules)]
    if templates.problems:
        raise InvalidFiles(templates.problems)
    return Script(file.name, file.match, document.file, rules)


def _rule(rule: ScriptRule, at: Location, templates: "_Templates") -> CompiledRule:
    templates.names = set()
    listed = isinstance(templates.document.value((*at, "call")), list)
    calls = [
        (call.name, templates.compile(call.arguments, (*at, "call", *([number] if listed else []), "arguments")))
        for number, call in enumerate(rule.call)
    ]
    when = rule.when
    structured = when.structured if "structured" in when.model_fields_set else rule.structured()
    return CompiledRule(
        line=templates.document.position(at)[0],
        when=CompiledConditions(
            structured, when.user, when.system, when.model, when.provider or "", when.tool, when.result_of
        ),
        say=templates.compile(rule.say, (*at, "say")),
        calls=calls,
        json=templates.compile(rule.json_, (*at, "json")),
        has_json=rule.has_json,
        fail=rule.fail,
        delay=rule.delay_ms / 1000,
        times=rule.times,
        variables=frozenset(templates.names),
    )


class _Templates:
    """Compiles the templates of a document. `names` collects the variables that they read."""

    def __init__(self, document: YamlDocument) -> None:
        self.document = document
        self.names: set[str] = set()
        self.problems: list[Problem] = []

    def compile(self, value: object, where: Location) -> object:
        """Return the value with its texts compiled. Problems are added to `problems`."""
        if isinstance(value, dict):
            return {key: self.compile(item, (*where, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.compile(item, (*where, number)) for number, item in enumerate(value)]
        if isinstance(value, datetime.date):
            return value.isoformat()
        return self._template(value, where) if isinstance(value, str) else value

    def _template(self, text: str, where: Location) -> object:
        used: set[str] = set()
        try:
            template = compile_template(text, used)
        except TemplateSyntaxError as error:
            self._add(where, str(error.message))
            return None
        for unknown in sorted(used - TEMPLATE_VARIABLES):
            self._add(where, f"unknown variable `{unknown}`; known: {', '.join(sorted(TEMPLATE_VARIABLES))}")
        self.names |= used
        return template

    def _add(self, where: Location, message: str) -> None:
        self.problems.append(self.document.problem(where, f"{path_of(where)}: {message}"))
