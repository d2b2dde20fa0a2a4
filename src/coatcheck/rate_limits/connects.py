"""How often a user connects: a new member, or new credentials of one. Each makes a worker sign in at a bank.

It is counted in the table `rate_limit` by the transaction that connects, wherever the other counters are. So the limit
is exact over all processes, and a connect that was refused or failed is not counted. One whose member is deleted
afterwards is: otherwise whoever has a widget link could try passwords at a bank without end.
"""

from datetime import datetime, timedelta

from limits import parse

from coatcheck.db.database import Connection
from coatcheck.errors import TooManyRequests
from coatcheck.rate_limits.storage import delete_counter, increment


async def count_connect(connection: Connection, user_guid: str, limit: str, now: datetime) -> None:
    """Counts a connect of the user.

    Args:
        connection: the caller's transaction, which is rolled back on an error.
        user_guid: who connects.
        limit: the setting `limit_connects_of_user`. Empty for none.
        now: the time.

    Raises:
        TooManyRequests: the user connected as often as the limit allows.
    """
    if not limit:
        return
    allowed = parse(limit)
    # Counted first and compared afterwards: the row is locked, so that of two at the limit one is refused.
    counter = await increment(connection, _key(user_guid), timedelta(seconds=allowed.get_expiry()), now)
    if counter.hits > allowed.amount:
        raise TooManyRequests(
            counter.expires_at - now, f"The user connected accounts {allowed.amount} times lately."
        )


async def forget_connects(connection: Connection, user_guid: str) -> None:
    """Deletes the count of a user, as the user is deleted or reset."""
    await delete_counter(connection, _key(user_guid))


def _key(user_guid: str) -> str:
    return f"connects/{user_guid}"
