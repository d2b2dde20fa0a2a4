"""The list of grants: totals are exact, but those of long lists are kept for a while; a page reads few others."""

from datetime import timedelta

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.grants import listing
from coatcheck.grants.listing import GrantFilter
from coatcheck.model import paging
from coatcheck.model.accounts import Account
from coatcheck.model.paging import PageRequest
from coatcheck.model.tokens import GrantStatus
from tests.factories import Keyed, make_account, make_token, make_user
from tests.rows_read import rows_read

FOR_EVER = 1e9


async def total(services: Services, filters: GrantFilter) -> int:
    async with services.db.connection() as connection:
        return (await services.grants.list(connection, filters, PageRequest(size=1))).total


@pytest.fixture
async def of_client(services: Services, client: Keyed, processor: Keyed, account: Account) -> GrantFilter:
    """The list of a client's two grants."""
    for _ in range(2):
        await make_token(services, account, processor)
    return GrantFilter(client_guid=client.guid)


async def test_the_total_of_a_short_list_is_always_exact(
    services: Services,
    processor: Keyed,
    account: Account,
    of_client: GrantFilter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging, "COUNT_IS_KEPT_FOR", FOR_EVER)
    assert await total(services, of_client) == 2
    await make_token(services, account, processor)
    assert await total(services, of_client) == 3


async def test_the_total_of_a_long_list_is_kept_for_a_multiple_of_the_time_that_its_count_takes(
    services: Services,
    processor: Keyed,
    account: Account,
    of_client: GrantFilter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging, "MANY", 0)
    monkeypatch.setattr(paging, "COUNT_IS_KEPT_FOR", FOR_EVER)
    of_processor = GrantFilter(processor_guid=processor.guid)
    assert await total(services, of_client) == 2
    await make_token(services, account, processor)
    assert await total(services, of_client) == 2
    assert await total(services, of_processor) == 3
    assert (
        await total(services, GrantFilter(client_guid=of_client.client_guid, account_guid=account.guid)) == 3
    )


async def test_a_kept_total_is_counted_again_when_its_time_is_over(
    services: Services,
    processor: Keyed,
    account: Account,
    of_client: GrantFilter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging, "MANY", 0)
    monkeypatch.setattr(paging, "COUNT_IS_KEPT_FOR", 1)  # the count itself takes longer
    assert await total(services, of_client) == 2
    await make_token(services, account, processor)
    assert await total(services, of_client) == 3


async def test_at_most_so_many_totals_are_kept_and_the_oldest_is_counted_again(
    services: Services,
    processor: Keyed,
    account: Account,
    of_client: GrantFilter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging, "MANY", 0)
    monkeypatch.setattr(paging, "COUNT_IS_KEPT_FOR", FOR_EVER)
    monkeypatch.setattr(paging, "MAX_KEPT_COUNTS", 2)
    others = [
        GrantFilter(processor_guid=processor.guid),
        GrantFilter(client_guid=of_client.client_guid, account_guid=account.guid),
    ]
    assert [await total(services, each) for each in (of_client, *others)] == [2, 2, 2]
    await make_token(services, account, processor)
    assert [await total(services, each) for each in (*others, of_client)] == [2, 2, 3]


async def test_a_page_of_active_or_suspended_grants_reads_few_others(
    services: Services, client: Keyed, processor: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MANY", 1000)
    monkeypatch.setattr(paging, "COUNT_IS_KEPT_FOR", FOR_EVER)
    working, broken = [await make_account(services, await make_user(services, client)) for _ in range(2)]
    await make_token(services, working, processor)
    await make_token(services, broken, processor)
    async with services.db.connection() as connection:
        # Of 20,002 grants 1 in 20 is suspended.
        for account, condition in ((working, "n %% 20 <> 0"), (broken, "n %% 20 = 0")):
            await connection.execute(
                f"""INSERT INTO access_token
                    SELECT (jsonb_populate_record(t, jsonb_build_object(
                        'guid', 'TKN-00000000-0000-7000-8000-' || lpad(n::text, 12, '0'),
                        'token_hash', sha256(n::text::bytea)))).*
                    FROM access_token t, generate_series(1, 20000) n WHERE t.account_guid = %s AND {condition}""",
                [account.guid],
            )
        await connection.execute(
            "UPDATE member SET broken_since = now() WHERE guid = %s", [broken.member_guid]
        )
        await connection.execute("VACUUM ANALYZE access_token")
        for status, total in ((GrantStatus.ACTIVE, 19001), (GrantStatus.SUSPENDED, 1001)):
            filters = GrantFilter(client_guid=client.guid, status=status)
            first = await services.grants.list(connection, filters, PageRequest(size=10))
            assert (first.total, len(first.items)) == (total, 10)
            for number in (1, 3, total // 10 + 1):
                async with rows_read(connection) as read:
                    page = await services.grants.list(connection, filters, PageRequest(number, 10))
                assert {each.status for each in page.items} == {status}
                # All of them would be 20,002. Of the suspended ones, 1 in 20 is on the page.
                rows = sum(count for table, count in read.items() if table.startswith("access_token"))
                assert rows < 1000


async def test_a_grant_that_a_restriction_ended_early_is_listed_as_expired(
    services: Services, client: Keyed, processor: Keyed, account: Account, clock: MovableClock
) -> None:
    await make_token(services, account, processor)
    await make_token(services, account, processor, atoms="expires-in:60")
    clock.advance(timedelta(hours=1))
    async with services.db.connection() as connection:
        for status in (GrantStatus.EXPIRED, GrantStatus.ACTIVE):
            filters = GrantFilter(client_guid=client.guid, status=status)
            page = await services.grants.list(connection, filters, PageRequest(size=10))
            assert ([each.status for each in page.items], page.total) == ([status], 1)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
async def test_each_grant_is_listed_once_in_batches_newest_first(
    services: Services,
    processor: Keyed,
    account: Account,
    of_client: GrantFilter,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    monkeypatch.setattr(listing, "BATCH", 2)
    for _ in range(count - 2):
        await make_token(services, account, processor)
    guids = [each.guid async for batch in services.grants.each_guid(services.db, of_client) for each in batch]
    grants = [each.guid async for batch in services.grants.each(services.db, of_client) for each in batch]
    assert guids == grants == sorted(set(guids), reverse=True)
    assert len(guids) == count
