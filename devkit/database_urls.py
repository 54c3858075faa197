"""The logins of one database: its owner, and those of Recado's processes."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from psycopg.conninfo import make_conninfo

import migrations
from app.errors import RecadoError

OWNER = "OWNER_DATABASE_URL"


@dataclass(frozen=True)
class DatabaseUrls:
    """The URLs of a database: as the owner of the tables, as `recado_app`'s login and as `recado_system`'s."""

    owner: str
    app: str
    system: str

    @classmethod
    def given(cls, environ: Mapping[str, str]) -> Self | None:
        """Return the URLs of the environment, or None without the owner's. Raises RecadoError without the others."""
        owner, *others = (environ.get(name, "") for name in (OWNER, *migrations.LOGIN_ROLES))
        if owner and all(others):
            return cls(owner, *others)
        if owner or any(others):
            raise RecadoError(f"a Postgres of your own needs {OWNER}, {' and '.join(migrations.LOGIN_ROLES)}")
        return None

    @classmethod
    def of_owner(cls, owner: str) -> Self:
        """Return URLs with logins of our own names. Their passwords are derived from the owner's."""
        parts = urlsplit(owner)

        def login(name: str) -> str:
            password = hashlib.sha256(f"{parts.password} {name}".encode()).hexdigest()[:32]
            return parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()

        return cls(owner, *(login(f"{role}_login") for role in migrations.LOGIN_ROLES.values()))

    def named(self, database: str) -> Self:
        """Return the URLs of another database on the same server, with the same logins."""
        return type(self)(*(make_conninfo(url, dbname=database) for url in (self.owner, self.app, self.system)))

    def migrate(self) -> Iterator[migrations.Migration]:
        """Do what `recado migrate` does, and yield each migration that was missing."""
        yield from migrations.apply(self.owner)
        list(migrations.make_logins(self.owner, self.processes))

    @property
    def processes(self) -> dict[str, str]:
        """The environment of Recado's processes. They do not get the owner's URL."""
        return dict(zip(migrations.LOGIN_ROLES, (self.app, self.system), strict=True))

    @property
    def environment(self) -> dict[str, str]:
        """The environment of commands that migrate, too."""
        return {OWNER: self.owner, **self.processes}
