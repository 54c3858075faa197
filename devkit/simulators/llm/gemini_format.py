"""Read and write the wire format of Gemini's generateContent and streamGenerateContent."""

from collections.abc import Iterator

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
from devkit.simulators.llm.gemini_rules import ROLES, check_contents, check_options, check_tools
from devkit.simulators.llm.openai_format import split_words

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISHES = {"stop": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"}


class GeminiFormat:
    """The wire format of Gemini."""

    def __init__(self, provider: str) -> None:
        self.provider = provider

    def read(self, body: bytes, target: str) -> ChatRequest:
        """Parse a request. Raises RequestRejected where the provider would."""
        model, _, method = target.rpartition(":")
        payload = _payload(body)
        check_contents(payload)
        check_tools(payload)
        check_options(payload)
        messages = _messages(payload)
        mode, tools = _tools(payload)
        forced = tools[0] if mode == "ANY" and len(tools) == 1 else ""
        wants_json = (payload.get("generationConfig") or {}).get("responseMimeType") == "application/json"
        return ChatRequest(
            provider=self.provider,
            model=model,
            messages=messages,
            tools=tools,
            forced=forced,
            structured=bool(forced) or wants_json,
            stream=method == "streamGenerateContent",
            usage_in_stream=True,
            prompt_tokens=prompt_tokens(messages, payload.get("tools")),
        )

    def messages(self, body: bytes) -> list[ChatMessage]:
        """Return the messages of a request that may be invalid."""
        return _messages(_payload(body))

    def reply(self, chat: ChatRequest, answer: ChatAnswer) -> bytes:
        """Return the body of an answer."""
        text = _said(answer)
        parts: list[Document] = [{"text": text}] if text else []
        return codec.dumps(_chunk(chat, answer, new_id("resp"), parts + _call_parts(answer), _given(answer), True))

    def events(self, chat: ChatRequest, answer: ChatAnswer) -> bytes:
        """Return the body of a streamed answer, as server-sent events."""
        return b"".join(b"data: " + codec.dumps(chunk) + b"\r\n\r\n" for chunk in _chunks(chat, answer))

    def array(self, chat: ChatRequest, answer: ChatAnswer) -> bytes:
        """Return the body of a stream without `alt=sse`: a JSON list of chunks."""
        return codec.dumps(list(_chunks(chat, answer)))

    def error(self, error: RequestRejected) -> bytes:
        """Return the body of an error."""
        status = _STATUSES.get(error.status, "UNKNOWN")
        body: Document = {"code": error.status, "message": error.message, "status": status}
        if error.status == 429:
            kind = "type.googleapis.com/google.rpc.QuotaFailure"
            body["details"] = [{"@type": kind, "violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]}]
        return codec.dumps({"error": body})


def _payload(body: bytes) -> Document:
    try:
        payload = codec.loads(body)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        raise RequestRejected(400, "Invalid JSON payload received. Unexpected end of string.")
    return payload


def _messages(payload: Document) -> list[ChatMessage]:
    messages = []
    if instruction := payload.get("systemInstruction") or payload.get("system_instruction"):
        messages.append(ChatMessage("system", _text(instruction["parts"])))
    for content in payload["contents"]:
        messages.extend(_content(ROLES[content.get("role", "user")], content["parts"]))
    return messages


def _content(role: str, parts: list[Document]) -> Iterator[ChatMessage]:
    for part in parts:
        if answered := part.get("functionResponse"):
            yield ChatMessage("tool", _result(answered.get("response")), answered["name"])
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    text = _text(parts)
    if text or calls or not any("functionResponse" in part for part in parts):
        made = [ChatToolCall(call.get("id", ""), call["name"], call.get("args") or {}) for call in calls]
        yield ChatMessage(role, text, calls=made)


def _result(response: object) -> str:
    # The client wraps results that are not objects. Unwrapped, a script sees the same for all providers.
    if isinstance(response, dict) and response.keys() == {"output"}:
        response = response["output"]
    return response if isinstance(response, str) else codec.text(response)


def _text(parts: list[Document]) -> str:
    return "\n".join(text for text in map(_part_text, parts) if text)


def _part_text(part: Document) -> str:
    if media := part.get("inlineData") or part.get("fileData"):
        kind = str(media.get("mimeType", "")).partition("/")[0]
        return f"[{kind}]" if kind in ("image", "audio", "video") else "[file]"
    return "" if part.get("thought") else str(part.get("text", ""))


def _tools(payload: Document) -> tuple[str, list[str]]:
    config = (payload.get("toolConfig") or {}).get("functionCallingConfig") or {}
    declared = [
        str(function["name"])
        for tool in payload.get("tools") or ()
        for function in tool.get("functionDeclarations") or ()
    ]
    mode = str(config.get("mode", "AUTO"))
    allowed = config.get("allowedFunctionNames") or declared
    if unknown := [name for name in allowed if name not in declared]:
        raise RequestRejected(400, f"Function calling config contains unknown functions: {', '.join(unknown)}.")
    if mode == "ANY" and not declared:
        raise RequestRejected(400, "Function calling config is set without function_declarations.")
    return mode, [] if mode == "NONE" else allowed


def _said(answer: ChatAnswer) -> str:
    # A candidate that was stopped for safety has no text.
    return "" if answer.finish == "refusal" else answer.text


def _given(answer: ChatAnswer) -> int:
    return 0 if answer.finish == "refusal" else answer.count_tokens()


def _call_parts(answer: ChatAnswer) -> list[Document]:
    # Gemini always sends complete arguments. A call that it cannot finish is left out.
    if answer.broken or answer.finish == "length":
        return []
    return [{"functionCall": {"name": call.name, "args": call.arguments}} for call in answer.calls]


def _chunk(
    chat: ChatRequest, answer: ChatAnswer, identity: str, parts: list[Document], given: int, last: bool
) -> Document:
    content: Document = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    candidate: Document = {"content": content, "index": 0}
    if last:
        malformed = answer.broken and answer.calls
        candidate["finishReason"] = "MALFORMED_FUNCTION_CALL" if malformed else _FINISHES[answer.finish]
    asked = chat.prompt_tokens
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": asked,
            "candidatesTokenCount": given,
            "totalTokenCount": asked + given,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": asked}],
        },
        "modelVersion": chat.model,
        "responseId": identity,
    }


def _chunks(chat: ChatRequest, answer: ChatAnswer) -> Iterator[Document]:
    identity = new_id("resp")
    given = _given(answer)
    texts = split_words(_said(answer))
    last = _call_parts(answer)
    for index, piece in enumerate(texts):
        part: list[Document] = [{"text": piece}]
        yield _chunk(chat, answer, identity, part, given * (index + 1) // (len(texts) + 1), False)
    yield _chunk(chat, answer, identity, last or [{"text": ""}], given, True)
