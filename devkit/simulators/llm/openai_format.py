"""Read and write the wire format of chat completions: OpenAI's, and Groq's with small differences."""

import re
import time
from collections.abc import Iterator
from typing import Any

from devkit.simulators.llm import codec
from devkit.simulators.llm.chat import (
    ChatAnswer,
    ChatMessage,
    ChatRequest,
    ChatToolCall,
    RequestRejected,
    new_id,
    prompt_tokens,
)
from devkit.simulators.llm.codec import Document
from devkit.simulators.llm.openai_rules import check_history, check_options, check_tools
from graphs.providers import PROVIDERS

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_MEDIA = {"image_url": "[image]", "input_audio": "[audio]", "file": "[file]"}
_PIECE = re.compile(r"\s*\S+\s*|\s+")
_TYPES = {401: "invalid_request_error", 403: "permission_error", 429: "requests"}
_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


class OpenAIFormat:
    """The wire format of OpenAI, or with `groq` that of Groq."""

    def __init__(self, provider: str, *, groq: bool = False) -> None:
        self.provider = provider
        self._groq = groq

    def read(self, body: bytes, target: str) -> ChatRequest:
        """Parse a request. Raises RequestRejected where the provider would."""
        payload = _payload(body)
        model = payload.get("model")
        if not isinstance(model, str) or not model:
            raise RequestRejected(400, "you must provide a model parameter")
        raw = payload.get("messages")
        if not isinstance(raw, list) or not raw:
            raise RequestRejected(400, "[] is too short - 'messages'", param="messages")
        _check_roles(raw)
        check_history(raw, groq=self._groq)
        messages = _messages(raw)
        check_tools(payload, groq=self._groq)
        check_options(payload, groq=self._groq)
        tools = _tools(payload)
        forced = _forced(payload, tools)
        return ChatRequest(
            provider=self.provider,
            model=model,
            messages=messages,
            tools=tools,
            forced=forced,
            structured=bool(forced) or _wants_json(payload, messages),
            stream=payload.get("stream") is True,
            usage_in_stream=bool((payload.get("stream_options") or {}).get("include_usage")),
            prompt_tokens=prompt_tokens(messages, payload.get("tools")),
        )

    def messages(self, body: bytes) -> list[ChatMessage]:
        """Return the messages of a request that may be invalid."""
        return _messages(_payload(body)["messages"])

    def reply(self, chat: ChatRequest, answer: ChatAnswer) -> bytes:
        """Return the body of an answer."""
        finish = _finish(chat, answer)
        choice = {"index": 0, "message": self._message(answer), "logprobs": None, "finish_reason": finish}
        content = {"choices": [choice], "usage": self._usage(chat, answer)}
        return codec.dumps(_head(chat, "chat.completion") | content | self._tail())

    def _message(self, answer: ChatAnswer) -> Document:
        message: Document = {"role": "assistant", "content": answer.text}
        if not self._groq:
            message |= {"refusal": None, "annotations": []}
            if answer.finish == "refusal":
                message |= {"refusal": answer.text, "content": None}
        if answer.calls:
            message["content"] = answer.text or None
            message["tool_calls"] = [_written(call, answer) for call in answer.calls]
        return message

    def _tail(self) -> Document:
        if self._groq:
            return {"system_fingerprint": None, "service_tier": "on_demand", "x_groq": {"id": new_id("req_")}}
        return {"system_fingerprint": None, "service_tier": "default"}

    def _usage(self, chat: ChatRequest, answer: ChatAnswer) -> Document:
        asked, given = chat.prompt_tokens, answer.count_tokens()
        usage: Document = {"prompt_tokens": asked, "completion_tokens": given, "total_tokens": asked + given}
        if self._groq:
            return usage | {"queue_time": 0.001, "prompt_time": 0.001, "completion_time": 0.001, "total_time": 0.002}
        return usage | {
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def events(self, chat: ChatRequest, answer: ChatAnswer) -> bytes:
        """Return the body of a streamed answer, as server-sent events."""
        chunks = self._groq_chunks(chat, answer) if self._groq else self._openai_chunks(chat, answer)
        lines = [b"data: " + codec.dumps(chunk) for chunk in chunks]
        return b"\n\n".join([*lines, b"data: [DONE]", b""])

    def _openai_chunks(self, chat: ChatRequest, answer: ChatAnswer) -> Iterator[Document]:
        head = _head(chat, "chat.completion.chunk") | self._tail()
        if chat.usage_in_stream:
            head["usage"] = None
        yield head | _delta({"role": "assistant", "content": None if answer.calls else "", "refusal": None})
        for delta in _text_deltas(answer, "refusal" if answer.finish == "refusal" else "content"):
            yield head | _delta(delta)
        for index, call in enumerate(answer.calls):
            yield from (head | _delta({"tool_calls": [part]}) for part in _call_parts(index, call, answer))
        yield head | _delta({}, _finish(chat, answer))
        if chat.usage_in_stream:
            yield head | {"choices": [], "usage": self._usage(chat, answer)}

    def _groq_chunks(self, chat: ChatRequest, answer: ChatAnswer) -> Iterator[Document]:
        head = _head(chat, "chat.completion.chunk") | {"system_fingerprint": None}
        identity = {"id": new_id("req_")}
        yield head | _delta({"role": "assistant", "content": ""}) | {"x_groq": identity}
        for delta in _text_deltas(answer, "content"):
            yield head | _delta(delta)
        if answer.calls:
            whole = [{"index": index, **_written(call, answer)} for index, call in enumerate(answer.calls)]
            yield head | _delta({"tool_calls": whole})
        usage = identity | {"usage": self._usage(chat, answer)}
        yield head | _delta({}, _finish(chat, answer)) | {"x_groq": usage}

    def error(self, error: RequestRejected) -> bytes:
        """Return the body of an error."""
        kind = "server_error" if error.status >= 500 else _TYPES.get(error.status, "invalid_request_error")
        body: Document = {"message": error.message, "type": kind}
        code = error.code or _CODES.get(error.status)
        if not self._groq:
            body |= {"param": error.param, "code": code}
        elif code:
            body["code"] = code
        return codec.dumps({"error": body})


def _payload(body: bytes) -> Document:
    try:
        payload = codec.loads(body)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        raise RequestRejected(400, "We could not parse the JSON body of your request.")
    return payload


def _check_roles(raw: list[Document]) -> None:
    for index, item in enumerate(raw):
        if item.get("role") not in _ROLES:
            expected = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'"
            text = f"Invalid value: '{item.get('role')}'. Supported values are: {expected}."
            raise RequestRejected(400, text, "invalid_value", f"messages[{index}].role")


def _messages(raw: list[Document]) -> list[ChatMessage]:
    names: dict[str, str] = {}
    messages = []
    for item in raw:
        role = _ROLES.get(item.get("role", ""), "user")
        name = names.get(item.get("tool_call_id", ""), "") if role == "tool" else item.get("name") or ""
        message = ChatMessage(role, _text(item.get("content")), name)
        if calls := item.get("tool_calls"):
            message.calls = [_read_call(call) for call in calls]
            names.update((call.id, call.name) for call in message.calls)
        messages.append(message)
    return messages


def _read_call(call: Document) -> ChatToolCall:
    return ChatToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])


