"""`recado studio`: LangGraph's own server on the tenants' conversations, by the requests of Studio's page."""

import importlib.util
import signal
from pathlib import Path
from typing import Any

import pytest

from devkit.studio.threads import Threads, latest
from tests.app.turns.drivers import ask, drain, replies_to
from tests.devkit.studio_server import studio
from tests.platform import TENANT, Platform

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("langgraph_api") is None, reason="needs Studio's server: `uv sync --group studio`"
    ),
    pytest.mark.timeout(180),
]

EFFECTS = """
    select (select count(*) from appointments) as appointments, (select count(*) from tool_calls) as tool_calls,
        (select count(*) from outbox) as replies, (select count(*) from turns) as turns,
        (select count(*) from inbox) as inbox
"""
CHECKPOINTS = "select checkpoint_id from checkpoints where thread_id = %(id)s"


async def conversation(platform: Platform, text: str = "oi") -> str:
    """A conversation of one turn."""
    await ask(platform, text)
    row = await platform.row("select id from conversations")
    return str(row["id"])


def said(state: dict[str, Any]) -> list[str]:
    """What a state's messages say."""
    return [each["content"] for each in state["values"].get("messages", [])]


def message(text: str) -> dict[str, Any]:
    """A contact's message, as Studio's page sends it."""
    return {"messages": [{"role": "user", "content": text}]}


async def model_calls(platform: Platform) -> int:
    """How often the simulated model was asked."""
    async with platform.http.get(f"{platform.servers.model}/control/requests") as answer:
        return int((await answer.json())["last"])


async def test_a_conversation_is_listed_and_opened(platform: Platform, tmp_path: Path) -> None:
    thread_id = await conversation(platform)
    async with studio(platform, tmp_path) as running:
        (found,) = await running.threads()
        state = await running.call("GET", f"/threads/{thread_id}/state")
        history = await running.call("POST", f"/threads/{thread_id}/history", limit=10)
    assert (found["thread_id"], found["metadata"]["graph_id"]) == (thread_id, TENANT)
    assert (found["metadata"]["contact"], found["metadata"]["status"]) == ("Ana Pérez", "bot")
    assert said(state) == said(history[0]) == ["oi", "eco: oi"]
    assert f"https://smith.langchain.com/studio/?baseUrl={running.http.base_url}".rstrip("/") in running.printed


async def test_a_run_on_a_conversation_asks_no_model(platform: Platform, tmp_path: Path) -> None:
    thread_id = await conversation(platform)
    checkpoints, asked = await platform.rows(CHECKPOINTS, id=thread_id), await model_calls(platform)
    async with studio(platform, tmp_path) as running:
        state = await running.call("GET", f"/threads/{thread_id}/state")
        asks = {"assistant_id": TENANT, "input": message("inventada"), "checkpoint": state["checkpoint"]}
        ended = await running.call("POST", f"/threads/{thread_id}/runs/wait", **asks)
        edited = await running.http.post(f"/threads/{thread_id}/state", json={"values": message("inventada")})
        thread = await running.call("GET", f"/threads/{thread_id}")
    assert await model_calls(platform) == asked
    assert f"`recado studio fork {thread_id}`" in ended["__error__"]["message"]
    assert (edited.status_code, f"`recado studio fork {thread_id}`" in edited.text) == (400, True)
    assert "inventada" not in str(thread), "the server keeps a copy of what a run reaches"
    assert await platform.rows(CHECKPOINTS, id=thread_id) == checkpoints


