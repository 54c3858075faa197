"""Google's Gemini."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_google_genai import ChatGoogleGenerativeAI
from pydantic import SecretStr

from graphs.sections import ModelSpec


def build(spec: ModelSpec, api_key: str, base_url: str | None) -> BaseChatModel:
    """Return a client that does not retry, because we count the tries. For Google, one retry means one try."""
    options: dict[str, Any] = {} if spec.temperature is None else {"temperature": spec.temperature}
    return ChatGoogleGenerativeAI(
        model=spec.model,
        api_key=SecretStr(api_key),
        base_url=base_url,
        timeout=spec.timeout,
        max_retries=1,
        max_tokens=spec.max_tokens,
        **options,
    )


async def close(client: ChatGoogleGenerativeAI) -> None:
    """Close the client's connections."""
    if client.client is not None:
        await client.client.aio.aclose()
