"""The total of a list of grants: exact, but for a long list, whose count is kept for a while."""

import pytest

from coatcheck.app import Services
from coatcheck.grants.listing import GrantFilter
from coatcheck.model import paging
from coatcheck.model.accounts import Account
from coatcheck.model.paging import PageRequest
from tests.factories import Keyed, make_token

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
    monkeypatch.setattr(paging, "LONG", 0)
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
    monkeypatch.setattr(paging, "LONG", 0)
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
    monkeypatch.setattr(paging, "LONG", 0)
    monkeypatch.setattr(paging, "COUNT_IS_KEPT_FOR", FOR_EVER)
    monkeypatch.setattr(paging, "MAX_KEPT_COUNTS", 2)
    others = [
        GrantFilter(processor_guid=processor.guid),
        GrantFilter(client_guid=of_client.client_guid, account_guid=account.guid),
    ]
    assert [await total(services, each) for each in (of_client, *others)] == [2, 2, 2]
    await make_token(services, account, processor)
    assert [await total(services, each) for each in (*others, of_client)] == [2, 2, 3]
