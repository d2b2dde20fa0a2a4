"""SQL statements that write processors, and which processors are enabled for a client."""

from collections.abc import Sequence
from datetime import datetime

from coatcheck.db.database import Connection, run
from coatcheck.errors import NotFound
from coatcheck.model.clients import Processor

SECURITY_COLUMNS = {
    "client_authentication",
    "sender_constraint",
    "profile",
    "jwks",
    "certificate_thumbprints",
}


async def add_processor(connection: Connection, processor: Processor) -> None:
    await run(
        connection,
        """INSERT INTO processor
                  (guid, name, owners_at_transactions, numbers_as_strings, is_disabled, created_at)
           VALUES (%(guid)s, %(name)s, %(owners_at_transactions)s, %(numbers_as_strings)s,
                   %(is_disabled)s, %(created_at)s)""",
        {name: getattr(processor, name) for name in Processor.__slots__},
    )


async def add_app(connection: Connection, app: Processor) -> bool:
    """Adds an app, and returns whether it is new: of two at once with one name, one is."""
    return bool(
        await run(
            connection,
            """INSERT INTO processor (guid, name, created_at, app_of)
               VALUES (%(guid)s, %(name)s, %(created_at)s, %(app_of)s)
               ON CONFLICT (app_of, name) WHERE app_of IS NOT NULL DO NOTHING""",
            {name: getattr(app, name) for name in Processor.__slots__},
        )
    )


async def set_processor_disabled(connection: Connection, guid: str, is_disabled: bool) -> None:
    """Enables or disables the processor. Every read by a token checks this flag.

    Raises:
        NotFound: there is no such processor.
    """
    await _update(connection, guid, "is_disabled = %(value)s", is_disabled)


async def set_processor_networks(connection: Connection, guid: str, networks: Sequence[str] | None) -> None:
    """Sets from where the processor's API keys and tokens are accepted. None: from everywhere.

    Raises:
        NotFound: there is no such processor.
    """
    await _update(connection, guid, "allowed_networks = %(value)s::cidr[]", networks)


async def set_processor_security(
    connection: Connection, guid: str, column: str, value: str | list[str]
) -> None:
    """Changes one of `SECURITY_COLUMNS`.

    Raises:
        NotFound: there is no such processor.
    """
    # The name becomes SQL.
    assert column in SECURITY_COLUMNS
    await _update(connection, guid, f"{column} = %(value)s", value)


async def enable_processor(
    connection: Connection, *, client_guid: str, processor_guid: str, now: datetime
) -> None:
    """Lets the processor redeem the client's codes. Does nothing if it may already."""
    await run(
        connection,
        """INSERT INTO client_processor (client_guid, processor_guid, enabled_at)
           VALUES (%(client_guid)s, %(processor_guid)s, %(now)s) ON CONFLICT DO NOTHING""",
        {"client_guid": client_guid, "processor_guid": processor_guid, "now": now},
    )


async def disable_processor(connection: Connection, *, client_guid: str, processor_guid: str) -> None:
    """Ends the processor's tokens of this client, and lets it redeem no more of the client's codes.

    Every exchange and every read by a token checks this row. Does nothing if there is none.
    """
    await run(
        connection,
        """DELETE FROM client_processor
           WHERE client_guid = %(client_guid)s AND processor_guid = %(processor_guid)s""",
        {"client_guid": client_guid, "processor_guid": processor_guid},
    )


async def _update(connection: Connection, guid: str, assignment: str, value: object) -> None:
    if not await run(
        connection,
        f"UPDATE processor SET {assignment} WHERE guid = %(guid)s",
        {"guid": guid, "value": value},
    ):
        raise NotFound
