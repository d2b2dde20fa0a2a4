"""Disclosures: who read whose data, written by the statement that reads."""

from datetime import datetime

from coatcheck.db.database import Connection
from coatcheck.db.partitions import ensure_month_partitions


def disclosure(reader: str, *, reader_guid: str, record_guid: str, what: str, count: str) -> str:
    """The body of a common table expression that writes one disclosure for each row of `reader`.

    Args:
        reader: a relation with the columns `client_guid` and `user_guid`; the other arguments are SQL expressions
            over its alias `r`.
        reader_guid: who reads.
        record_guid: what the read is limited to: a record, an account, a member or a user.
        what: the kind of data.
        count: how many records are read. It can be 0: an answered read is disclosed, whatever it finds.
    """
    return f"""INSERT INTO disclosure (at, reader_guid, client_guid, user_guid, record_guid, what, shown)
               SELECT %(now)s, {reader_guid}, r.client_guid, r.user_guid, {record_guid}, {what}, {count}
               FROM {reader} r"""


async def prepare_partitions(connection: Connection, now: datetime) -> None:
    """Creates the missing partitions of the disclosures for this month and the next two."""
    await ensure_month_partitions(connection, "disclosure", now)
