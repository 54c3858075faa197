"""Validate references and paths of a manifest whose sections are valid each by itself."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from graphs.config import CLASSIFY, CLOSE, HANDOFF, REFERENCE
from graphs.language import unknown
from graphs.transfer import TRANSFER
from manifest.compile import matches, step_name, transfers_of
from manifest.flow_sections import FlowSection, StepSection
from manifest.knowledge import SUFFIXES
from manifest.schema import Manifest
from manifest.tool_needs import missing_sections, names_with_need
from manifest.yaml_source import UNSTORABLE, Location
from tools.base import Tool
from tools.names import nearest
from tools.ports import Need
from tools.registry import BUILTIN

Problems = Iterator[tuple[Location, str]]

MOST_TOOLS = 128
"""The number of tools that a model can be offered in one request, at every provider."""


def problems_between_sections(
    document: Manifest, files: Mapping[str, str], tools: Mapping[str, Tool]
) -> list[tuple[Location, str]]:
    """Return every problem with its location in the file."""
    return [
        *_taken_names(document),
        *_routes(document),
        *_lifecycle(document),
        *_knowledge(document, files, tools),
        *_agents(document, files, tools),
        *_unreachable(document),
        *(found for name, flow in document.flows.items() for found in _flow_problems(document, name, flow, tools)),
    ]


def _taken_names(document: Manifest) -> Problems:
    for section, names in (("agents", document.agents), ("flows", document.flows)):
        for name in (HANDOFF, CLOSE, CLASSIFY):
            if name in names:
                yield (section, name), f"`{name}` means something else in routing: choose another name"
    for name in document.flows:
        if name in document.agents:
            yield ("flows", name), f"there is an agent `{name}` already: choose another name"
    for name in document.tools:
        if name in BUILTIN or name == TRANSFER:
            yield ("tools", name), f"`{name}` is a built-in tool: choose another name"


def _routes(document: Manifest) -> Problems:
    targets = [*document.agents, *document.flows, HANDOFF, CLOSE]
    for number, rule in enumerate(document.routing.rules):
        if rule.to not in targets:
            yield ("routing", "rules", number, "to"), _unknown_target(rule.to, targets)
        if rule.outside_hours is not None and document.hours is None:
            yield ("routing", "rules", number, "outside_hours"), "there are no `hours:` to be outside of"
        if rule.language is not None and unknown([rule.language]):
            yield ("routing", "rules", number, "language"), f"`{rule.language}` is not a language that can be detected"
    otherwise = document.routing.otherwise
    if otherwise not in [*targets, CLASSIFY]:
        yield ("routing", "otherwise"), _unknown_target(otherwise, [*targets, CLASSIFY])


def _lifecycle(document: Manifest) -> Problems:
    lifecycle, at = document.lifecycle, "lifecycle"
    if lifecycle.idle_message is not None and lifecycle.idle is None:
        yield (at, "idle_message"), "it is said after `idle`, which is not set"
    if lifecycle.csat and lifecycle.csat_question is None:
        yield (at, "csat"), "say what contacts are asked: `csat_question`"
    for name in ("csat_question", "csat_thanks"):
        if getattr(lifecycle, name) is not None and not lifecycle.csat:
            yield (at, name), "nobody is asked without `csat: true`"
    handoff = document.handoff
    if handoff.sla is not None and handoff.timeout is not None and handoff.sla >= handoff.timeout:
        yield ("handoff", "sla"), "`sla` must be shorter than `timeout`"
    waits = {
        "lifecycle.idle": lifecycle.idle,
        "handoff.timeout": handoff.timeout,
        "approvals.timeout": document.approvals.timeout,
    }
    for name, wait in waits.items():
        if lifecycle.expire is not None and wait is not None and wait >= lifecycle.expire:
            yield (at, "expire"), f"`expire` must be longer than `{name}`"


def _knowledge(document: Manifest, files: Mapping[str, str], tools: Mapping[str, Tool]) -> Problems:
    searching = names_with_need(Need.KNOWLEDGE, tools.values())
    if document.knowledge and _used_tools(document).isdisjoint(searching):
        yield ("knowledge",), f"no agent or flow looks it up: give an agent the tool `{searching[0]}`"
    prompts = {agent.prompt for agent in document.agents.values()}
    for number, pattern in enumerate(document.knowledge):
        named = [name for name in files if matches(pattern, name)]
        if not named:
            texts = [name for name in files if name.endswith(SUFFIXES)]
            yield ("knowledge", number), f"there is no file `{pattern}`{nearest(pattern, texts)}"
        for name in named:
            if name in prompts:
                yield ("knowledge", number), f"`{name}` is an agent's prompt, which contacts must not look up"
            elif not files[name].strip():
                yield ("knowledge", number), f"`{name}` has no text in it"
            elif UNSTORABLE.search(files[name]):
                yield ("knowledge", number), f"`{name}` contains a NUL or an incomplete character"


def _used_tools(document: Manifest) -> set[str]:
    named = {tool for agent in document.agents.values() for tool in agent.tools}
    return named | {step.call.tool for flow in document.flows.values() for step in flow.steps if step.call is not None}


def _agents(document: Manifest, files: Mapping[str, str], tools: Mapping[str, Tool]) -> Problems:
    for name, agent in document.agents.items():
        path = PurePosixPath(agent.prompt)
        if path.is_absolute() or ".." in path.parts or agent.prompt not in files:
            prompts = [file for file in files if file.endswith(".md")]
            yield ("agents", name, "prompt"), f"there is no file `{agent.prompt}`{nearest(agent.prompt, prompts)}"
        elif UNSTORABLE.search(files[agent.prompt]):
            yield ("agents", name, "prompt"), f"`{agent.prompt}` contains a NUL or an incomplete character"
        for number, tool in enumerate(agent.tools):
            # A tool of the manifest that cannot be made is reported elsewhere.
            if tool not in tools and tool not in document.tools:
                yield ("agents", name, "tools", number), f"there is no tool `{tool}`{nearest(tool, tools)}"
            elif tool in tools:
                for problem in missing_sections(document, tools[tool]):
                    yield ("agents", name, "tools", number), problem
            if tool in agent.tools[:number]:
                yield (
                    ("agents", name, "tools", number),
                    f"`{tool}` is listed twice, which Google refuses: leave one out",
                )
        if (offered := len(agent.tools) + bool(transfers_of(document, name))) > MOST_TOOLS:
            message = f"{offered} tools: a model can be offered {MOST_TOOLS}, and one of them is the transfer"
            yield ("agents", name, "tools"), f"{message}; divide them among several agents"
        others = [*(other for other in document.agents if other != name), *document.flows]
        for number, other in enumerate(agent.transfers or ()):
            if other not in others:
                yield ("agents", name, "transfers", number), _unknown_target(other, others)


def _unreachable(document: Manifest) -> Problems:
    routing = document.routing
    reached = {rule.to for rule in routing.rules} | {routing.otherwise}
    # An unknown target is reported elsewhere. Once mended, it might lead here.
    if CLASSIFY in reached or not reached <= {*document.agents, *document.flows, HANDOFF, CLOSE}:
        return
    while more := {to for name in reached for to in _targets_of(document, name)} - reached:
        reached |= more
    for section, names in (("agents", document.agents), ("flows", document.flows)):
        for name in names:
            if name not in reached:
                yield (section, name), f"no route leads to `{name}`: add a rule, a transfer, or `otherwise: {CLASSIFY}`"


def _targets_of(document: Manifest, name: str) -> set[str]:
    if name in document.agents:
        return set(transfers_of(document, name))
    if name in document.flows:
        flow = document.flows[name]
        ends = {step.end for step in flow.steps if isinstance(step.end, str)}
        return ends | ({flow.questions} if flow.questions else set())
    return set()


def _flow_problems(document: Manifest, name: str, flow: FlowSection, tools: Mapping[str, Tool]) -> Problems:
    where: Location = ("flows", name)
    names = [step_name(step, number) for number, step in enumerate(flow.steps, 1)]
    for number, taken in enumerate(names):
        if taken in names[:number]:
            yield (*where, "steps", number), f"there is a step `{taken}` already: give this one another `name`"
    if flow.questions is not None and flow.questions not in document.agents:
        yield (*where, "questions"), _unknown_target(flow.questions, document.agents)
    fields = set(_fields(flow))
    for field in _fields_in(flow.cancel.say) if flow.cancel else ():
        if field not in fields:
            yield (*where, "cancel", "say"), f"nothing in this flow sets the field `{field}`{nearest(field, fields)}"
    choices = _choices(flow)
    may_be_set = _may_be_set(flow, names) if len(set(names)) == len(names) else {}
    for number, step in enumerate(flow.steps):
        place: Location = (*where, "steps", number)
        yield from _step_problems(document, place, step, names, tools)
        if step.branch is not None and (possible := choices.get(step.branch.field)):
            for value in set(step.branch.cases) - set(possible):
                yield (*place, "branch", "cases", value), f"`{value}` is none of the choices{nearest(value, possible)}"
        for text_at, text in _texts(step):
            for field in _fields_in(text):
                if field not in fields:
                    yield (*place, *text_at), f"nothing in this flow sets the field `{field}`{nearest(field, fields)}"
                elif names[number] in may_be_set and field not in may_be_set[names[number]]:
                    yield (*place, *text_at), f"no step before this one sets the field `{field}`"
    if not any(step in names[:number] for number, step in enumerate(names)):
        yield from _reachability(where, flow, names)


def _may_be_set(flow: FlowSection, names: list[str]) -> dict[str, set[str]]:
    """Return, for each step that can be reached, the fields that may be set when it begins."""
    steps = dict(zip(names, flow.steps, strict=True))
    known: dict[str, set[str]] = {names[0]: set()}
    changed = [names[0]]
    while changed:
        name = changed.pop()
        after = known[name] | _set_by(steps[name])
        for following in _next(steps[name], name, names) & steps.keys():
            if following not in known or not after <= known[following]:
                known[following] = known.get(following, set()) | after
                changed.append(following)
    return known


def _set_by(step: StepSection) -> set[str]:
    """Return the fields that a step sets, or may set."""
    asked = {step.ask.field} if step.ask is not None else set()
    called = {field for field in (step.call.into, "error") if field} if step.call is not None else set()
    return asked | called | set(step.set_ or {})


def _choices(flow: FlowSection) -> dict[str, list[str]]:
    """Return the possible values of fields that only questions with choices set."""
    asks = [step.ask for step in flow.steps if step.ask is not None]
    others = {ask.field for ask in asks if not ask.choices}
    others |= {name for step in flow.steps for name in step.set_ or {}}
    others |= {step.call.into for step in flow.steps if step.call is not None and step.call.into is not None}
    names = {ask.field for ask in asks} - others
    return {name: [choice for ask in asks if ask.field == name for choice in ask.choices] for name in names}


def _fields_in(text: str) -> list[str]:
    return [reference.partition(".")[0] for reference in REFERENCE.findall(text)]


def _step_problems(
    document: Manifest, place: Location, step: StepSection, names: list[str], tools: Mapping[str, Tool]
) -> Problems:
    if step.call is not None:
        tool = tools.get(step.call.tool)
        if tool is None and step.call.tool not in document.tools:
            yield (*place, "call", "tool"), f"there is no tool `{step.call.tool}`{nearest(step.call.tool, tools)}"
        elif tool is not None and tool.effects == "handoff":
            yield (*place, "call", "tool"), "end the flow with `end: handoff` instead"
        elif tool is not None:
            for problem in missing_sections(document, tool):
                yield (*place, "call", "tool"), problem
        yield from _step_target(place, "call", "on_error", step.call.on_error, names)
    if step.branch is not None:
        for value, to in step.branch.cases.items():
            yield from _step_target((*place, "branch"), "cases", value, to, names)
        yield from _step_target(place, "branch", "otherwise", step.branch.otherwise, names)
    targets = [*document.agents, HANDOFF, CLOSE]
    if isinstance(step.end, str) and step.end not in targets:
        yield (*place, "end"), _unknown_target(step.end, targets)


def _step_target(place: Location, section: str, key: str, step: str | None, names: list[str]) -> Problems:
    if step is not None and step not in names:
        yield (*place, section, key), f"there is no step `{step}`{nearest(step, names)}"


def _fields(flow: FlowSection) -> Iterator[str]:
    yield "error"
    for step in flow.steps:
        if step.ask is not None:
            yield step.ask.field
        yield from step.set_ or ()
        if step.call is not None and step.call.into is not None:
            yield step.call.into


def _texts(step: StepSection) -> Iterator[tuple[Location, str]]:
    if step.ask is not None:
        yield ("ask", "question"), step.ask.question
        yield ("ask", "error"), step.ask.error or ""
    if step.say is not None:
        yield ("say",), step.say
    for section, values in (("set", step.set_), ("verify", step.verify)):
        for name, text in (values or {}).items():
            yield (section, name), text
    if step.call is not None:
        for name, value in step.call.arguments.items():
            yield from (((("call", "with", name)), text) for text in _strings(value))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def _reachability(where: Location, flow: FlowSection, names: list[str]) -> Problems:
    """Yield the steps that nothing leads to, and the cycles without a question, in which a turn would not end."""
    following = {name: _next(step, name, names) for name, step in zip(names, flow.steps, strict=True)}
    reached = {names[0]}
    while more := {to for name in reached for to in following[name] if to in following} - reached:
        reached |= more
    silent = {name for name, step in zip(names, flow.steps, strict=True) if step.ask is None}
    for number, name in enumerate(names):
        if name not in reached:
            yield (*where, "steps", number), f"nothing leads to the step `{name}`"
        elif name in silent and _loops(name, following, silent):
            yield (*where, "steps", number), f"the step `{name}` leads back to itself without asking anything"


def _next(step: StepSection, name: str, names: list[str]) -> set[str]:
    after = set(names[names.index(name) + 1 :][:1])
    if step.end is not None:
        return set()
    if step.branch is not None:
        return set(step.branch.cases.values()) | ({step.branch.otherwise} if step.branch.otherwise else after)
    if step.call is not None and step.call.on_error:
        return after | {step.call.on_error}
    return after


def _loops(start: str, following: Mapping[str, set[str]], silent: set[str]) -> bool:
    seen: set[str] = set()
    ahead = following[start] & silent
    while ahead:
        if start in ahead:
            return True
        seen |= ahead
        ahead = {to for name in ahead for to in following[name] if to in silent} - seen
    return False


def _unknown_target(name: str, names: Iterable[str]) -> str:
    return f"there is no agent or flow `{name}`{nearest(name, names)}"
