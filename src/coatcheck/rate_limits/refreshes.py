"""How often processors have institutions read: each such job is a call of the institution that nobody else needs.

It is counted in the table `rate_limit` by the transaction that starts the job. So the limits are exact over all
processes, and a job that is not started is not counted.
"""

from datetime import datetime, timedelta

from limits import parse

from coatcheck.config import Settings
from coatcheck.db.database import Connection
from coatcheck.errors import TooManyRequests
from coatcheck.rate_limits.storage import increment


async def count_refresh(
    connection: Connection,
    settings: Settings,
    now: datetime,
    *,
    processor_guid: str,
    member_guid: str,
    institution_code: str,
) -> None:
    """Counts a job that a processor starts on a member.

    Raises:
        TooManyRequests: the member was read as often as `limit_refreshes_of_member` allows, or the processor had the
            institution read as often as `limit_refreshes_of_processor` allows.
    """
    of_processor = f"{processor_guid}/{institution_code}"
    for key, limit in (
        (member_guid, settings.limit_refreshes_of_member),
        (of_processor, settings.limit_refreshes_of_processor),
    ):
        if not limit:
            continue
        allowed = parse(limit)
        period = timedelta(seconds=allowed.get_expiry())
        counter = await increment(connection, f"refreshes/{key}", period, now)
        if counter.hits > allowed.amount:
            raise TooManyRequests(
                counter.expires_at - now, "Processors have had the institution read as often as they may."
            )
