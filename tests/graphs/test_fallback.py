"""One provider takes over from another: whatever goes wrong, at every step of a turn, with the history as it is."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import cycle, permutations
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from graphs.circuit_breaker import FAILURES, LocalBreaker
from graphs.llm_client import PATIENCE, TRIES, ModelFailure, Models, Toolbox, priced
from graphs.nodes.call_model import with_fresh_ids
from graphs.providers import PROVIDERS
from graphs.sections import Price
from graphs.state import Usage
from tests.graphs.conversation import NAME, GraphConversation, assistant, compiled, replies
from tests.graphs.provider_fakes import (
    SYSTEM,
    TOOLS,
    ClosedBreaker,
    RecordedSleeps,
    Server,
    access,
    asked,
    at,
    each_provider,
    put,
    spec,
)
from tests.platform import SimulatorUrls

DIRECTIONS = list(permutations(PROVIDERS, 2))
each_direction = pytest.mark.parametrize(("first", "second"), DIRECTIONS)
FAULTS: tuple[int | str, ...] = (400, 401, 404, 413, 429, 500, "timeout", "drop", "garbage", "empty", "bad_args")
HUMAN = HumanMessage("oi")


def script(*failing: str) -> str:
    """Three tools, one after another, and then words; before that, what fails."""
    return f"""
name: passos
match: {NAME}
rules:
{"".join(f"  - {rule}{chr(10)}" for rule in failing)}
  - {{when: {{tool: one, user: "três"}}, say: "um momento", call: {{name: one, arguments: {{}}}}}}
  - {{when: {{result_of: one}}, call: [{{name: two, arguments: {{n: 1}}}}, {{name: two, arguments: {{n: 2}}}}]}}
  - {{when: {{result_of: two}}, call: {{name: three, arguments: {{}}}}}}
  - {{when: {{result_of: three}}, say: "feito"}}
  - {{when: {{structured: true}}, json: {{to: agenda, why: marcar}}}}
  - {{when: {{result_of: book_slot}}, say: "marcado para {{{{ result.patient }}}}"}}
  - {{when: {{result_of: find_slots}}, call: {{name: book_slot, arguments: {{slot_id: a, patient: Ana}}}}}}
  - {{when: {{tool: find_slots, user: "marcar"}}, call: {{name: find_slots, arguments: {{}}}}}}
  - say: "eco: {{{{ user }}}}"
"""


def fails(provider: str, fault: int | str, **when: Any) -> str:
    return str({"when": {"provider": provider, **when}, "fail": fault})


def declared(name: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"n": {"type": "integer"}}}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


THREE = Toolbox([declared(name) for name in ("one", "two", "three")])


@pytest.fixture(scope="module")
async def clients(simulators: SimulatorUrls) -> AsyncIterator[Models]:
    """Clients of all providers, at the simulator: they take long to build."""
    async with at(simulators.model) as models:
        yield models


@pytest.fixture
async def model_server(model_server: Server) -> Server:
    """The simulator, where nothing fails yet."""
    await put(model_server, "reset", {})
    await put(model_server, "scripts", script())
    return model_server


@pytest.fixture
def model(clients: Models, model_server: Server) -> Models:
    """The clients, and what they talk to."""
    return clients


@pytest.fixture
def naps(model: Models) -> RecordedSleeps:
    """The waits of the test."""
    model.sleep = naps = RecordedSleeps()
    return naps


async def providers_asked(server: Server) -> list[str]:
    return [request["provider"] for request in await asked(server)]


@each_direction
async def test_after_any_fault_the_fallback_answers_at_once(
    first: str, second: str, model: Models, model_server: Server, naps: RecordedSleeps
) -> None:
    rules = [fails(first, fault, user=f"^fault {fault}$") for fault in FAULTS]
    bad_call = str({"when": {"provider": first, "user": "^fault bad_args$"}, "call": {"name": "x", "arguments": {}}})
    rules[-1] = bad_call[:-1] + ", 'fail': 'bad_args'}"
    await put(model_server, "scripts", script(*rules))
    for fault in FAULTS:
        # Only the fault that takes for ever may meet the time limit, however busy the machine is.
        specs = [spec(first, 0.3 if fault == "timeout" else 10.0), spec(second)]
        answer = await model.answer(specs, [SYSTEM, HumanMessage(f"fault {fault}")], TOOLS)
        assert answer.message.text == f"eco: fault {fault}"
        assert answer.usage["model"] == f"{second}/test-model"
    assert naps.taken == []
    tries = Counter(
        (request["provider"], request["messages"][-1]["text"].removeprefix("fault "))
        for request in await asked(model_server)
    )
    assert {fault: tries[second, str(fault)] for fault in FAULTS} == dict.fromkeys(FAULTS, 1)
    stumbles = {500, "drop", "garbage", "empty", "bad_args"}
    assert {fault for fault in FAULTS if tries[first, str(fault)] == 2} == stumbles


async def three_tools(model: Models, specs_at: Iterator[list[Any]]) -> tuple[list[BaseMessage], list[str]]:
    """An agent's turn: asks, runs what is called, asks again. The history, and who answered."""
    messages: list[BaseMessage] = [SYSTEM, HumanMessage("oi"), AIMessage("olá"), HumanMessage("faça três")]
    answered_by = []
    for specs in specs_at:
        answer = await model.answer(specs, messages, THREE)
        answered_by.append(str(answer.usage["model"]).split("/")[0])
        message = with_fresh_ids(answer.message, messages)
        messages.append(message)
        if not message.tool_calls:
            break
        messages += [ToolMessage('{"ok": true}', tool_call_id=c["id"], name=c["name"]) for c in message.tool_calls]
    return messages, answered_by


