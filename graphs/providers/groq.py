"""Groq."""

from typing import Any

import groq
from groq.resources.chat.completions import AsyncCompletions
from groq.types.chat import ChatCompletion
from langchain_groq import ChatGroq
from pydantic import SecretStr

from graphs.providers.call_arguments import mend_arguments
from graphs.sections import ModelSpec


class LeanCompletions:
    """Groq's chat completions, without the SDK's traversal of every message (docs/decisions/0003)."""

    def __init__(self, completions: AsyncCompletions) -> None:
        self._completions = completions

    async def create(self, *, messages: list[dict[str, Any]], **options: Any) -> ChatCompletion:
        """Send the same request, and return the answer with the arguments of its calls as JSON objects.

        The SDK merges `extra_body` into the request unchanged.
        """
        untouched = {"messages": messages, **({"tools": options.pop("tools")} if "tools" in options else {})}
        answer: ChatCompletion = await self._completions.create(messages=[], extra_body=untouched, **options)
        mend_arguments(answer)
        return answer


def build(spec: ModelSpec, api_key: str, base_url: str, shared: ChatGroq | None = None) -> ChatGroq:
    """Return a client that does not retry, because we count the tries. It uses the connections of `shared`."""
    options: dict[str, Any] = {} if spec.temperature is None else {"temperature": spec.temperature}
    client = ChatGroq(
        model=spec.model,
        api_key=SecretStr(api_key),
        base_url=base_url,
        timeout=spec.timeout,
        max_retries=0,
        max_tokens=spec.max_tokens,
        http_client=groq.DefaultHttpxClient() if shared is None else shared.http_client,
        http_async_client=groq.DefaultAsyncHttpxClient() if shared is None else shared.http_async_client,
        **options,
    )
    client.async_client = LeanCompletions(client.async_client)
    return client


async def close(client: ChatGroq) -> None:
    """Close the connections."""
    connections: Any = client
    await connections.http_async_client.aclose()
    connections.http_client.close()
