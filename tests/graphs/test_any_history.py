"""Histories of every kind, made up at random but the same in each run, at simulators as strict as providers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from graphs.history import SIGNATURES
from graphs.llm_client import Models
from graphs.plain_messages import ACCEPTED_NAME, accepted_name
from tests.graphs.conversation import NAME
from tests.graphs.provider_fakes import SYSTEM, TOOLS, Server, at, each_provider, put, spec
from tests.platform import SimulatorUrls

SCRIPT = f"""
name: qualquer
match: {NAME}
rules:
  - say: "ouvi"
"""
generated = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

WORDS = st.sampled_from(
    ["oi", "", " \n", "[operator] já vejo", "NaN", '{"a": NaN}', "[" * 200, "null", "ção 😀", "x" * 9_000]
)
BLOCKS: list[Any] = [
    "solto",
    {"type": "text", "text": "parte"},
    {"type": "text", "text": ""},
    {"type": "thinking", "thinking": "hm", "signature": "YQ=="},
    {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
    {"type": "tool_use", "id": "a", "name": "f", "input": {}},
    {"type": "text", "text": "assinado", "extras": {"signature": "YQ=="}},
]
CONTENTS = WORDS | st.lists(st.sampled_from(BLOCKS), max_size=3)
NAMES = st.sampled_from(
    [
        *(
            "find_slots",
            "functions.request_human",
            "request_human<|channel|>commentary",
            "request human",
            "buscar produto",
        ),
        *("", " ", "ação", "1st", "-x", "a" * 300, "transfer", "find_slots\n", "名前", "a.b:c/d"),
    ]
)
IDS = st.sampled_from(["a", "b", "call_1", "", "with space/", "x" * 80, None, "None"])
DEEP: dict[str, Any] = {}
for _ in range(150):
    DEEP = {"a": [DEEP]}
ARGUMENTS = st.sampled_from(
    [{}, {"days": 3}, {"days": float("nan")}, {"a": [float("inf")]}, DEEP, {"": None}, {"a" * 80: "é"}]
)
CALLS = st.builds(lambda name, args, identity: {"name": name, "args": args, "id": identity}, NAMES, ARGUMENTS, IDS)


def answer(content: Any, calls: list[Any], broken: bool, odd: Any, writer: str | None) -> AIMessage:
    """A model's message, as checkpoints hold them: also with fields that no validation has seen."""
    metadata = {} if writer is None else {"model": writer}
    message = AIMessage(
        content, tool_calls=calls, response_metadata=metadata, additional_kwargs={SIGNATURES: {"a": "YQ=="}}
    )
    if broken:
        invalid = [{"name": "find_slots", "args": "{", "id": "c", "error": "x", "type": "invalid_tool_call"}]
        message = message.model_copy(update={"invalid_tool_calls": invalid, "name": "Ana Maria"})
    if odd is not None:
        message = message.model_copy(update={"tool_calls": [{"name": "find_slots", "args": odd, "id": "a"}]})
    return message


MESSAGES: st.SearchStrategy[BaseMessage] = st.one_of(
    st.builds(HumanMessage, CONTENTS),
    st.builds(lambda text, name: HumanMessage(text, name=name), WORDS, NAMES),
    st.builds(SystemMessage, CONTENTS),
    st.builds(
        answer,
        CONTENTS,
        st.lists(CALLS, max_size=3),
        st.booleans(),
        st.sampled_from([None, None, None, [1], "a", 5]),
        st.sampled_from([None, "google/test-model", "openai/test-model"]),
    ),
    st.builds(
        lambda text, identity, name: ToolMessage(text, tool_call_id=str(identity), name=name),
        CONTENTS,
        IDS,
        NAMES | st.none(),
    ),
    st.builds(lambda text: FunctionMessage(content=text, name="f"), WORDS),
    st.builds(
        lambda text, role: ChatMessage(content=text, role=role),
        WORDS,
        st.sampled_from(["user", "assistant", "system", "x"]),
    ),
)


@pytest.fixture(scope="module")
async def any_models(simulators: SimulatorUrls) -> AsyncIterator[Models]:
    """Clients of all providers: they take long to build."""
    async with at(simulators.model) as models:
        yield models


@pytest.fixture
async def listener(any_models: Models, model_server: Server) -> Models:
    """The clients, at a simulator that answers everything that a provider would."""
    await put(model_server, "reset", {})
    await put(model_server, "scripts", SCRIPT)
    return any_models


@each_provider
@generated
@given(history=st.lists(MESSAGES, max_size=8))
async def test_any_history_is_accepted(provider: str, history: list[BaseMessage], listener: Models) -> None:
    said = (await listener.answer([spec(provider)], [SYSTEM, *history], TOOLS)).message
    assert said.text == "ouvi"


@generated
@given(name=st.text(max_size=100))
def test_any_name_becomes_one_that_all_providers_accept(name: str) -> None:
    mended = accepted_name(name)
    assert ACCEPTED_NAME.fullmatch(mended)
    assert accepted_name(mended) == mended
