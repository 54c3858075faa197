"""What was asked and answered: the last requests and the counts."""

import time
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime

from devkit.simulators.llm.chat import Answer, Message, Rejected, ToolCall, Wire
from devkit.simulators.llm.codec import Document, decoded

KEPT = 2000
_KEPT_BYTES = 64 * 1024 * 1024

DROPPED = 0
ABANDONED = 499


@dataclass(slots=True)
class Entry:
    """One request; its body stays raw until somebody reads the log, which keeps logging cheap."""

    index: int
    provider: str
    wire: Wire | None
    at: float
    started: float
    body: bytes = b""
    texts: tuple[str, ...] = ()
    model: str = ""
    script: str | None = None
    rule: int | None = None
    tools: tuple[str, ...] = ()
    structured: bool = False
    answer: Answer | None = None
    kind: str = ""
    error: str = ""
    status: int | None = None
    took_ms: float | None = None

    def describe(self) -> Document:
        answer = self.answer
        return {
            "index": self.index,
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "provider": self.provider,
            "model": self.model,
            "script": self.script,
            "rule": self.rule,
            "messages": [_message(message) for message in self._messages()],
            "tools": list(self.tools),
            "structured": self.structured,
            "status": self.status,
            "took_ms": self.took_ms,
            "answer": {
                "kind": self.kind or (answer.kind if answer else ""),
                "text": self.error or (answer.text if answer else ""),
                "tool_calls": [_call(call) for call in answer.calls] if answer else [],
            },
        }

    def _messages(self) -> list[Message]:
        if self.texts:
            return [Message("user", text) for text in self.texts]
        try:
            return self.wire.messages(self.body) if self.wire and self.body else []
        except (Rejected, AttributeError, KeyError, TypeError, ValueError):
            return []


def _message(message: Message) -> Document:
    calls = [_call(call) for call in message.calls]
    return {"role": message.role, "text": message.text, "tool_calls": calls, "name": message.name}


def _call(call: ToolCall) -> Document:
    arguments = decoded(call.arguments) if isinstance(call.arguments, str) else call.arguments
    return {"id": call.id, "name": call.name, "arguments": arguments}


class Journal:
    def __init__(self, keeps: bool) -> None:
        self.keeps = keeps
        self._in_flight = 0
        self.reset()

    def reset(self) -> None:
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._last = 0
        self._by_provider: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._max_in_flight = self._in_flight

    def begin(self, provider: str, wire: Wire | None, body: bytes) -> Entry:
        self._last += 1
        self._by_provider[provider] += 1
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        entry = Entry(self._last, provider, wire, time.time(), time.perf_counter())
        if self.keeps:
            self._keep(entry, body)
        return entry

    def _keep(self, entry: Entry, body: bytes) -> None:
        entry.body = body
        self._entries.append(entry)
        self._bytes += len(body)
        while len(self._entries) > KEPT or (self._bytes > _KEPT_BYTES and len(self._entries) > 1):
            self._bytes -= len(self._entries.popleft().body)

    def end(self, entry: Entry, status: int) -> None:
        entry.status = status
        entry.took_ms = round((time.perf_counter() - entry.started) * 1000, 3)
        self._by_status[str(status)] += 1
        self._in_flight -= 1

    def requests(self, since: int, limit: int) -> Document:
        chosen = [entry for entry in self._entries if entry.index > since][:limit]
        return {"log": self.keeps, "last": self._last, "requests": [entry.describe() for entry in chosen]}

    def stats(self) -> Document:
        return {
            "requests": self._last,
            "by_provider": dict(self._by_provider),
            "by_status": dict(self._by_status),
            "in_flight": self._in_flight,
            "max_in_flight": self._max_in_flight,
        }
