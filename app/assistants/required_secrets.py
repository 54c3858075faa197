"""Find the secrets that an assistant's tools need and that are not set. Reads names only."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from app.assistants import queries
from app.db import Transaction
from app.errors import ConflictError
from app.identity.queries import TenantRow
from manifest.loader import LoadedAssistant

NAMED = 3
"""The tools that an error names."""


@dataclass(frozen=True)
class MissingSecret:
    """A secret that tools need and that is not set."""

    slug: str
    name: str
    tools: tuple[str, ...]

    def __str__(self) -> str:
        named = ", ".join(f"`{tool}`" for tool in self.tools[:NAMED])
        more = f" and {len(self.tools) - NAMED} more" if len(self.tools) > NAMED else ""
        who = f"the tools {named}{more} need" if len(self.tools) > 1 else f"the tool {named} needs"
        return (
            f"{who} the secret {self.name}, which is not set: "
            f"`recado secrets set --tenant {self.slug} {self.name}` sets it"
        )


def missing_secrets(slug: str, loaded: LoadedAssistant, names: Collection[str]) -> list[MissingSecret]:
    """Return the secrets that the assistant's tools need beyond `known`, the names that are set."""
    needing: defaultdict[str, list[str]] = defaultdict(list)
    for tool in sorted(loaded.assistant.tools):
        for name in loaded.assistant.tools[tool].secrets - set(names):
            needing[name].append(tool)
    return [MissingSecret(slug, name, tuple(needing[name])) for name in sorted(needing)]


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
