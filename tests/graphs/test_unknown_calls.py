"""Calls that no tool has the name of, and calls without arguments: whole turns, at every provider."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from graphs.llm_client import ModelFailure, Toolbox
from graphs.plain_messages import accepted_name
from graphs.sections import Handoff, Triggers
from tests.graphs.conftest import Start
from tests.graphs.conversation import NAME, interrupts, replies
from tests.graphs.provider_fakes import COMPLETIONS, SYSTEM, Server, answering, at, called, each_provider, put, spec
from tools.registry import BUILTIN

STRANGE = ["functions.request_human", "request_human<|channel|>commentary", "request human", "buscar produto", "é" * 90]
FIND = Toolbox([BUILTIN["find_slots"].declaration()])


def script(name: str) -> str:
    """Call the name, then answer with what the result says."""
    return f"""
name: nomes
match: {NAME}
rules:
  - {{when: {{structured: true}}, json: {{to: duvidas, why: pergunta}}}}
  - {{when: {{result_of: "{accepted_name(name)}"}}, say: "desculpe - {{{{ result }}}}"}}
  - {{when: {{user: "estranho"}}, call: {{name: "{name}", arguments: {{}}}}, times: 1}}
  - say: "eco: {{{{ user }}}}"
"""


@each_provider
@pytest.mark.parametrize("name", STRANGE)
async def test_a_strange_name_spoils_neither_turn_nor_history(
    name: str, provider: str, start: Start, model_server: Server
) -> None:
    await put(model_server, "reset", {})
    await put(model_server, "scripts", script(name))
    talk = start(models=(spec(provider),), handoff=Handoff(triggers=Triggers(tool_failures=1)))
    state = await talk.say("estranho")
    ((_, answered),) = replies(state)
    assert answered.startswith("desculpe - there is no tool")
    assert not interrupts(state)
    assert state["turn"]["tool_failures"] == 0
    for text in ("e agora?", "tudo bem"):
        state = await talk.say(text)
        assert replies(state) == [("assistant", f"eco: {text}")]
    told = next(message for message in state["messages"] if message.type == "tool")
    assert told.text == f"there is no tool {name!r}; yours are: request_human"


@each_provider
async def test_old_checkpoints_with_strange_names_go_on(provider: str, start: Start, model_server: Server) -> None:
    await put(model_server, "reset", {})
    await put(model_server, "scripts", script("outro"))
    old = [HumanMessage("antes"), AIMessage("", tool_calls=[{"name": "a b", "args": {}, "id": None}])]
    state = await start(models=(spec(provider),)).say("oi", before=old)
    ((_, answered),) = replies(state)
    assert answered.startswith("eco: ")


@pytest.mark.parametrize("provider", COMPLETIONS)
@pytest.mark.parametrize("written", ["", " ", "\n", "null", "{}", "[]", " null ", "None", None, {}])
async def test_a_call_without_arguments_is_made(written: Any, provider: str) -> None:
    async with answering(lambda *_: (200, called(written))) as address, at(address) as models:
        message = (await models.answer([spec(provider)], [SYSTEM, HumanMessage("oi")], FIND)).message
    (call,) = message.tool_calls
    assert (call["name"], call["args"]) == ("find_slots", {})


@pytest.mark.parametrize("provider", COMPLETIONS)
async def test_arguments_written_twice_as_json_are_read(provider: str) -> None:
    async with answering(lambda *_: (200, called('"{\\"days\\": 3}"'))) as address, at(address) as models:
        message = (await models.answer([spec(provider)], [SYSTEM, HumanMessage("oi")], FIND)).message
    assert message.tool_calls[0]["args"] == {"days": 3}


@pytest.mark.parametrize("provider", COMPLETIONS)
@pytest.mark.parametrize("written", ["[1]", "5", '"a"', "true", "{", "find_slots()"])
async def test_other_arguments_are_no_usable_answer(written: str, provider: str) -> None:
    usages: list[Any] = []
    async with answering(lambda *_: (200, called(written))) as address, at(address) as models:
        with pytest.raises(ModelFailure) as raised:
            await models.answer([spec(provider)], [SYSTEM, HumanMessage("oi")], FIND, usages.append)
    assert (raised.value.kind, raised.value.retryable) == ("answer", True)
    assert len(usages) == 3