def _text(content: str | list[Document] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    parts = (part.get("text") or part.get("refusal") or _MEDIA.get(part["type"], "") for part in content)
    return "\n".join(part for part in parts if part)


def _tools(payload: Document) -> list[str]:
    names = [tool["function"]["name"] for tool in payload.get("tools") or ()]
    return [] if payload.get("tool_choice") == "none" else names


def _forced(payload: Document, tools: list[str]) -> str:
    choice = payload.get("tool_choice")
    if not isinstance(choice, dict):
        return ""
    name = choice["function"]["name"]
    if name not in tools:
        text = f"Tool choice '{name}' not found in 'tools' parameter."
        raise RequestRejected(400, f"Invalid value for 'tool_choice': {text}", param="tool_choice")
    return str(name)


def _wants_json(payload: Document, messages: list[ChatMessage]) -> bool:
    kind = (payload.get("response_format") or {}).get("type")
    if kind == "json_object" and not any("json" in message.text.lower() for message in messages):
        text = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        raise RequestRejected(400, text, param="messages")
    return kind in ("json_object", "json_schema")


def _head(chat: ChatRequest, kind: str) -> Document:
    return {"id": new_id("chatcmpl-"), "object": kind, "created": int(time.time()), "model": chat.model}


def _finish(chat: ChatRequest, answer: ChatAnswer) -> str:
    if answer.finish == "length":
        return "length"
    # OpenAI ends a call of a forced tool with `stop`.
    return (
        "tool_calls" if answer.calls and not (chat.forced and PROVIDERS[chat.provider].dialect == "openai") else "stop"
    )


def _written(call: ChatToolCall, answer: ChatAnswer) -> Document:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": answer.arguments_text(call)},
    }


def _delta(delta: Document, finish: str | None = None) -> Document:
    return {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}


def _text_deltas(answer: ChatAnswer, key: str) -> Iterator[Document]:
    return ({key: piece} for piece in split_words(answer.text))


def _call_parts(index: int, call: ChatToolCall, answer: ChatAnswer) -> Iterator[dict[str, Any]]:
    opening = {"name": call.name, "arguments": ""}
    yield {"index": index, "id": call.id, "type": "function", "function": opening}
    arguments = answer.arguments_text(call)
    for start in range(0, len(arguments), 16):
        yield {"index": index, "function": {"arguments": arguments[start : start + 16]}}


def split_words(text: str) -> list[str]:
    """Split a text into words with their spaces, as a stream sends them."""
    return _PIECE.findall(text)
