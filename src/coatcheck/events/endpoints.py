"""The webhook endpoints of clients and processors, as rows. The rules of changing them are in `directory`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.model.paging import Page, PageRequest, Selection, fetch_page


class EndpointStatus(StrEnum):
    ENABLED = "enabled"
    #: Deliveries wait until it is enabled.
    PAUSED = "paused"
    #: No deliveries are made, and those that waited have failed.
    DISABLED = "disabled"


class AuthenticationType(StrEnum):
    NONE = "none"
    BASIC = "basic"
    BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class Endpoint:
    guid: str
    owner_guid: str
    url: str
    events: Sequence[str]
    status: str
    """A value of `EndpointStatus`."""
    authentication: str
    """A value of `AuthenticationType`."""
    created_at: datetime


async def add_endpoint(connection: Connection, endpoint: Endpoint) -> None:
    await run(
        connection,
        """INSERT INTO webhook_endpoint (guid, owner_guid, url, events, status, authentication, created_at)
           VALUES (%(guid)s, %(owner_guid)s, %(url)s, %(events)s, %(status)s, %(authentication)s, %(created_at)s)""",
        {
            **{name: getattr(endpoint, name) for name in Endpoint.__slots__},
            "events": list(endpoint.events),
        },
    )


async def lock_endpoints(connection: Connection, owner_guid: str) -> None:
    """Lets no other transaction add an endpoint of the owner until this one ends.

    An advisory lock: the owner is a row of `client` or of `processor`, and there may be no endpoint to lock yet.
    """
    await run(
        connection,
        "SELECT pg_advisory_xact_lock(hashtextextended('webhook_endpoint ' || %(owner_guid)s, 0))",
        {"owner_guid": owner_guid},
    )


async def list_endpoints(connection: Connection, owner_guid: str, page: PageRequest) -> Page[Endpoint]:
    """The endpoints of the owner, oldest first."""
    return await fetch_page(
        connection,
        Endpoint,
        Selection(
            "webhook_endpoint",
            ("created_at", "guid"),
            {"owner_guid": owner_guid},
        ),
        page,
    )


async def find_endpoint(
    connection: Connection, owner_guid: str, guid: str, *, lock: bool = False
) -> Endpoint:
    """Raises NotFound if the owner has no such endpoint."""
    found = await fetch_one(
        connection,
        Endpoint,
        f"""SELECT {columns(Endpoint)} FROM webhook_endpoint
            WHERE owner_guid = %(owner_guid)s AND guid = %(guid)s {"FOR UPDATE" if lock else ""}""",
        {"owner_guid": owner_guid, "guid": guid},
    )
    if found is None:
        raise NotFound
    return found


async def change_endpoint(connection: Connection, guid: str, values: Mapping[str, object]) -> None:
    """Writes these columns of the endpoint. The names must not come from a request."""
    await run(
        connection,
        f"""UPDATE webhook_endpoint SET {", ".join(f"{name} = %({name})s" for name in values)}
            WHERE guid = %(guid)s""",
        {**values, "guid": guid},
    )


async def pause(connection: Connection, guid: str) -> None:
    """Pauses an endpoint that is enabled: its receiver answered 410."""
    await run(
        connection,
        # An endpoint that its owner disabled meanwhile stays disabled.
        "UPDATE webhook_endpoint SET status = 'paused' WHERE guid = %(guid)s AND status = 'enabled'",
        {"guid": guid},
    )


async def delete_endpoint(connection: Connection, guid: str) -> None:
    await run(connection, "DELETE FROM webhook_endpoint WHERE guid = %(guid)s", {"guid": guid})


async def end_deliveries(connection: Connection, guid: str) -> None:
    """Ends what waits for an endpoint as failed."""
    await run(
        connection,
        # A delivery that is being made saves no outcome afterwards: that needs `next_attempt_at`.
        """UPDATE delivery SET status = 'failed', next_attempt_at = NULL, lease_until = NULL, last_error = 'disabled'
           WHERE receiver_guid = %(guid)s AND next_attempt_at IS NOT NULL""",
        {"guid": guid},
    )
