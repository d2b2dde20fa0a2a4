"""End users. Every look-up starts from their client."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from coatcheck.db.database import Connection, Database, columns, fetch_one
from coatcheck.errors import NotFound
from coatcheck.model.paging import Page, PageRequest, Selection, each_batch, fetch_page


@dataclass(frozen=True, slots=True)
class User:
    guid: str
    client_guid: str
    id: str | None
    """The client's own identifier of the user, unique among the client's users."""
    email: str | None
    metadata: str | None
    is_disabled: bool
    created_at: datetime
    revision: int = 1
    """1 for a new user, and one more for each change."""


async def find_user(connection: Connection, client_guid: str, identifier: str, *, lock: bool = False) -> User:
    """The client's user by guid, or else by the client's own `id`.

    Args:
        connection: a transaction, if the row is locked.
        client_guid: the user's client.
        identifier: the guid or the `id`.
        lock: locks the row until the transaction ends, so that changes to the user and its members are serialized.

    Raises:
        NotFound: the client has no such user.
    """
    # A client chooses `id` and could choose another user's guid, so the guid has priority.
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


async def find_user_of_any_client(connection: Connection, guid: str) -> User:
    """The user with this guid, for the operator.

    Raises:
        NotFound: there is none.
    """
    user = await fetch_one(
        connection, User, f"SELECT {columns(User)} FROM end_user WHERE guid = %(guid)s", {"guid": guid}
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
        _of_client({"client_guid": client_guid, "id": id, "email": email}, is_disabled),
        page,
    )


async def search_users(
    connection: Connection, client_guid: str, page: PageRequest, *, text: str, is_disabled: bool | None = None
) -> Page[User]:
    """The users of the client whose guid, `id` or e-mail address contains the text."""
    return await fetch_page(connection, User, _containing(client_guid, text, is_disabled), page)


def each_user(
    db: Database, client_guid: str, *, text: str, is_disabled: bool | None = None
) -> AsyncIterator[Sequence[User]]:
    """What `search_users` finds, in batches."""
    return each_batch(db, User, _containing(client_guid, text, is_disabled))


def _containing(client_guid: str, text: str, is_disabled: bool | None) -> Selection:
    selection = _of_client({"client_guid": client_guid}, is_disabled)
    # In LIKE, the text could have wildcards.
    contains = "strpos(lower(concat_ws(' ', guid, id, email)), lower(%(text)s)) > 0"
    return replace(selection, conditions=[*selection.conditions, contains], values={"text": text})


def _of_client(filters: Mapping[str, str | None], is_disabled: bool | None) -> Selection:
    return Selection(
        "end_user",
        ("created_at", "guid"),
        filters,
        # The index of the disabled users has this condition.
        [] if is_disabled is None else ["is_disabled" if is_disabled else "NOT is_disabled"],
    )


OF_CLIENT = """SELECT guid AS user_guid, client_guid FROM end_user
               WHERE guid = %(user_guid)s AND client_guid = %(client_guid)s"""
"""A fragment: the user `user_guid`, if it is a user of the client `client_guid`."""