@each_direction
@pytest.mark.parametrize("step", ["one", "two", "three", "words"])
async def test_a_provider_is_replaced_in_the_middle_of_a_turn(
    first: str, second: str, step: str, model: Models, model_server: Server
) -> None:
    steps: dict[str, dict[str, Any]] = {
        "one": {"tool": "one", "user": "três"},
        "two": {"result_of": "one"},
        "three": {"result_of": "two"},
        "words": {"result_of": "three"},
    }
    await put(model_server, "scripts", script(fails(first, 503, **steps[step])))
    specs = [spec(first), spec(second)]
    messages, answered_by = await three_tools(model, iter([specs] * 10))
    assert answered_by == [second if name == step else first for name in steps]
    calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    assert [call["name"] for call in calls] == ["one", "two", "two", "three"]
    assert len({call["id"] for call in calls}) == 4
    assert messages[-1].text == "feito"


async def test_a_turn_goes_on_when_every_step_is_another_providers(model: Models) -> None:
    for order in permutations(PROVIDERS):
        messages, answered_by = await three_tools(model, iter([[spec(name)] for name in (*order, order[0])]))
        assert answered_by == [*order, order[0]]
        assert messages[-1].text == "feito"


@each_direction
@pytest.mark.parametrize("step", [{"structured": True}, {"tool": "find_slots"}, {"result_of": "find_slots"}, {}])
async def test_a_graphs_turn_survives_its_provider_and_books_once(
    first: str, second: str, step: dict[str, Any], model: Models, model_server: Server
) -> None:
    await put(model_server, "scripts", script(fails(first, 401, **(step or {"result_of": "book_slot"}))))
    graph = compiled(assistant(models=(spec(first), spec(second))))
    talk = GraphConversation(graph, model, *model_server)
    state = await talk.say("quero marcar")
    assert replies(state) == [("assistant", "marcado para Ana")]
    assert talk.calendar.booked == {"a": "Ana"}
    assert {usage["model"] for usage in state["turn"]["usage"]} == {f"{first}/test-model", f"{second}/test-model"}


async def test_an_agents_own_models_go_before_the_assistants(model: Models, model_server: Server) -> None:
    whole = assistant(models=(spec("openai"),))
    agents = {name: replace(agent, models=(spec("groq"),)) for name, agent in whole.agents.items()}
    talk = GraphConversation(compiled(replace(whole, agents=agents)), model, *model_server)
    state = await talk.say("bom dia")
    assert [usage["model"] for usage in state["turn"]["usage"]] == ["openai/test-model", "groq/test-model"]


async def test_when_all_fail_the_reasons_of_all_are_told(
    model: Models, model_server: Server, naps: RecordedSleeps
) -> None:
    statuses = dict(zip(PROVIDERS, cycle((401, 503, 429))))
    await put(model_server, "scripts", script(*(fails(name, status) for name, status in statuses.items())))
    with pytest.raises(ModelFailure) as raised:
        await model.answer([spec(name) for name in PROVIDERS], [SYSTEM, HUMAN], TOOLS)
    reasons = str(raised.value).split("; ")
    assert [reason.split("/")[0] for reason in reasons] == list(PROVIDERS)
    assert [status for status in (401, 503, 429) if str(status) in str(raised.value)] == [401, 503, 429]
    assert (raised.value.retryable, raised.value.retry_after) == (True, 1.0)
    tries = await providers_asked(model_server)
    assert {name: tries.count(name) for name in PROVIDERS} == {
        name: 1 if status == 401 else TRIES for name, status in statuses.items()
    }
    assert sum(naps.taken) < 5


