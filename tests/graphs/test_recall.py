"""The history that models see: short, and always one that a provider takes."""

import random
from collections.abc import Sequence

import pytest
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.graph.message import add_messages

from graphs.nodes.recall import answer_dangling_calls, make_recall, window_start
from graphs.state import State, new_turn
from tests.graphs.conftest import Start
from tests.graphs.conversation import assistant, replies, shape


def human(number: int) -> HumanMessage:
    return HumanMessage(f"pergunta {number}", id=f"h{number}")


def answer(number: int, *calls: str) -> AIMessage:
    asked = [{"name": "find_slots", "args": {}, "id": call} for call in calls]
    return AIMessage("" if calls else f"resposta {number}", id=f"a{number}", tool_calls=asked)


def result(call: str) -> ToolMessage:
    return ToolMessage("{}", tool_call_id=call, name="find_slots", id=f"result-{call}")


def history(seed: int) -> list[BaseMessage]:
    """Some turns, each with no, one or several rounds of tools, and then a new message of the contact."""
    chance = random.Random(seed)
    messages: list[BaseMessage] = []
    for number in range(chance.randrange(8)):
        messages += [human(number * 10 + extra) for extra in range(chance.choice([1, 1, 2]))]
        for round_ in range(chance.choice([0, 0, 1, 3])):
            calls = [f"c{number}.{round_}.{call}" for call in range(chance.choice([1, 2]))]
            messages += [answer(number * 10 + round_, *calls), *map(result, calls)]
        messages.append(answer(number * 10 + 9))
    return [*messages, human(1000)]


async def recalled(messages: Sequence[BaseMessage], window: int = 12) -> list[AnyMessage]:
    """The history after the node, through the state's own reducer."""
    state = State(messages=list(messages), agent=None, flow=None, turn=new_turn(said="oi"))  # type: ignore[arg-type]
    update = await make_recall(assistant(window=window))(state)
    return add_messages(list(messages), list(update.get("messages", [])))  # type: ignore[arg-type, return-value]


def assert_valid(messages: Sequence[BaseMessage]) -> None:
    """Every call is answered right behind it, and no result stands alone, as all providers demand."""
    waiting: set[str | None] = set()
    for message in messages:
        if isinstance(message, ToolMessage):
            assert message.tool_call_id in waiting, f"a result without its call in {shape(messages)}"
            waiting.discard(message.tool_call_id)
            continue
        assert not waiting, f"a call without its result in {shape(messages)}"
        if isinstance(message, AIMessage):
            waiting = {call["id"] for call in message.tool_calls}
    assert not waiting, f"a call without its result in {shape(messages)}"


@pytest.mark.parametrize("window", [2, 3, 4, 7, 12])
async def test_the_window_never_parts_a_call_from_its_result(window: int) -> None:
    for seed in range(150):
        messages = history(seed)
        kept = await recalled(messages, window)
        assert_valid(kept)
        assert len(kept) <= window
        assert kept == messages[len(messages) - len(kept) :]
        assert isinstance(kept[0], HumanMessage)


def test_a_short_history_is_left_alone() -> None:
    messages = [human(1), answer(1, "c"), result("c"), answer(2)]
    assert window_start(messages, 4) == 0
    assert answer_dangling_calls(messages) is None


def test_the_window_begins_with_a_message_of_the_contact() -> None:
    messages = [human(1), answer(1, "c"), result("c"), answer(2), human(2), answer(3)]
    assert window_start(messages, 5) == 4
    assert window_start(messages, 2) == 4


async def test_nothing_is_written_when_nothing_has_to_change() -> None:
    state = State(messages=[human(1)], agent=None, flow=None, turn=new_turn(said="oi"))
    assert await make_recall(assistant())(state) == {}


@pytest.mark.parametrize(
    "messages",
    [
        [human(1), answer(1, "lost"), human(2)],
        [human(1), answer(1, "kept", "lost"), result("kept"), human(2)],
        [human(1), answer(1, "lost", "kept"), result("kept"), human(2)],
        [human(1), answer(1, "lost"), human(2), answer(2, "kept"), result("kept"), answer(3), human(3)],
        [human(1), answer(1, "lost"), human(2), answer(2, "gone"), human(3)],
    ],
)
async def test_a_call_without_a_result_is_answered_where_it_stands(messages: list[BaseMessage]) -> None:
    kept = await recalled(messages)
    assert_valid(kept)
    assert [m for m in kept if m in messages] == messages
    (unknown, *_) = [m for m in kept if m not in messages]
    assert isinstance(unknown, ToolMessage)
    assert "not known" in unknown.text


async def test_a_repair_survives_the_next_turns() -> None:
    kept = await recalled([human(1), answer(1, "lost"), human(2)])
    again = await recalled([*kept, answer(2), human(3)])
    assert_valid(again)
    assert shape(again) == ["h", "a", "t", "h", "a", "h"]


async def test_a_repair_and_the_window_go_together() -> None:
    messages = [human(1), answer(1, "old"), human(2), answer(2, "lost"), human(3)]
    kept = await recalled(messages, window=3)
    assert_valid(kept)
    assert [m.id for m in kept if isinstance(m, HumanMessage)] == ["h2", "h3"]


async def test_a_conversation_whose_tools_were_lost_is_answered_again(start: Start) -> None:
    """A turn given up between call and result: the provider would refuse such a history for ever."""
    talk = start()
    state = await talk.say("bom dia", before=[human(1), answer(1, "lost")])
    assert replies(state) == [("assistant", "eco: bom dia")]
    state = await talk.say("boa tarde")
    assert replies(state) == [("assistant", "eco: boa tarde")]


async def test_the_model_sees_no_more_than_the_window(start: Start) -> None:
    talk = start(window=4)
    for number in range(6):
        state = await talk.say(f"pergunta {number}")
    assert len(state["messages"]) <= 5
    (*_, last) = [request for request in await talk.asked() if not request["structured"]]
    spoken = [(message["role"], message["text"]) for message in last["messages"] if message["role"] != "system"]
    assert spoken == [("user", "pergunta 4"), ("assistant", "eco: pergunta 4"), ("user", "pergunta 5")]


async def test_the_window_never_cuts_what_the_contact_has_just_said(start: Start) -> None:
    """Cut off, a message would count as answered though no model has read it."""
    talk = start(window=2)
    await talk.say("oi")
    state = await talk.say("um", "dois", "três", "quatro")
    ((_, answer),) = replies(state)
    assert answer.endswith("um\ndois\ntrês\nquatro")
