"""Who could read an account in a period: the grants that were valid then."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.db.database import Connection, columns, fetch_all
from coatcheck.grants.listing import PERMISSIONS
from coatcheck.grants.token_indexes import is_of


@dataclass(frozen=True, slots=True)
class PossibleReader:
    """A grant for the account that was valid in the period."""

    grant_guid: str
    processor_guid: str
    processor_name: str
    client_guid: str
    user_guid: str
    permissions: Sequence[str]
    """Those of its last version."""
    valid_from: datetime
    valid_until: datetime


async def possible_readers(
    connection: Connection, account_guid: str, start: datetime, end: datetime
) -> Sequence[PossibleReader]:
    """The grants for the account that were valid at some instant of the period, oldest first.

    Grants are deleted a month after they expire. Disclosures stay: what was read is known for longer.
    """
    return await fetch_all(
        connection,
        PossibleReader,
        # `least` ignores NULL: a grant that was not revoked is valid until it expires.
        f"""SELECT {columns(PossibleReader)} FROM (
                SELECT t.guid AS grant_guid, t.processor_guid, p.name AS processor_name, t.client_guid, t.user_guid,
                       {PERMISSIONS} AS permissions, t.created_at AS valid_from,
                       least(t.expires_at, t.revoked_at) AS valid_until
                FROM access_token t JOIN processor p ON p.guid = t.processor_guid
                WHERE {is_of("account_guid")} AND t.created_at < %(end)s
            ) AS grants
            WHERE valid_until > %(start)s ORDER BY valid_from, grant_guid""",
        {"account_guid": account_guid, "start": start, "end": end},
    )
