"""The table of model providers.

To add one: write `graphs/providers/<name>.py` with `build` and `close`, add a row to PROVIDERS, and run `just docs`.
`build` returns LangChain's client, at the base URL that it is given. A provider with the wire format of another one can
import both from that one's module. Settings, the schema of assistant.yaml, prices, the demo, scenarios and the model
simulator are derived from this table. Importing it imports no provider's package.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

Dialect = Literal["openai", "groq", "gemini"]
"""The wire format of a provider's API, and what it accepts of JSON Schema. `groq` is OpenAI's with additions."""

FailureKind = Literal["limit", "timeout", "unavailable", "access", "request", "answer"]
"""Why a model call failed.

`limit`: too many requests. `unavailable`: down, or it breaks its own protocol. `access`: the key or the model is wrong.
`request`: the provider refuses the request. `answer`: it answered, and the answer cannot be used.
"""


@dataclass(frozen=True)
class ErrorCode:
    """The meaning of an error code in the body of a provider's error."""

    retryable: bool
    kind: FailureKind | None = None
    """None takes the kind of the HTTP status."""


@dataclass(frozen=True)
class Provider:
    """A row of the table.

    `default_url` is the base URL of the provider's client, and `chat_path` what the client appends to it. `sdk` is the
    package whose exceptions the client raises. `demo_model` answers in the demo when only this provider has a key.
    `error_codes` are the codes in the body of this
    provider's errors that decide more than the HTTP status. `simulator_base` is the path of the base URL at the model
    simulator; by default `/<name>` and the path of
    `default_url`.
    """

    name: str
    default_url: str
    demo_model: str
    dialect: Dialect
    chat_path: str = "/chat/completions"
    sdk: str = "openai"
    error_codes: Mapping[str, ErrorCode] = field(default_factory=dict)
    simulator_base: str | None = None

    @property
    def key_variable(self) -> str:
        """The environment variable of the API key."""
        return f"{self.name.upper()}_API_KEY"

    @property
    def url_variable(self) -> str:
        """The environment variable of a base URL that replaces the default."""
        return f"{self.name.upper()}_BASE_URL"

    @property
    def module(self) -> Any:
        """The provider's module. Importing it imports the provider's package, which takes a second."""
        return importlib.import_module(f"graphs.providers.{self.name}")

    def simulator_path(self) -> str:
        """Return the path of the base URL at the model simulator."""
        if self.simulator_base is not None:
            return self.simulator_base
        return f"/{self.name}{urlsplit(self.default_url).path}"


_ROWS = (
    Provider(
        name="openai",
        default_url="https://api.openai.com/v1",
        demo_model="gpt-5-mini",
        dialect="openai",
        error_codes={
            # A 429 that does not end by waiting.
            "insufficient_quota": ErrorCode(retryable=False),
            "billing_hard_limit_reached": ErrorCode(retryable=False),
        },
        simulator_base="/v1",
    ),
    Provider(
        name="groq",
        default_url="https://api.groq.com",
        chat_path="/openai/v1/chat/completions",
        demo_model="llama-3.3-70b-versatile",
        dialect="groq",
        sdk="groq",
        # A 400 for a tool call that the model wrote badly. The next call may be better.
        error_codes={"tool_use_failed": ErrorCode(retryable=True, kind="answer")},
        simulator_base="",
    ),
    Provider(
        name="google",
        default_url="https://generativelanguage.googleapis.com",
        chat_path="/v1beta/models/{target}",
        demo_model="gemini-2.5-flash",
        dialect="gemini",
        sdk="google",
        simulator_base="",
    ),
)

PROVIDERS: Mapping[str, Provider] = {provider.name: provider for provider in _ROWS}
"""The providers by name, in the order in which the demo looks for a key."""
