"""Log the last requests with their answers, and count all requests."""

import time
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime

from devkit.simulators.llm.chat import ChatAnswer, ChatMessage, ChatToolCall, RequestRejected, WireFormat
from devkit.simulators.llm.codec import Document, parse_or_text

MAX_REQUESTS = 2000
"""The number of requests that are kept."""
_MAX_BYTES = 64 * 1024 * 1024
"""The size of the bodies that are kept."""

DROPPED = 0
"""The status of a request whose connection was closed without an answer."""
ABANDONED = 499
"""The status of a request whose client disconnected."""


@dataclass(slots=True)
class LoggedRequest:
    """A request in the log. Its body is parsed only when the log is read, so that logging is cheap."""

    index: int
    provider: str
    wire_format: WireFormat | None
    at: float
    started: float
    body: bytes = b""
    texts: tuple[str, ...] = ()
    model: str = ""
    script: str | None = None
    rule: int | None = None
    tools: tuple[str, ...] = ()
    structured: bool = False
    answer: ChatAnswer | None = None
    kind: str = ""
    error: str = ""
    status: int | None = None
    took_ms: float | None = None

    def describe(self) -> Document:
        """Return the request and its answer, for the control endpoint."""
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

    def _messages(self) -> list[ChatMessage]:
        if self.texts:
            return [ChatMessage("user", text) for text in self.texts]
        try:
            return self.wire_format.messages(self.body) if self.wire_format and self.body else []
        except (RequestRejected, AttributeError, KeyError, TypeError, ValueError):
            return []


def _message(message: ChatMessage) -> Document:
    calls = [_call(call) for call in message.calls]
    return {"role": message.role, "text": message.text, "tool_calls": calls, "name": message.name}


def _call(call: ChatToolCall) -> Document:
    arguments = parse_or_text(call.arguments) if isinstance(call.arguments, str) else call.arguments
    return {"id": call.id, "name": call.name, "arguments": arguments}


class RequestLog:
    """The log. Without `enabled`, requests are counted and not kept."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self._in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Forget all requests and counts."""
        self._entries: deque[LoggedRequest] = deque()
        self._bytes = 0
        self._last = 0
        self._by_provider: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._max_in_flight = self._in_flight

    def begin(self, provider: str, wire_format: WireFormat | None, body: bytes) -> LoggedRequest:
        """Log and count a request that has arrived."""
        self._last += 1
        self._by_provider[provider] += 1
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        entry = LoggedRequest(self._last, provider, wire_format, time.time(), time.perf_counter())
        if self.enabled:
            self._keep(entry, body)
        return entry

    def _keep(self, entry: LoggedRequest, body: bytes) -> None:
        entry.body = body
        self._entries.append(entry)
        self._bytes += len(body)
        while len(self._entries) > MAX_REQUESTS or (self._bytes > _MAX_BYTES and len(self._entries) > 1):
            self._bytes -= len(self._entries.popleft().body)

    def end(self, entry: LoggedRequest, status: int) -> None:
        """Record the status of a request, and how long it took."""
        entry.status = status
        entry.took_ms = round((time.perf_counter() - entry.started) * 1000, 3)
        self._by_status[str(status)] += 1
        self._in_flight -= 1

    def requests(self, since: int, limit: int) -> Document:
        """Return up to `limit` requests with an index above `since`, oldest first."""
        chosen = [entry for entry in self._entries if entry.index > since][:limit]
        return {"log": self.enabled, "last": self._last, "requests": [entry.describe() for entry in chosen]}

    def stats(self) -> Document:
        """Return the counts."""
        return {
            "requests": self._last,
            "by_provider": dict(self._by_provider),
            "by_status": dict(self._by_status),
            "in_flight": self._in_flight,
            "max_in_flight": self._max_in_flight,
        }
