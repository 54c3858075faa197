"""The sections of tenants' own tools."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from graphs.fields import Duration, Name, Section, json_values
from tools.kinds.result_rendering import SELECTION

KINDS = ("http", "openapi", "mcp", "python", "handoff")
OF_THE_PACKAGE = ("parameters", "effects", "timeout", "result", "retries", "idempotent")
OF_REQUESTS = ("effects", "timeout", "result", "retries", "idempotent", "approval")

Secrets = Annotated[dict[str, str], Field(max_length=40, description="Values may hold `${secret:NAME}`.")]


Fixed = Annotated[
    dict[str, Any],
    AfterValidator(json_values),
    Field(
        max_length=40,
        description="Arguments that no model is told of. Texts may hold `${secret:NAME}` and trusted values, such as "
        '`{phone: "${contact.phone}"}`.',
    ),
]


def _named(key: str) -> Callable[[Any], Any]:
    """Return a validator that accepts one text in place of a section with this key."""
    return lambda value: {key: value} if isinstance(value, str) else value


class HttpSection(Section):
    """One request."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2000,
            description="With `{argument}` in the path and in the query's values, and `${secret:NAME}` in the latter.",
        ),
    ]
    headers: Annotated[
        dict[str, str], Field(max_length=40, description="Values may hold `{argument}` and `${secret:NAME}`.")
    ] = Field(default_factory=dict)
    body: Annotated[
        Any,
        Field(
            description="A JSON value whose texts may hold `{argument}` and `${secret:NAME}`; a text that is just one "
            "argument keeps its type. Without it, POST, PUT and PATCH send the arguments that nothing else takes."
        ),
    ] = None
    timeout: Annotated[Duration, Field(ge=0.1, le=60, description="The tool's, written here.")] | None = None


class OpenApiSection(Section):
    """One operation of an OpenAPI 3 document, or of one of Swagger 2.0."""

    operation: Annotated[
        str,
        Field(
            pattern=r"^[^#]+\.(yaml|yml|json)#.+$",
            max_length=500,
            description="A file of the tenant's folder, and an operationId or a method and path: "
            "`shop.yaml#createOrder`, `shop.yaml#POST /orders`. The file may refer to others with `$ref`.",
        ),
    ]
    server: Annotated[str | None, Field(max_length=500, description="In place of the document's server.")] = None
    headers: Secrets = Field(default_factory=dict)
    fixed: Fixed = Field(default_factory=dict, alias="with")

    @property
    def file(self) -> str:
        """The document's path in the tenant's folder."""
        return self.operation.partition("#")[0]

    @property
    def name(self) -> str:
        """The operation's operationId, or its method and path."""
        return self.operation.partition("#")[2]


class McpSection(Section):
    """One tool of an MCP server."""

    server: Annotated[Name, Field(description="A server under `mcp`.")]
    tool: Annotated[str, Field(min_length=1, max_length=128, description="What the server calls it.")]
    fixed: Fixed = Field(default_factory=dict, alias="with")


class McpServerSection(Section):
    """An MCP server: `url`, or `command` where the deployment lets tenants start programs."""

    url: Annotated[str | None, Field(max_length=2000, description="Of a server over streamable HTTP.")] = None
    headers: Secrets = Field(default_factory=dict)
    command: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...],
        Field(max_length=50, description="The program and its arguments; it speaks over stdio."),
    ] = ()
    env: Secrets = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> "McpServerSection":
        if (self.url is None) != bool(self.command):
            raise ValueError("a server has either `url` or `command`")
        if self.url is None and self.headers:
            raise ValueError("`headers` belong to `url`")
        if self.url is not None and self.env:
            raise ValueError("`env` belongs to `command`")
        return self


class ResultSection(Section):
    """What the model is shown of an answer."""

    select: Annotated[
        str | None,
        Field(
            pattern=f"^(?:{SELECTION.pattern})$",
            max_length=300,
            description="The part that counts: `data.items.0` or `/data/items/0`.",
        ),
    ] = None
    limit: Annotated[int, Field(ge=100, le=64_000, description="Characters; what is longer is cut, with a note.")] = (
        8_000
    )


class ToolSection(Section):
    """A tool: exactly one of `http`, `openapi`, `mcp`, `python`, `handoff`, and what the model is told of it."""

    description: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1000,
            description="What the model is told: not optional for `http`, `mcp`, `handoff`.",
        ),
    ] = None
    parameters: Annotated[
        dict[str, Any] | None,
        Field(
            description="JSON Schema of type object, for `http`, `mcp`, `handoff`: arguments are checked against it."
        ),
    ] = None
    http: HttpSection | None = None
    openapi: Annotated[
        OpenApiSection | None,
        BeforeValidator(_named("operation"), json_schema_input_type=OpenApiSection | str | None),
        Field(description="Or only its `operation`, as a text."),
    ] = None
    mcp: McpSection | None = None
    python: Annotated[
        str | None, Field(min_length=1, max_length=100, description="An entry point of the group `recado.tools`.")
    ] = None
    handoff: Annotated[
        Literal[True] | None,
        Field(
            description="The call hands the conversation to an operator, who sees its arguments: `request_human` with "
            "a name, a description and `parameters` of your own."
        ),
    ] = None
    effects: Annotated[
        Literal["read", "write"] | None,
        Field(description="`write` runs once. Without it, what is sent with GET reads and everything else writes."),
    ] = None
    approval: Annotated[
        Literal["required", "none"], Field(description="`required`: an operator decides before the call is made.")
    ] = "none"
    timeout: Annotated[Duration, Field(ge=0.1, le=60, description="For all attempts of one call together.")] = 10.0
    retries: Annotated[
        int | None,
        Field(
            ge=0, le=5, description="After a failed attempt. Default: 2 for what reads or is `idempotent`, otherwise 0."
        ),
    ] = None
    idempotent: Annotated[
        bool,
        Field(description="The other side honours the Idempotency-Key that writes carry, so they may be repeated."),
    ] = False
    result: Annotated[
        ResultSection,
        BeforeValidator(_named("select"), json_schema_input_type=ResultSection | str),
        Field(description="Or only its `select`, as a text."),
    ] = ResultSection()

    @property
    def kind(self) -> str:
        """The key of KINDS that is set."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _fits(self) -> "ToolSection":
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"a tool has exactly one of {', '.join(f'`{kind}`' for kind in KINDS)}")
        if self.description is None and kinds[0] in ("http", "mcp", "handoff"):
            raise ValueError("`description` is missing: it tells the model when to use the tool")
        needless = {"python": OF_THE_PACKAGE, "openapi": ("parameters",), "handoff": OF_REQUESTS}.get(kinds[0], ())
        for key in needless:
            if key in self.model_fields_set:
                raise ValueError(f"`{key}` is for other kinds of tools: `{kinds[0]}` brings its own")
        if self.http is not None and self.http.timeout is not None and "timeout" in self.model_fields_set:
            raise ValueError("`timeout` is given twice")
        return self
