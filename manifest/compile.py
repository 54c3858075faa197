"""Compile a valid manifest to the config that graphs are built from."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from graphs.config import Agent, Assign, Assistant, Branch, Calendar, Csat, End, Flow, FlowStep, Lifecycle, Say, Verify
from graphs.rules import Rule
from graphs.sections import Ask, Call, Hours, ModelSpec
from manifest.compile_tools import ResolvedTool, ToolProblem, make_tool, mcp_server, resolve_tool
from manifest.flow_sections import FlowSection, StepSection
from manifest.knowledge import SUFFIXES
from manifest.schema import AgentSection, Manifest
from manifest.yaml_source import Location
from tools.base import Tool
from tools.builtin import remember_fact
from tools.kinds.openapi_document import Documents
from tools.registry import BUILTIN


def resolve_tools(
    document: Manifest, files: Mapping[str, str], documents: Documents
) -> tuple[dict[str, ResolvedTool], list[tuple[Location, str]]]:
    """Read and check what the tools of the manifest refer to. Return the results, and the problems.

    `documents` are the OpenAPI documents of the files. They note which parts the tools use.
    """
    resolved: dict[str, ResolvedTool] = {}
    problems: list[tuple[Location, str]] = []
    for name, section in document.tools.items():
        try:
            resolved[name] = resolve_tool(section, files, documents)
        except ToolProblem as problem:
            problems.append((("tools", name, *problem.location), problem.message))
    return resolved, problems


def tools_of(
    document: Manifest, resolved: Mapping[str, ResolvedTool]
) -> tuple[dict[str, Tool], list[tuple[Location, str]]]:
    """Return the built-in tools and the resolved ones of the manifest, and the problems of the latter."""
    tools, problems = dict(BUILTIN), []
    for name, server in document.mcp.items():
        try:
            mcp_server(server)
        except ToolProblem as problem:
            problems.append((("mcp", name, *problem.location), str(problem)))
    for name, tool in resolved.items():
        try:
            tools[name] = make_tool(name, document.tools[name], document.mcp, tool)
        except ToolProblem as problem:
            problems.append((("tools", name, *problem.location), problem.message))
    return tools, problems


def compile_assistant(document: Manifest, files: Mapping[str, str], tools: Mapping[str, Tool]) -> Assistant:
    """Return the assistant. The manifest must have been validated."""
    return Assistant(
        name=document.name,
        language=document.language,
        timezone=ZoneInfo(document.timezone),
        models=(document.models.default, *document.models.fallbacks),
        agents={name: _agent(document, name, agent, files) for name, agent in document.agents.items()},
        apology=document.apology,
        rules=document.routing.rules,
        otherwise=document.routing.otherwise,
        sticky=document.routing.sticky,
        hours=document.hours or Hours(),
        tools=tools,
        flows={name: _flow(document, name, flow) for name, flow in document.flows.items()},
        prices=document.models.prices,
        handoff=document.handoff,
        approvals=document.approvals,
        lifecycle=_lifecycle(document),
        window=document.memory.window,
        facts=document.memory.facts,
        knowledge=knowledge_of(document, files),
        limits=document.limits,
        calendars=tuple(
            Calendar(name, calendar.days, *calendar.hours, calendar.slot)
            for name, calendar in document.calendars.items()
        ),
    )


def _agent(document: Manifest, name: str, agent: AgentSection, files: Mapping[str, str]) -> Agent:
    models: tuple[ModelSpec, ...] = ()
    if agent.model is not None or agent.fallbacks is not None:
        fallbacks = document.models.fallbacks if agent.fallbacks is None else agent.fallbacks
        models = (agent.model or document.models.default, *fallbacks)
    tools = dict.fromkeys([*agent.tools, *([remember_fact.TOOL.name] if document.memory.facts else [])])
    transfers = transfers_of(document, name)
    return Agent(name, agent.description, files[agent.prompt], tuple(tools), models, transfers, agent.language)


def transfers_of(document: Manifest, name: str) -> tuple[str, ...]:
    """Return the targets that an agent may transfer to: by default every other agent, if routing is sticky."""
    named = document.agents[name].transfers
    if named is not None:
        return named
    return tuple(other for other in document.agents if other != name) if document.routing.sticky else ()


def knowledge_of(document: Manifest, files: Mapping[str, str]) -> tuple[str, ...]:
    """Return the files that the manifest's patterns name."""
    named = (name for pattern in document.knowledge for name in sorted(files) if matches(pattern, name))
    return tuple(dict.fromkeys(named))


def matches(pattern: str, name: str) -> bool:
    """Return whether a pattern of `knowledge` names a file."""
    return name.endswith(SUFFIXES) and fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")


def _lifecycle(document: Manifest) -> Lifecycle:
    section = document.lifecycle
    cap = section.debounce * 5 if section.debounce_cap is None else section.debounce_cap
    csat = Csat(section.csat_question or "", section.csat_thanks) if section.csat else None
    return Lifecycle(
        debounce=section.debounce,
        debounce_cap=max(cap, section.debounce),
        idle=section.idle,
        idle_message=section.idle_message,
        expire=section.expire,
        goodbye=section.goodbye,
        csat=csat,
        while_running=section.while_running,
    )


def _flow(document: Manifest, name: str, flow: FlowSection) -> Flow:
    steps = tuple(FlowStep(step_name(step, number), _action(step)) for number, step in enumerate(flow.steps, 1))
    cancel = Rule(to=name, match=flow.cancel.match) if flow.cancel else None
    cancelled = flow.cancel.say if flow.cancel else ""
    return Flow(name, flow.description, steps, flow.questions, document.language, cancel, cancelled)


def step_name(step: StepSection, number: int) -> str:
    """Return the name of a step: its `name`, else the field it asks for, else its number."""
    return step.name or (step.ask.field if step.ask else f"step{number}")


def _action(step: StepSection) -> Ask | Assign | Call | Branch | Verify | Say | End:
    if step.ask is not None:
        return step.ask
    if step.set_ is not None:
        return Assign(step.set_)
    if step.verify is not None:
        return Verify(step.verify)
    if step.call is not None:
        return step.call
    if step.branch is not None:
        cases = tuple((step.branch.field, value, to) for value, to in step.branch.cases.items())
        return Branch(cases, step.branch.otherwise)
    if step.say is not None:
        return Say(step.say)
    return End(step.end if isinstance(step.end, str) else None)
