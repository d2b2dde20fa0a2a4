"""A run changes only rows of its own member."""

import pytest

from coatcheck.connectors.contract import JobKind
from coatcheck.model.accounts import accounts_of_member
from tests.factories import Keyed, make_account, make_transaction, make_user
from tests.member_setup import make_end_user

STATUSES = "SELECT status FROM transaction WHERE guid = ANY (%(guids)s) ORDER BY status"


@pytest.fixture
async def end_user(services):
    return await make_end_user(services)


async def account_of(end_user, member):
    async with end_user.services.db.connection() as connection:
        return (await accounts_of_member(connection, member.user_guid, member.guid))[0]


async def test_an_unlisted_pending_transaction_is_deleted_and_a_posted_one_is_kept(end_user):
    member = await end_user.connected("mxuser")
    account = await account_of(end_user, member)
    pending = await make_transaction(end_user.services, account, status="PENDING", id="pending-1")
    posted = await make_transaction(end_user.services, account, status="POSTED", id="posted-1")
    assert (await end_user.run_job(member, JobKind.AGGREGATION)).connection_status == "CONNECTED"
    assert await end_user.rows(STATUSES, guids=[pending, posted]) == [("POSTED",)]


async def test_pending_transactions_of_another_member_and_of_another_user_stay(end_user):
    member = await end_user.connected("mxuser")
    client = Keyed(end_user.client.guid, "")
    others = [
        await make_account(end_user.services, end_user.user),
        await make_account(end_user.services, await make_user(end_user.services, client)),
    ]
    pending = [
        await make_transaction(end_user.services, each, status="PENDING", id="pending-1") for each in others
    ]
    assert (await end_user.run_job(member, JobKind.AGGREGATION)).connection_status == "CONNECTED"
    assert await end_user.rows(STATUSES, guids=pending) == [("PENDING",), ("PENDING",)]


async def test_accounts_of_another_member_and_of_another_user_stay_open(end_user):
    member = await end_user.connected("mxuser")
    client = Keyed(end_user.client.guid, "")
    mine = await make_account(end_user.services, end_user.user, id="no-longer-there")
    theirs = await make_account(
        end_user.services, await make_user(end_user.services, client), id="no-longer-there"
    )
    await end_user.rows(
        "UPDATE account SET member_guid = %(member)s WHERE guid = %(guid)s",
        member=member.guid,
        guid=(
            unlisted := await make_account(end_user.services, end_user.user, id="unlisted-from-the-bank")
        ).guid,
    )
    assert (await end_user.run_job(member, JobKind.AGGREGATION)).connection_status == "CONNECTED"
    closed = "SELECT guid, is_closed FROM account WHERE guid = ANY (%(guids)s)"
    assert dict(await end_user.rows(closed, guids=[mine.guid, theirs.guid, unlisted.guid])) == {
        mine.guid: False,
        theirs.guid: False,
        unlisted.guid: True,
    }