async def test_nobody_is_asked_again_when_it_has_taken_too_long(model_server: Server) -> None:
    await put(model_server, "scripts", script(fails("openai", 503), fails("groq", 503)))
    moments = iter(range(0, 100_000, int(PATIENCE) + 1))
    async with at(model_server[1], clock=lambda: next(moments)) as models:
        with pytest.raises(ModelFailure):
            await models.answer([spec("openai"), spec("groq")], [SYSTEM, HUMAN], TOOLS)
    assert await providers_asked(model_server) == ["openai", "openai", "groq", "groq"]


async def test_a_model_without_a_key_and_no_model_at_all(model_server: Server) -> None:
    models = Models({"groq": access(model_server[1])["groq"]})
    answer = await models.answer([spec("openai"), spec("groq")], [SYSTEM, HUMAN], TOOLS)
    assert answer.usage["model"] == "groq/test-model"
    with pytest.raises(ModelFailure, match="no model to ask"):
        await models.answer([], [SYSTEM, HUMAN], TOOLS)
    await models.close()


# With a breaker.


async def test_a_provider_that_is_down_is_skipped_until_it_answers(model_server: Server) -> None:
    await put(model_server, "scripts", script(fails("openai", 503)))
    now = [0.0]
    specs = [spec("openai"), spec("groq")]
    async with at(model_server[1], breaker=LocalBreaker(lambda: now[0])) as models:
        for _ in range(FAILURES):
            await models.answer(specs, [SYSTEM, HUMAN], TOOLS)
        before = (await providers_asked(model_server)).count("openai")
        assert before <= FAILURES + 1
        await models.answer(specs, [SYSTEM, HUMAN], TOOLS)
        assert (await providers_asked(model_server)).count("openai") == before
        await put(model_server, "scripts", script())
        now[0] = 1_000.0
        answer = await models.answer(specs, [SYSTEM, HUMAN], TOOLS)
        assert answer.usage["model"] == "openai/test-model"


async def test_a_skipped_provider_is_the_last_resort(model_server: Server) -> None:
    breaker = LocalBreaker(lambda: 0.0)
    for _ in range(FAILURES):
        await breaker.failed("openai")
    await put(model_server, "scripts", script(fails("groq", 401)))
    async with at(model_server[1], breaker=breaker) as models:
        answer = await models.answer([spec("openai"), spec("groq")], [SYSTEM, HUMAN], TOOLS)
        assert answer.usage["model"] == "openai/test-model"
    assert await providers_asked(model_server) == ["groq", "openai"]


async def test_the_only_provider_is_asked_once_though_it_rests(model_server: Server) -> None:
    breaker = LocalBreaker(lambda: 0.0)
    for _ in range(FAILURES):
        await breaker.failed("openai")
    await put(model_server, "scripts", script(fails("openai", 503)))
    async with at(model_server[1], breaker=breaker) as models:
        with pytest.raises(ModelFailure):
            await models.answer([spec("openai")], [SYSTEM, HUMAN], TOOLS)
    assert await providers_asked(model_server) == ["openai"]


@each_provider
async def test_the_breaker_hears_what_speaks_against_the_provider_only(provider: str, model_server: Server) -> None:
    sick: list[int | str] = [401, 429, 500, 503, "drop", "garbage"]
    well: list[int | str] = [400, 403, 404, 413, "empty"]
    rules = [fails(provider, fault, user=f"^fault {fault}$") for fault in [*sick, *well, "timeout"]]
    await put(model_server, "scripts", script(*rules))
    for fault in [*sick, *well]:
        breaker = ClosedBreaker()
        async with at(model_server[1], breaker=breaker) as models:
            with pytest.raises(ModelFailure):
                await models.answer([spec(provider)], [SYSTEM, HumanMessage(f"fault {fault}")], TOOLS)
        assert set(breaker.calls) == {f"{provider} {'failed' if fault in sick else 'succeeded'}"}, fault
    breaker = ClosedBreaker()
    async with at(model_server[1], breaker=breaker) as models:
        with pytest.raises(ModelFailure):
            await models.answer([spec(provider, 0.1)], [SYSTEM, HumanMessage("fault timeout")], TOOLS)
    assert breaker.calls == []


# Prices.

PRICES = {
    "openai/m": Price(input=Decimal("0.15"), output=Decimal("0.60")),
    "groq/m": Price(input=Decimal(1), output=Decimal(2), currency="BRL"),
}


def test_a_call_costs_what_the_model_that_answered_costs() -> None:
    costs = [
        priced(Usage(model=model, input_tokens=asked, output_tokens=given), PRICES, "agenda").get("cost")
        for model, asked, given in [
            ("openai/m", 1_000, 200),
            ("groq/m", 1, 0),
            ("openai/m", 0, 0),
            ("openai/m", None, None),
            ("google/m", 10, 10),
        ]
    ]
    assert costs == ["0.00027 USD", "0.000001 BRL", "0 USD", None, None]
    assert priced(Usage(model="x/y", input_tokens=1, output_tokens=1), {}, None).get("agent") is None
