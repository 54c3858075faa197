"""Whether the secrets that an assistant's tools need are set. Their values are never looked at."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from app.assistants import queries
from app.db import Transaction
from app.errors import ConflictError
from app.identity.queries import TenantRow
from manifest.loader import Loaded


@dataclass(frozen=True)
class MissingSecret:
    """A secret that a tool of the tenant needs and that is not set."""

    slug: str
    tool: str
    name: str

    def __str__(self) -> str:
        return (
            f"the tool `{self.tool}` needs the secret {self.name}, which is not set: "
            f"`recado secrets set --tenant {self.slug} {self.name}` sets it"
        )


def missing_secrets(slug: str, loaded: Loaded, names: Collection[str]) -> list[MissingSecret]:
    """What the assistant's tools need beyond the tenant's secrets, which have these names."""
    tools = loaded.assistant.tools
    return [
        MissingSecret(slug, tool, name)
        for tool in sorted(tools)
        for name in sorted(tools[tool].secrets)
        if name not in names
    ]


async def not_set(tx: Transaction, tenant: TenantRow, loaded: Loaded) -> list[MissingSecret]:
    """What the assistant's tools need and the tenant has not set."""
    return missing_secrets(tenant.slug, loaded, await queries.secret_names(tx, tenant.id))


async def require_secrets(tx: Transaction, tenant: TenantRow, loaded: Loaded) -> None:
    """Raises ConflictError when a tool of the assistant needs a secret that the tenant has not set."""
    if missing := await not_set(tx, tenant, loaded):
        raise ConflictError(refusal(missing))


def refusal(missing: Iterable[MissingSecret]) -> str:
    """What is said instead of publishing."""
    return "\n".join(map(str, missing))
