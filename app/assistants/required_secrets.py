"""Find the secrets that an assistant's tools need and that are not set. Reads names only."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from app.assistants import queries
from app.db import Transaction
from app.errors import ConflictError
from app.identity.queries import TenantRow
from manifest.loader import LoadedAssistant


@dataclass(frozen=True)
class MissingSecret:
    """A secret that a tool needs and that is not set."""

    slug: str
    tool: str
    name: str

    def __str__(self) -> str:
        return (
            f"the tool `{self.tool}` needs the secret {self.name}, which is not set: "
            f"`recado secrets set --tenant {self.slug} {self.name}` sets it"
        )


def missing_secrets(slug: str, loaded: LoadedAssistant, names: Collection[str]) -> list[MissingSecret]:
    """Return the secrets that the assistant's tools need beyond `known`, the names that are set."""
    tools = loaded.assistant.tools
    return [
        MissingSecret(slug, tool, name)
        for tool in sorted(tools)
        for name in sorted(tools[tool].secrets)
        if name not in names
    ]


async def not_set(tx: Transaction, tenant: TenantRow, loaded: LoadedAssistant) -> list[MissingSecret]:
    """Return the secrets that the assistant's tools need and that the tenant has not set."""
    return missing_secrets(tenant.slug, loaded, await queries.secret_names(tx, tenant.id))


async def require_secrets(tx: Transaction, tenant: TenantRow, loaded: LoadedAssistant) -> None:
    """Raise ConflictError when a tool needs a secret that the tenant has not set."""
    if missing := await not_set(tx, tenant, loaded):
        raise ConflictError(refusal(missing))


def refusal(missing: Iterable[MissingSecret]) -> str:
    """Return the text that refuses a publication."""
    return "\n".join(map(str, missing))