async def test_a_fork_is_edited_and_run_from_a_checkpoint(platform: Platform, tmp_path: Path) -> None:
    thread_id = await conversation(platform)
    effects = await platform.row(EFFECTS)
    async with studio(platform, tmp_path) as running:
        fork = (await running.call("POST", f"/threads/{thread_id}/copy"))["thread_id"]
        start = (await running.call("GET", f"/threads/{fork}/state"))["checkpoint"]
        edit = {"values": message("editada"), "as_node": "recall", "checkpoint": start}
        await running.call("POST", f"/threads/{fork}/state", **edit)
        assert said(await running.call("GET", f"/threads/{fork}/state")) == ["oi", "eco: oi", "editada"]
        for text in ("primeira", "segunda"):
            asks = {"assistant_id": TENANT, "input": message(text), "checkpoint": start, "stream_mode": ["values"]}
            streamed = await running.http.post(f"/threads/{fork}/runs/stream", json=asks)
            assert "event: error" not in streamed.text
            state = await running.call("GET", f"/threads/{fork}/state")
            assert said(state) == ["oi", "eco: oi", text, f"eco: {text}"]
        history = await running.call("POST", f"/threads/{fork}/history", limit=100)
        original = await running.call("GET", f"/threads/{thread_id}/state")
    assert {tuple(said(each)[2:3]) for each in history} >= {("editada",), ("primeira",), ("segunda",)}
    assert said(original) == ["oi", "eco: oi"]
    await drain(platform)
    assert await platform.row(EFFECTS) == effects
    assert await platform.delivered() == ["eco: oi"]


async def test_what_was_used_last_comes_first(platform: Platform, tmp_path: Path) -> None:
    thread_id = await conversation(platform)
    async with studio(platform, tmp_path) as running:
        with Threads(str(running.http.base_url)) as threads:
            threads.show(await latest(platform.system))
            fork = (await running.call("POST", f"/threads/{thread_id}/copy"))["thread_id"]
            threads.show(await latest(platform.system))
            assert [each["thread_id"] for each in await running.threads()] == [fork, thread_id]
            await ask(platform, "de novo")
            threads.show(await latest(platform.system))
            assert [each["thread_id"] for each in await running.threads()] == [thread_id, fork]


async def test_commands_open_fork_and_replay(platform: Platform, tmp_path: Path) -> None:
    thread_id = await conversation(platform)
    effects = await platform.row(EFFECTS)
    async with studio(platform, tmp_path) as running:
        page = f"https://smith.langchain.com/studio/thread/{{}}?baseUrl=http://127.0.0.1:{running.port}"
        opened = [f"{TENANT}: Ana Pérez, bot", f"thread {thread_id}", page.format(thread_id)]
        assert await running.command("open", thread_id) == opened
        forked, forks_page = await running.command("fork", thread_id)
        fork = forked.removeprefix("thread ")
        assert forks_page == page.format(fork)
        assert said(await running.call("GET", f"/threads/{fork}/state")) == ["oi", "eco: oi"]
        assert (await running.call("GET", f"/threads/{fork}"))["metadata"]["fork_of"] == thread_id
        reply, replayed, replays_page = await running.command("replay", thread_id)
        replay = replayed.removeprefix("thread ")
        assert (reply, replays_page) == ("assistant: eco: oi", page.format(replay))
        assert said(await running.call("GET", f"/threads/{replay}/state")) == ["oi", "eco: oi"]
    assert await platform.row(EFFECTS) == effects


async def test_a_replay_says_that_it_waits(platform: Platform, tmp_path: Path) -> None:
    await replies_to(platform, "socorro")
    row = await platform.row("select id from conversations")
    async with studio(platform, tmp_path) as running:
        *_, waits, _, _ = await running.command("replay", str(row["id"]))
    assert waits == "waits for an operator: handoff"
    assert len(await platform.rows("select id from interrupts")) == 1


async def test_a_restart_keeps_forks_and_no_others_threads(platform: Platform, tmp_path: Path) -> None:
    thread_id = await conversation(platform)
    async with studio(platform, tmp_path) as running:
        fork = (await running.call("POST", f"/threads/{thread_id}/copy"))["thread_id"]
        await running.call("POST", "/threads", metadata={"graph_id": "of-another-database"})
        running.process.send_signal(signal.SIGTERM)
        assert await running.process.wait() == 0
        assert await running.gone()
    async with studio(platform, tmp_path) as running:
        assert {each["thread_id"] for each in await running.threads()} == {thread_id, fork}


async def test_the_server_ends_with_a_killed_command(platform: Platform, tmp_path: Path) -> None:
    await conversation(platform)
    async with studio(platform, tmp_path) as running:
        running.process.kill()
        assert await running.gone()
