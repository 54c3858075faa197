"""Google's Gemini."""

from typing import Any

from langchain_google_genai import ChatGoogleGenerativeAI
from pydantic import SecretStr

from graphs.sections import ModelSpec


def build(
    spec: ModelSpec, api_key: str, base_url: str, shared: ChatGoogleGenerativeAI | None = None
) -> ChatGoogleGenerativeAI:
    """Return a client that does not retry, because we count the tries. For Google, one retry means one try.

    It uses the connections of `shared`.
    """
    options: dict[str, Any] = {} if spec.temperature is None else {"temperature": spec.temperature}
    client = ChatGoogleGenerativeAI(
        model=spec.model,
        api_key=SecretStr(api_key),
        base_url=base_url,
        timeout=spec.timeout,
        max_retries=1,
        max_tokens=spec.max_tokens,
        **options,
    )
    if shared is not None:
        client.client = shared.client
    return client


async def close(client: ChatGoogleGenerativeAI) -> None:
    """Close the connections."""
    if client.client is not None:
        await client.client.aio.aclose()
        client.client.close()
