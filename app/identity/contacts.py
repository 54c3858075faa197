"""Find a tenant's contact by what a person has written."""

from dataclasses import dataclass
from uuid import UUID

from app.channels.typed_address import typed
from app.db import Database
from app.errors import NotFoundError
from app.identity import queries
from app.identity.service import tenant


@dataclass(frozen=True)
class ContactName:
    """What a person has written to name a tenant's contact, and the addresses that it may mean."""

    tenant_id: UUID
    tenant: str
    written: str
    addresses: tuple[str, ...]

    @property
    def unknown(self) -> NotFoundError:
        """The error that nobody has one of these addresses."""
        return NotFoundError(f"nobody has written to {self.tenant} from {self.written}")


async def find_contact(system: Database, slug: str, written: str) -> ContactName:
    """Return the addresses that a person may mean by a number in any form. Raises NotFoundError."""
    owner = await tenant(system, slug)
    async with system.statement() as tx:
        own = await queries.own_addresses(tx, owner.id)
    return ContactName(owner.id, slug, written, tuple(typed(written, own)))
