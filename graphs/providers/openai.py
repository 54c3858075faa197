"""OpenAI, and servers with the same protocol."""

from typing import Any

import openai
from langchain_core.language_models import LanguageModelInput
from langchain_core.outputs import ChatResult
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from graphs.providers.call_arguments import mend_arguments
from graphs.sections import ModelSpec


class LeanChatOpenAI(ChatOpenAI):
    """ChatOpenAI without the SDK's traversal of every message.

    The SDK searches messages and tools for keys to rename and files to encode. A chat has none, and the search
    takes two thirds of a call's CPU (docs/decisions/0003). `extra_body` is not searched.
    Calls without arguments are read as such, however they are written.
    """

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        untouched = {name: payload.pop(name) for name in ("messages", "tools") if name in payload}
        return {**payload, "messages": [], "extra_body": {**(payload.get("extra_body") or {}), **untouched}}

    def _create_chat_result(
        self, response: dict[str, Any] | openai.BaseModel, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        mend_arguments(response)
        return super()._create_chat_result(response, generation_info)


def build(spec: ModelSpec, api_key: str, base_url: str, shared: LeanChatOpenAI | None = None) -> LeanChatOpenAI:
    """Return a client that does not retry, because we count the tries. It uses the connections of `shared`."""
    return LeanChatOpenAI(
        model=spec.model,
        api_key=SecretStr(api_key),
        base_url=base_url,
        timeout=spec.timeout,
        max_retries=0,
        temperature=spec.temperature,
        max_completion_tokens=spec.max_tokens,
        http_client=openai.DefaultHttpxClient() if shared is None else shared.http_client,
        # Uses aiohttp, because the default transport visits every open connection for every request.
        http_async_client=openai.DefaultAioHttpClient() if shared is None else shared.http_async_client,
    )


async def close(client: LeanChatOpenAI) -> None:
    """Close the connections."""
    await client.root_async_client.close()
    client.root_client.close()
