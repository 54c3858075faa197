"""OpenAI, and whatever speaks its protocol."""

import json

import openai
from langchain_core.exceptions import LangChainException
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from graphs.config import ModelSpec

ERRORS = (openai.OpenAIError, LangChainException, TimeoutError, json.JSONDecodeError)


def build(spec: ModelSpec, api_key: str, base_url: str | None) -> BaseChatModel:
    """A client without retries of its own: ours are counted."""
    return ChatOpenAI(
        model=spec.model,
        api_key=SecretStr(api_key),
        base_url=base_url,
        timeout=spec.timeout,
        max_retries=0,
        temperature=spec.temperature,
        max_completion_tokens=spec.max_tokens,
    )


async def close(client: ChatOpenAI) -> None:
    """Closes the client's connections."""
    await client.root_async_client.close()
