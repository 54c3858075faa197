"""Google's Gemini."""

from collections.abc import Sequence
from typing import Any

from google.genai.types import FunctionDeclaration, Tool
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_google_genai import ChatGoogleGenerativeAI
from pydantic import SecretStr

from graphs.sections import ModelSpec


class JsonSchemaGemini(ChatGoogleGenerativeAI):
    """ChatGoogleGenerativeAI that sends the parameters of tools as they are.

    LangChain rewrites them to Google's older form of schemas. That form has no integer enums and no alternatives in
    arrays, and LangChain drops them without a word, at each call (docs/decisions/0019).
    """

    def bind_tools(
        self, tools: Sequence[Any], tool_config: Any = None, *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the client with declarations in OpenAI's form, whose parameters Gemini accepts."""
        declared = [_declaration(tool["function"]) for tool in tools]
        choice = {"tool_choice": tool_choice} if tool_choice else {}
        return self.bind(tools=[Tool(function_declarations=declared)], **choice, **kwargs)


def _declaration(function: dict[str, Any]) -> FunctionDeclaration:
    parameters = function["parameters"]
    # An object without properties is refused. A function without parameters has no schema.
    some = parameters.get("properties") or parameters.get("additionalProperties")
    return FunctionDeclaration(
        name=function["name"],
        description=function["description"],
        parameters_json_schema=parameters if some else None,
    )


def build(spec: ModelSpec, api_key: str, base_url: str, shared: JsonSchemaGemini | None = None) -> JsonSchemaGemini:
    """Return a client that does not retry, because we count the tries. For Google, one retry means one try.

    It uses the connections of `shared`.
    """
    options: dict[str, Any] = {
        "model": spec.model,
        "api_key": SecretStr(api_key),
        "base_url": base_url,
        "timeout": spec.timeout,
        "max_retries": 1,
        "max_tokens": spec.max_tokens,
    }
    if spec.temperature is not None:
        options["temperature"] = spec.temperature
    client = JsonSchemaGemini(**options)
    if shared is not None:
        client.client = shared.client
    return client


async def close(client: JsonSchemaGemini) -> None:
    """Close the connections."""
    if client.client is not None:
        await client.client.aio.aclose()
        client.client.close()
