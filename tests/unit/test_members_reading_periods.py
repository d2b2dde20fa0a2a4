"""A daily aggregation reads what can have changed since the last run, and leaves nothing unread."""

from datetime import timedelta

import pytest

from coatcheck.connectors.contract import Connector, JobKind
from coatcheck.members.run_conditions import check_run
from coatcheck.worker_services import run_pending
from tests.member_setup import make_end_user

pytestmark = pytest.mark.own_database

ACCOUNTS = "SELECT id FROM account WHERE user_guid = %(user)s"
DAY = timedelta(days=1)


async def daily_job(end_user, clock, after=DAY):
    """The claimed job of a daily aggregation."""
    clock.advance(after)
    scheduler = end_user.worker_services.scheduler
    await scheduler.refresh()
    (job,) = await scheduler.claim(1)
    return job


async def known(services, job):
    async with services.db.connection() as connection:
        return await check_run(connection, job, Connector)


async def run_day(end_user, clock):
    clock.advance(DAY)
    await end_user.worker_services.scheduler.refresh()
    await run_pending(end_user.services)


async def test_a_daily_aggregation_reads_the_days_since_the_last_run_and_some_before(services, clock):
    end_user = await make_end_user(services)
    await end_user.connected()
    read_on = clock.now().date()
    # Nothing of the last run is pending any more, or the first day would be that of a pending transaction.
    await end_user.rows("UPDATE transaction SET status = 'POSTED' WHERE user_guid = %(user)s")
    found = await known(services, await daily_job(end_user, clock, 3 * DAY))
    ids = {id for (id,) in await end_user.rows(ACCOUNTS)}
    assert ids
    assert found == dict.fromkeys(ids, read_on - Connector.overlap)


async def test_the_first_day_is_before_the_oldest_pending_transaction_whose_day_can_differ_at_the_bank(
    services, clock
):
    end_user = await make_end_user(services)
    await end_user.connected()
    oldest = clock.now().date() - Connector.overlap - 20 * DAY
    await end_user.rows("UPDATE transaction SET status = 'POSTED' WHERE user_guid = %(user)s")
    await end_user.rows(
        """UPDATE transaction t SET status = 'PENDING', date = %(oldest)s
           WHERE user_guid = %(user)s AND guid IN (SELECT min(guid) FROM transaction WHERE user_guid = %(user)s
                                                   GROUP BY account_guid)""",
        oldest=oldest,
    )
    found = await known(services, await daily_job(end_user, clock))
    assert {*found.values()} == {oldest - 2 * DAY}


async def test_an_aggregation_that_the_client_asks_for_reads_all_days(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected()
    clock.advance(DAY)
    await end_user.start(member, JobKind.AGGREGATION)
    (job,) = await end_user.worker_services.scheduler.claim(1)
    assert await known(services, job) == {}


async def test_all_days_are_read_of_an_account_whose_transactions_were_never_read(services, clock):
    end_user = await make_end_user(services)
    await end_user.connected(include_transactions=False)
    assert await known(services, await daily_job(end_user, clock)) == {}


async def test_all_days_are_read_while_an_account_has_transactions_of_another_connector(services, clock):
    end_user = await make_end_user(services)
    await end_user.connected()
    await end_user.rows(
        """UPDATE account SET foreign_before = '9999-12-31'
           WHERE user_guid = %(user)s AND guid = (SELECT max(guid) FROM account WHERE user_guid = %(user)s)"""
    )
    assert await known(services, await daily_job(end_user, clock)) == {}


async def test_days_before_those_of_a_run_of_all_days_may_be_of_another_connector(services, clock):
    end_user = await make_end_user(services)
    await end_user.connected()
    await end_user.rows("UPDATE account SET foreign_before = '9999-12-31' WHERE user_guid = %(user)s")
    await run_day(end_user, clock)
    found = await known(services, await daily_job(end_user, clock))
    assert {id for (id,) in await end_user.rows(ACCOUNTS)} == {*found}


async def test_a_transaction_that_was_pending_for_long_posts_under_its_guid(services, clock):
    end_user = await make_end_user(services)
    await end_user.connected()
    long_ago = clock.now().date() - Connector.overlap - 20 * DAY
    pending = await end_user.rows(
        """UPDATE transaction SET status = 'PENDING'
           WHERE user_guid = %(user)s AND date BETWEEN %(from)s AND %(to)s RETURNING guid""",
        **{"from": long_ago - 10 * DAY, "to": long_ago},
    )
    assert pending
    await run_day(end_user, clock)
    posted = await end_user.rows(
        "SELECT guid FROM transaction WHERE user_guid = %(user)s AND guid = ANY (%(guids)s) AND status = 'POSTED'",
        guids=[guid for (guid,) in pending],
    )
    assert sorted(posted) == sorted(pending)


@pytest.mark.parametrize(
    "login", ["mxuser", "anna+persona=gig", "ben+duplicate_tx", "cleo+schema_drift", "dora+backdated"]
)
async def test_daily_aggregations_leave_nothing_for_one_that_reads_all_days(services, clock, login):
    end_user = await make_end_user(services)
    member = await end_user.connected(login)
    for _ in range(40):
        await run_day(end_user, clock)
    before = await end_user.events("AGGREGATION")
    assert len(before) == 41
    assert sum(each["transactions_created_count"] for each in before[1:]) > 0
    await end_user.run_job(member, JobKind.AGGREGATION)
    last = (await end_user.events("AGGREGATION"))[-1]
    assert (last["transactions_created_count"], last["transactions_updated_count"]) == (0, 0)
