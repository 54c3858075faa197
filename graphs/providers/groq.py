"""Groq."""

from typing import Any

from groq.resources.chat.completions import AsyncCompletions
from groq.types.chat import ChatCompletion
from langchain_core.language_models import BaseChatModel
from langchain_groq import ChatGroq
from pydantic import SecretStr

from graphs.sections import ModelSpec


class LeanCompletions:
    """Groq's chat completions, without the SDK's traversal of every message (docs/decisions/0003)."""

    def __init__(self, completions: AsyncCompletions) -> None:
        self._completions = completions

    async def create(self, *, messages: list[dict[str, Any]], **options: Any) -> ChatCompletion:
        """Send the same request. The SDK merges `extra_body` into it unchanged."""
        untouched = {"messages": messages, **({"tools": options.pop("tools")} if "tools" in options else {})}
        answer: ChatCompletion = await self._completions.create(messages=[], extra_body=untouched, **options)
        return answer

    async def close(self) -> None:
        """Close the client's connections."""
        await self._completions._client.close()


def build(spec: ModelSpec, api_key: str, base_url: str | None) -> BaseChatModel:
    """Return a client that does not retry, because we count the tries."""
    options: dict[str, Any] = {} if spec.temperature is None else {"temperature": spec.temperature}
    client = ChatGroq(
        model=spec.model,
        api_key=SecretStr(api_key),
        base_url=base_url,
        timeout=spec.timeout,
        max_retries=0,
        max_tokens=spec.max_tokens,
        **options,
    )
    client.async_client = LeanCompletions(client.async_client)
    return client


async def close(client: ChatGroq) -> None:
    """Close the client's connections."""
    await client.async_client.close()
