"""List conversations as Studio's threads, fork them, and replay their last turn, with the server's API."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from langgraph_sdk import get_sync_client

from app.db import Database
from app.errors import NotFoundError, RecadoError
from devkit.studio import queries
from devkit.studio.queries import ListedConversation

SHOWN = 50
"""The number of each tenant's conversations that the list shows by itself."""
RECENT_TURNS = 500
"""The number of each tenant's turns that are looked at for its latest conversations."""
MAX_THREADS = 1000
"""The largest number of threads that the server's search returns at once."""
MAX_LEGS = 20
"""The maximum number of legs that a replay runs. A turn has fewer."""


@dataclass(frozen=True)
class ReplayedTurn:
    """The result of a replay. `waits_for` has the kind of each interrupt that the graph stopped at."""

    thread_id: str
    replies: list[str]
    waits_for: list[str]


async def latest(system: Database) -> list[ListedConversation]:
    """Return each tenant's latest conversations."""
    async with system.statement() as tx:
        return await queries.latest_conversations(tx, SHOWN, RECENT_TURNS)


async def conversation(system: Database, conversation_id: UUID) -> ListedConversation:
    """Return one conversation. Raises NotFoundError."""
    async with system.statement() as tx:
        found = await queries.conversation(tx, conversation_id)
    if found is None:
        raise NotFoundError(f"there is no conversation {conversation_id}")
    return found


async def unknown(system: Database, ids: list[str]) -> list[str]:
    """Return those of the ids that the database does not know."""
    async with system.statement() as tx:
        known = set(await queries.known_threads(tx, ids))
    return [each for each in ids if each not in known]


class Threads:
    """The threads of a running `recado studio`, and a context manager that closes its connections.

    Every method raises RecadoError when the server does not answer.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = get_sync_client(url=url)
        self._shown: dict[UUID, ListedConversation] = {}

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def show(self, conversations: Iterable[ListedConversation]) -> None:
        """Show conversations in the list, the last one first. Those that have not changed are left as they are.

        Studio sorts threads by their last update. If all were updated, forks would be listed behind conversations.
        """
        for each in conversations:
            if self._shown.get(each.id) == each:
                continue
            metadata = {
                "graph_id": each.slug,
                "tenant": each.slug,
                "contact": each.contact,
                "status": each.status,
                "opened_at": each.opened_at.isoformat(timespec="seconds"),
                "last_turn_at": each.last_turn_at and each.last_turn_at.isoformat(timespec="seconds"),
            }
            self._call(self._client.threads.create, thread_id=str(each.id), metadata=metadata, if_exists="do_nothing")
            self._call(self._client.threads.update, str(each.id), metadata=metadata)
            self._shown[each.id] = each

    def ids(self) -> list[str]:
        """Return the ids of the threads that were updated last."""
        found = self._call(self._client.threads.search, limit=MAX_THREADS, select=["thread_id"])
        return [str(each["thread_id"]) for each in found]

    def remove(self, ids: Iterable[str]) -> None:
        """Remove threads from the list."""
        for each in ids:
            self._call(self._client.threads.delete, each)

    def fork(self, each: ListedConversation) -> str:
        """Return the id of a copy. Runs, edits and forks of the copy do not change the conversation."""
        self.show([each])
        copy = self._call(self._client.threads.copy, str(each.id))
        thread_id = str(copy["thread_id"])
        self._call(self._client.threads.update, thread_id, metadata={"fork_of": str(each.id)})
        return thread_id

    def replay(self, each: ListedConversation) -> ReplayedTurn:
        """Run the conversation's last turn again, on another thread.

        The thread begins with the messages before the turn. Tools that write are disabled. Raises NotFoundError.
        """
        self.show([each])
        messages = self._call(self._client.threads.get_state, str(each.id))["values"].get("messages", [])
        earlier, written = split_last_turn(messages)
        if not written:
            raise NotFoundError(f"conversation {each.id} has no message of the contact to replay")
        thread = self._call(self._client.threads.create, graph_id=each.slug, metadata={"replay_of": str(each.id)})
        thread_id = str(thread["thread_id"])
        if earlier:
            values = {"messages": earlier}
            self._call(self._client.threads.update_state, thread_id, values, as_node="recall")
        self._run(thread_id, each.slug, {"messages": written})
        for _ in range(MAX_LEGS):
            state = self._call(self._client.threads.get_state, thread_id)
            # The graph stops before its tools, where the workers commit.
            if "run_tools" not in state["next"]:
                break
            self._run(thread_id, each.slug, None)
        replies = state["values"].get("turn", {}).get("replies", [])
        return ReplayedTurn(
            thread_id,
            [str(reply["body"]) for reply in replies],
            [str(interrupt["value"]["kind"]) for interrupt in state["interrupts"]],
        )

    def _run(self, thread_id: str, slug: str, values: dict[str, Any] | None) -> None:
        ended = self._call(self._client.runs.wait, thread_id, slug, input=values)
        if "__error__" in ended:
            raise RecadoError(f"the run failed: {ended['__error__'].get('message', ended['__error__'])}")

    def _call(self, method: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        except httpx.ConnectError:
            raise RecadoError(f"Studio does not run at {self._url}: start it with `recado studio`") from None
        except httpx.HTTPStatusError as error:
            raise RecadoError(f"Studio refused: {error.response.text[:500]}") from None
        except httpx.HTTPError as error:
            raise RecadoError(f"Studio's server at {self._url} does not answer: {error!r}") from None


def split_last_turn(messages: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the messages before the contact's last ones, and the last ones. Later messages are left out."""
    end = max((number for number, each in enumerate(messages, 1) if each["type"] == "human"), default=0)
    start = end
    while start and messages[start - 1]["type"] == "human":
        start -= 1
    return list(messages[:start]), [{"role": "user", "content": each["content"]} for each in messages[start:end]]
