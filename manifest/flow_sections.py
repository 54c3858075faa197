"""The sections of flows in assistant.yaml."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from graphs.fields import Name, Section, Text
from graphs.sections import Ask, Call
from manifest.yaml_source import Location, YamlDocument


def keep_choices_as_written(source: YamlDocument, values: Any) -> None:
    """Replace choices that YAML reads as numbers, booleans or dates with their texts in the file.

    A choice whose text cannot be told stays what it is, which the schema reports.
    """
    for where, choices in _choices(values):
        for number, choice in enumerate(choices):
            if not isinstance(choice, str) and (text := source.written((*where, number))) is not None:
                choices[number] = text


def _choices(values: Any) -> Iterator[tuple[Location, list[Any]]]:
    flows = values.get("flows") if isinstance(values, dict) else None
    for name, flow in flows.items() if isinstance(flows, dict) else ():
        steps = flow.get("steps") if isinstance(flow, dict) else None
        for number, step in enumerate(steps if isinstance(steps, list) else ()):
            ask = step.get("ask") if isinstance(step, dict) else None
            choices = ask.get("choices") if isinstance(ask, dict) else None
            if isinstance(choices, list):
                yield ("flows", name, "steps", number, "ask", "choices"), choices


class BranchSection(Section):
    """Continues with a step that a field's value chooses."""

    field: Name
    cases: Annotated[dict[str, str], Field(min_length=1, description="Value to the name of a step.")]
    otherwise: Annotated[str | None, Field(description="A step; without it the flow goes on with the next one.")] = None


MOST_STEPS = 40
"""The maximum number of steps in a flow, so that a turn through all of them keeps to the graph's number of steps."""

STEPS = ("ask", "set", "call", "branch", "verify", "say", "end")


class StepSection(Section):
    """One step: exactly one of `ask`, `set`, `call`, `branch`, `verify`, `say`, `end`."""

    name: Annotated[Name | None, Field(description="What other steps call it.")] = None
    ask: Ask | None = None
    set_: Annotated[
        dict[Name, Text] | None, Field(alias="set", description="Fields and their new values; `{field}` is replaced.")
    ] = None
    call: Call | None = None
    branch: BranchSection | None = None
    verify: Annotated[
        dict[Name, Text] | None,
        Field(
            description="Values that tools send as `${verified.name}` for the rest of the conversation, such as "
            '`{customer: "{account.id}"}` after a call that has checked who the contact is. No model can set them.'
        ),
    ] = None
    say: Annotated[Text | None, Field(description="A text; `{field}` is replaced.")] = None
    end: Annotated[
        Literal[True] | str | None, Field(description="`true`, or who goes on: an agent, `handoff` or `close`.")
    ] = None

    @model_validator(mode="after")
    def _one(self) -> "StepSection":
        found = [name for name in STEPS if getattr(self, "set_" if name == "set" else name) is not None]
        if len(found) != 1:
            raise ValueError(f"a step is exactly one of {', '.join(STEPS)}")
        return self


class CancelSection(Section):
    """Words that end a flow. Whoever was in charge before goes on."""

    match: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=100)], ...],
        Field(min_length=1, description="Any of these words or phrases in an answer; case and accents do not matter."),
    ]
    say: Text


class FlowSection(Section):
    """What must not be left to a model: questions whose answers are checked, calls, texts."""

    description: Annotated[str, Field(min_length=1, max_length=500, description="What the router reads.")]
    questions: Annotated[str | None, Field(description="The agent that answers what the contact asks in between.")] = (
        None
    )
    cancel: Annotated[
        CancelSection | None, Field(description="How the contact gets out. Rules to `handoff` and `close` work, too.")
    ] = None
    steps: Annotated[tuple[StepSection, ...], Field(min_length=1, max_length=MOST_STEPS)]
