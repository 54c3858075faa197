"""Groq."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_groq import ChatGroq
from pydantic import SecretStr

from graphs.config import ModelSpec


def build(spec: ModelSpec, api_key: str, base_url: str | None) -> BaseChatModel:
    """A client without retries of its own: ours are counted."""
    options: dict[str, Any] = {} if spec.temperature is None else {"temperature": spec.temperature}
    return ChatGroq(
        model=spec.model,
        api_key=SecretStr(api_key),
        base_url=base_url,
        timeout=spec.timeout,
        max_retries=0,
        max_tokens=spec.max_tokens,
        **options,
    )


async def close(client: ChatGroq) -> None:
    """Closes the client's connections."""
    await client.async_client._client.close()
