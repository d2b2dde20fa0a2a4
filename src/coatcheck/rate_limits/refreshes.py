"""How often processors have institutions read: each such job is a call of the institution that nobody else needs.

It is counted in the table `rate_limit` by the transaction that starts the job. So the limits are exact over all
processes, and a job that is not started is not counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from limits import parse

from coatcheck.config import Settings
from coatcheck.db.database import Connection
from coatcheck.errors import TooManyRequests
from coatcheck.rate_limits.storage import counters_of, increment


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
    # Each count locks its row. In one order, so that no two requests wait for each other.
    for key, limit in (
        (_key(member_guid), settings.limit_refreshes_of_member),
        (_key(processor_guid, institution_code), settings.limit_refreshes_of_processor),
    ):
        if not limit:
            continue
        allowed = parse(limit)
        period = timedelta(seconds=allowed.get_expiry())
        counter = await increment(connection, key, period, now)
        if counter.hits > allowed.amount:
            raise TooManyRequests(
                counter.expires_at - now, "Processors have had the institution read as often as they may."
            )


@dataclass(frozen=True, slots=True)
class UsedBudget:
    """How much of `limit_refreshes_of_processor` is used in the period that runs."""

    used: int
    until: datetime


async def used_budgets(
    connection: Connection, now: datetime, of: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], UsedBudget]:
    """By the guid of a processor and the code of an institution, of those pairs that have used any."""
    pairs = {_key(*pair): pair for pair in of}
    return {
        pairs[each.key]: UsedBudget(each.hits, each.expires_at)
        for each in await counters_of(connection, list(pairs), now)
    }


def _key(*parts: str) -> str:
    return f"refreshes/{'/'.join(parts)}"
