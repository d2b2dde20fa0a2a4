"""Reading one member changes rows of that member alone."""

import pytest

from coatcheck.connectors.contract import JobKind
from coatcheck.model.accounts import accounts_of_member
from tests.factories import Keyed, make_account, make_transaction, make_user
from tests.member_setup import make_home

STATUSES = "SELECT status FROM transaction WHERE guid = ANY (%(guids)s) ORDER BY status"


@pytest.fixture
async def home(services):
    return await make_home(services)


async def account_of(home, member):
    async with home.services.db.connection() as connection:
        return (await accounts_of_member(connection, member.user_guid, member.guid))[0]


async def test_a_pending_transaction_that_is_listed_no_more_goes_and_a_posted_one_stays(home):
    member = await home.connected("mxuser")
    account = await account_of(home, member)
    pending = await make_transaction(home.services, account, status="PENDING", id="pending-1")
    posted = await make_transaction(home.services, account, status="POSTED", id="posted-1")
    assert (await home.done(member, JobKind.AGGREGATION)).connection_status == "CONNECTED"
    assert await home.rows(STATUSES, guids=[pending, posted]) == [("POSTED",)]


async def test_pending_transactions_of_another_member_and_of_another_user_stay(home):
    member = await home.connected("mxuser")
    client = Keyed(home.client.guid, "")
    others = [
        await make_account(home.services, home.user),
        await make_account(home.services, await make_user(home.services, client)),
    ]
    pending = [
        await make_transaction(home.services, each, status="PENDING", id="pending-1") for each in others
    ]
    assert (await home.done(member, JobKind.AGGREGATION)).connection_status == "CONNECTED"
    assert await home.rows(STATUSES, guids=pending) == [("PENDING",), ("PENDING",)]


async def test_accounts_of_another_member_and_of_another_user_stay_open(home):
    member = await home.connected("mxuser")
    client = Keyed(home.client.guid, "")
    mine = await make_account(home.services, home.user, id="no-longer-there")
    theirs = await make_account(home.services, await make_user(home.services, client), id="no-longer-there")
    await home.rows(
        "UPDATE account SET member_guid = %(member)s WHERE guid = %(guid)s",
        member=member.guid,
        guid=(gone := await make_account(home.services, home.user, id="gone-from-the-bank")).guid,
    )
    assert (await home.done(member, JobKind.AGGREGATION)).connection_status == "CONNECTED"
    closed = "SELECT guid, is_closed FROM account WHERE guid = ANY (%(guids)s)"
    assert dict(await home.rows(closed, guids=[mine.guid, theirs.guid, gone.guid])) == {
        mine.guid: False,
        theirs.guid: False,
        gone.guid: True,
    }
