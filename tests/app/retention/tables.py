"""Find what the database still has of a contact."""

from typing import LiteralString

import psycopg
from psycopg import sql

from tests.platform import Platform

TABLES: LiteralString = """
    select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1
"""


def mentions(platform: Platform, *texts: str) -> dict[str, int]:
    """Return the tables that have rows with one of the texts, and their number."""
    found = {}
    with psycopg.connect(platform.urls.owner, autocommit=True) as connection:
        for (table,) in connection.execute(TABLES).fetchall():
            query = sql.SQL("select count(*) from {} t where t::text like any(%s)").format(sql.Identifier(table))
            row = connection.execute(query, [[f"%{text}%" for text in texts]]).fetchone()
            if row is not None and row[0]:
                found[table] = row[0]
    return found


async def ids_of(platform: Platform, address: str) -> list[str]:
    """Return the ids of a contact and of its conversations, and its address."""
    rows = await platform.rows(
        """select k.id::text as contact, c.id::text as conversation from contacts k
           left join conversations c on c.contact_id = k.id where k.address = %(address)s""",
        address=address,
    )
    return [address, *{row["contact"] for row in rows}, *{row["conversation"] for row in rows if row["conversation"]}]
