"""End users, always looked up below their client."""

from dataclasses import dataclass
from datetime import datetime

import psycopg

from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import Conflict, NotFound
from coatcheck.model.paging import Page, PageRequest, fetch_page


@dataclass(frozen=True, slots=True)
class User:
    guid: str
    client_guid: str
    id: str | None
    """The client's own name for the user, unique below the client."""
    email: str | None
    metadata: str | None
    is_disabled: bool
    created_at: datetime


async def find_user(connection: Connection, client_guid: str, identifier: str, *, lock: bool = False) -> User:
    """The client's user by guid, or else by the client's own `id`.

    Args:
        connection: a transaction, where the user is held.
        client_guid: whose user it must be.
        identifier: the guid or the `id`.
        lock: locks the row, so that who changes parts of the user or of its members does so one at a time.

    Raises:
        NotFound: there is none below this client.
    """
    user = await fetch_one(
        connection,
        User,
        f"""SELECT {columns(User)} FROM end_user
            WHERE client_guid = %(client_guid)s AND (guid = %(identifier)s OR id = %(identifier)s)
            ORDER BY guid = %(identifier)s DESC LIMIT 1 {"FOR NO KEY UPDATE" if lock else ""}""",
        {"client_guid": client_guid, "identifier": identifier},
    )
    if user is None:
        raise NotFound
    return user


async def list_users(
    connection: Connection,
    client_guid: str,
    page: PageRequest,
    *,
    id: str | None = None,
    email: str | None = None,
    is_disabled: bool | None = None,
) -> Page[User]:
    return await fetch_page(
        connection,
        User,
        select=columns(User),
        source="""end_user WHERE client_guid = %(client_guid)s
                  AND (%(id)s::text IS NULL OR id = %(id)s)
                  AND (%(email)s::text IS NULL OR email = %(email)s)
                  AND (%(is_disabled)s::boolean IS NULL OR is_disabled = %(is_disabled)s)""",
        order="created_at, guid",
        page=page,
        parameters={"client_guid": client_guid, "id": id, "email": email, "is_disabled": is_disabled},
    )


OF_CLIENT = """SELECT guid AS user_guid, client_guid FROM end_user
               WHERE guid = %(user_guid)s AND client_guid = %(client_guid)s"""
"""A fragment: the user `user_guid`, if it is a user of the client `client_guid`."""


async def add_user(connection: Connection, user: User) -> None:
    """Writes a new user.

    Raises:
        Conflict: the client already uses this `id`.
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
    """Writes the changeable fields. Disabling ends every token on the user's data at once.

    Raises:
        Conflict: the client already uses this `id`.
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
    """Removes the user and, by cascade, everything that hangs on it; tokens on it are dead at once."""
    await run(connection, "DELETE FROM end_user WHERE guid = %(guid)s", {"guid": guid})
