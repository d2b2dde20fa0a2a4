"""The statuses of institutions: what the operator says of each, and what it permits each client there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from coatcheck.db.database import Connection, fetch_all, fetch_one


class InstitutionStatus(StrEnum):
    """How well the institution works, for every client (MX docs: institutions)."""

    OPERATIONAL = "OPERATIONAL"
    MAINTENANCE = "MAINTENANCE"
    DEGRADED = "DEGRADED"
    UNAVAILABLE = "UNAVAILABLE"


class ClientStatus(StrEnum):
    """What a client may do at the institution (MX docs: institutions)."""

    AVAILABLE = "AVAILABLE"
    PREVENT_ALL = "PREVENT_ALL"
    PREVENT_NEW = "PREVENT_NEW"
    PREVENT_ALL_AND_DISCONNECT = "PREVENT_ALL_AND_DISCONNECT"
    PREVENT_VERIFICATION = "PREVENT_VERIFICATION"
    PREVENT_BACKGROUND_AGG = "PREVENT_BACKGROUND_AGG"


BLOCKED = frozenset(
    {ClientStatus.PREVENT_ALL, ClientStatus.PREVENT_NEW, ClientStatus.PREVENT_ALL_AND_DISCONNECT}
)
"""The client can make no new connection."""

NOT_WORKING = frozenset({InstitutionStatus.MAINTENANCE, InstitutionStatus.UNAVAILABLE})
"""No job starts."""

NOT_IN_BACKGROUND = """(
    EXISTS (SELECT FROM institution_status i
            WHERE i.institution_code = m.institution_code AND i.status IN ('MAINTENANCE', 'UNAVAILABLE'))
    OR EXISTS (SELECT FROM institution_client_status i
               WHERE i.institution_code = m.institution_code AND i.client_guid = m.client_guid
                 AND i.client_status IN ('PREVENT_ALL', 'PREVENT_ALL_AND_DISCONNECT', 'PREVENT_BACKGROUND_AGG')))"""
"""A condition over a member `m`: its institution must not be read daily."""


@dataclass(frozen=True, slots=True)
class Availability:
    """The statuses of an institution, as one client sees them."""

    status: InstitutionStatus = InstitutionStatus.OPERATIONAL
    client_status: ClientStatus = ClientStatus.AVAILABLE

    @property
    def is_blocked(self) -> bool:
        return self.client_status in BLOCKED

    @property
    def takes_new_members(self) -> bool:
        return not self.is_blocked and self.status not in NOT_WORKING


AVAILABLE = Availability()


STATUS_COLUMNS = """
    coalesce((SELECT status FROM institution_status WHERE institution_code = %(institution_code)s), 'OPERATIONAL')
        AS status,
    coalesce((SELECT client_status FROM institution_client_status
              WHERE institution_code = %(institution_code)s AND client_guid = %(client_guid)s), 'AVAILABLE')
        AS client_status"""
"""A fragment: the statuses of one institution for one client, as columns of a statement that reads more."""


@dataclass(frozen=True, slots=True)
class _Statuses:
    status: str
    client_status: str


@dataclass(frozen=True, slots=True)
class _Row(_Statuses):
    institution_code: str


@dataclass(frozen=True, slots=True)
class RestrictedClient:
    """A client to which an institution is not AVAILABLE."""

    client_guid: str
    institution_code: str
    client_status: str


async def availability(connection: Connection, client_guid: str, institution_code: str) -> Availability:
    """The statuses of the institution for the client."""
    found = await fetch_one(
        connection,
        _Statuses,
        f"SELECT {STATUS_COLUMNS}",
        {"client_guid": client_guid, "institution_code": institution_code},
    )
    assert found is not None, "the statement always returns a row"
    return Availability(InstitutionStatus(found.status), ClientStatus(found.client_status))


# The client is selected before the FULL JOIN: a condition after it would drop institutions without a row of clients.
async def availabilities(connection: Connection, client_guid: str) -> Mapping[str, Availability]:
    """By code, every institution of which a status is not the usual one."""
    rows = await fetch_all(
        connection,
        _Row,
        """SELECT coalesce(i.status, 'OPERATIONAL') AS status, coalesce(c.client_status, 'AVAILABLE') AS client_status,
                  institution_code
           FROM institution_status i
           FULL JOIN (SELECT * FROM institution_client_status WHERE client_guid = %(client_guid)s) AS c
                USING (institution_code)""",
        {"client_guid": client_guid},
    )
    return {
        row.institution_code: Availability(InstitutionStatus(row.status), ClientStatus(row.client_status))
        for row in rows
    }


async def statuses(connection: Connection) -> Mapping[str, InstitutionStatus]:
    """By code, the institutions that are not OPERATIONAL."""
    cursor = await connection.execute("SELECT institution_code, status FROM institution_status")
    return {code: InstitutionStatus(status) for code, status in await cursor.fetchall()}


async def restricted_clients(connection: Connection) -> Sequence[RestrictedClient]:
    return await fetch_all(
        connection,
        RestrictedClient,
        """SELECT client_guid, institution_code, client_status FROM institution_client_status
           ORDER BY institution_code, client_guid""",
    )
