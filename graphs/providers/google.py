"""Google's Gemini."""

import json
from typing import Any

import aiohttp
import httpx
from google.genai.errors import APIError
from langchain_core.exceptions import LangChainException
from langchain_core.language_models import BaseChatModel
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_google_genai.chat_models import ChatGoogleGenerativeAIError
from pydantic import SecretStr

from graphs.config import ModelSpec

# Its client sends through aiohttp or httpx, whichever it finds, and lets their errors through.
ERRORS = (
    APIError,
    ChatGoogleGenerativeAIError,
    LangChainException,
    aiohttp.ClientError,
    httpx.HTTPError,
    TimeoutError,
    json.JSONDecodeError,
)


def build(spec: ModelSpec, api_key: str, base_url: str | None) -> BaseChatModel:
    """A client without retries of its own: ours are counted. To Google's client, one retry means one try."""
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
    """Closes the client's connections."""
    if client.client is not None:
        await client.client.aio.aclose()
