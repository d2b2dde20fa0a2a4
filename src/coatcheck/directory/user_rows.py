"""SQL statements that write users."""

import psycopg

from coatcheck.db.database import Connection, run
from coatcheck.errors import Conflict
from coatcheck.model.users import User


async def add_user(connection: Connection, user: User) -> None:
    """Writes a new user.

    Raises:
        Conflict: another user of the client has this `id`.
    """
    try:
        await run(
            connection,
            """INSERT INTO end_user (guid, client_guid, id, email, metadata, is_disabled, created_at)
               VALUES (%(guid)s, %(client_guid)s, %(id)s, %(email)s, %(metadata)s, %(is_disabled)s,
                       %(created_at)s)""",
            {name: getattr(user, name) for name in User.__slots__},
        )
    except psycopg.errors.UniqueViolation as error:
        raise Conflict("A user with this id already exists.") from error


async def change_user(connection: Connection, user: User) -> None:
    """Writes the fields that can change. Every read by a token checks `is_disabled`.

    Raises:
        Conflict: another user of the client has this `id`.
    """
    try:
        await run(
            connection,
            """UPDATE end_user SET id = %(id)s, email = %(email)s, metadata = %(metadata)s,
                                   is_disabled = %(is_disabled)s
               WHERE guid = %(guid)s""",
            {name: getattr(user, name) for name in User.__slots__},
        )
    except psycopg.errors.UniqueViolation as error:
        raise Conflict("A user with this id already exists.") from error


async def remove_user(connection: Connection, guid: str) -> None:
    """Deletes the user and, by cascade, its members, accounts and data. Tokens on them end at once."""
    await run(connection, "DELETE FROM end_user WHERE guid = %(guid)s", {"guid": guid})
