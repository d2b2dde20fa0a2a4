"""Narrowing a grant: what may change, the versions, and that no sequence of changes reads more than before."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.app import Services
from coatcheck.errors import (
    CoatcheckError,
    GrantEnded,
    GrantWidened,
    InsufficientScope,
    NotFound,
    ReadsExhausted,
    TokenExpired,
    Unprocessable,
)
from coatcheck.grants.narrowing import Allowed, Changes, narrowed
from coatcheck.grants.restrictions import Permission, default_permissions
from coatcheck.grants.scope import parse_scope
from coatcheck.grants.scope import scope_of as sql_scope
from coatcheck.model.accounts import Account
from coatcheck.model.transactions import TransactionFilter
from tests.factories import Keyed, make_client, make_token, make_transaction
from tests.sealed_log import entries

NOW = datetime(2027, 3, 1, tzinfo=UTC)
EXPIRES_AT = NOW + timedelta(days=60)

limits = st.none() | st.integers(1, 6)
permissions = st.frozensets(st.sampled_from(Permission), min_size=1)
instants = st.integers(-2, 80).map(lambda days: NOW + timedelta(days=days))
allowed = st.builds(Allowed, permissions, limits, limits, instants.filter(lambda at: at > NOW))
changes = st.fixed_dictionaries(
    {},
    optional={
        "permissions": permissions,
        "max_reads": limits,
        "lookback_days": limits,
        "expires_at": instants,
    },
).map(lambda given: Changes(**given))


def is_within(limit: int | None, bound: int | None) -> bool:
    return bound is None or (limit is not None and limit <= bound)


@given(allowed, st.lists(changes, max_size=5))
def test_no_sequence_of_changes_allows_more_than_before(
    granted: Allowed, requests: Sequence[Changes]
) -> None:
    current = granted
    for request in requests:
        try:
            current = narrowed(current, request, NOW)
        except CoatcheckError:
            continue
        assert current.permissions <= granted.permissions
        assert is_within(current.max_reads, granted.max_reads)
        assert is_within(current.lookback_days, granted.lookback_days)
        assert NOW < current.expires_at <= granted.expires_at


@given(allowed, changes)
def test_a_change_is_refused_exactly_if_it_widens_or_leaves_nothing(
    granted: Allowed, request: Changes
) -> None:
    def value(name: str) -> Any:
        given_value = getattr(request, name)
        return getattr(granted, name) if given_value is Changes().max_reads else given_value

    is_narrower = (
        value("permissions") <= granted.permissions
        and is_within(value("max_reads"), granted.max_reads)
        and is_within(value("lookback_days"), granted.lookback_days)
        and NOW < value("expires_at") <= granted.expires_at
    )
    if is_narrower:
        assert narrowed(granted, request, NOW) == Allowed(
            value("permissions"), value("max_reads"), value("lookback_days"), value("expires_at")
        )
    else:
        with pytest.raises(Unprocessable):
            narrowed(granted, request, NOW)


@pytest.mark.parametrize(
    ("wider", "named"),
    [
        (Changes(permissions=[*Permission]), "permissions"),
        (Changes(max_reads=4), "max_reads"),
        (Changes(max_reads=None, expires_at=EXPIRES_AT + timedelta(days=1)), "max_reads, expires_at"),
        (Changes(lookback_days=31), "lookback_days"),
        (Changes(max_reads=2, lookback_days=None), "lookback_days"),
    ],
    ids=["permissions", "reads", "reads and expiry", "look-back", "look-back alone"],
)
def test_the_refusal_names_the_fields_that_would_widen_the_grant(wider: Changes, named: str) -> None:
    granted = Allowed(default_permissions(protected=False), 3, 30, EXPIRES_AT)
    with pytest.raises(GrantWidened) as refused:
        narrowed(granted, wider, NOW)
    assert refused.value.problem == (
        f"{named} would widen the grant, and a grant can only be narrowed. "
        "Widening needs a new authorization: request a renewal."
    )


@pytest.mark.parametrize(
    ("nothing", "message"),
    [
        (Changes(permissions=[]), "A grant must permit something. Revoke it instead."),
        (Changes(expires_at=NOW), "expires_at must be in the future. To end the grant now, revoke it."),
    ],
)
def test_a_change_that_leaves_nothing_is_refused_with_what_to_do_instead(
    nothing: Changes, message: str
) -> None:
    granted = Allowed(default_permissions(protected=False), None, None, EXPIRES_AT)
    with pytest.raises(Unprocessable) as refused:
        narrowed(granted, nothing, NOW)
    assert refused.value.problem == message


async def grant_of(services: Services, account: Account) -> dict[str, Any]:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            f"""SELECT guid, {sql_scope("access_token")} AS scope, permissions, max_reads, lookback_days, expires_at,
                       version, reads
               FROM access_token WHERE account_guid = %s ORDER BY created_at DESC LIMIT 1""",
            (account.guid,),
        )
        assert cursor.description
        row = await cursor.fetchone()
    assert row is not None
    return dict(zip([column.name for column in cursor.description], row, strict=True))


async def narrow(services: Services, account: Account, client: Keyed | None = None, **given: Any) -> None:
    grant = await grant_of(services, account)
    async with services.db.transaction() as connection:
        await services.narrowing.narrow(
            connection,
            client_guid=client.guid if client else account.client_guid,
            token_guid=grant["guid"],
            changes=Changes(**given),
        )


async def test_each_change_makes_a_version_that_the_scope_and_the_audit_log_show(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor, atoms="max-reads:5")
    await narrow(services, account, max_reads=4)
    await narrow(
        services, account, permissions=[Permission.NUMBERS, Permission.TRANSACTIONS], lookback_days=30
    )
    grant = await grant_of(services, account)
    assert grant["version"] == 3
    assert sorted(grant["permissions"]) == ["numbers", "transactions"]
    assert (grant["max_reads"], grant["lookback_days"]) == (4, 30)
    assert set(grant["scope"].split()[3:]) == {
        "read-protected",
        "read:numbers",
        "read:transactions",
        "lookback-days:30",
        "max-reads:4",
    }
    assert parse_scope(grant["scope"]).stored()["max_reads"] == 4
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::json->'detail' FROM audit_entry WHERE client_guid = %s
               AND body::json->>'action' = 'token.narrowed' ORDER BY at, guid""",
            (account.client_guid,),
        )
        details = [detail for (detail,) in await cursor.fetchall()]
    assert details == [
        {"version": "2", "max_reads": "5 -> 4"},
        {
            "version": "3",
            "permissions": "balances,numbers,owners,transactions -> numbers,transactions",
            "lookback_days": "none -> 30",
        },
    ]


async def test_an_earlier_expiry_is_in_the_audit_log_as_two_instants(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    before = (await grant_of(services, account))["expires_at"]
    after = before.replace(microsecond=0) - timedelta(days=1)
    await narrow(services, account, expires_at=after)
    (entry,) = [
        entry for entry in await entries(services, account.client_guid) if entry["action"] == "token.narrowed"
    ]
    assert entry["detail"] == {
        "version": "2",
        "expires_at": f"{before:%Y-%m-%dT%H:%M:%S.%fZ} -> {after:%Y-%m-%dT%H:%M:%S.%fZ}",
    }


async def test_a_grant_that_names_no_kinds_of_data_names_none_after_another_change(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    await narrow(services, account, max_reads=4, permissions=default_permissions(protected=True))
    grant = await grant_of(services, account)
    assert grant["permissions"] is None
    assert set(grant["scope"].split()[3:]) == {"read-protected", "max-reads:4"}
    await narrow(services, account, permissions=[Permission.BALANCES, Permission.NUMBERS])
    await narrow(services, account, max_reads=3)
    assert sorted((await grant_of(services, account))["permissions"]) == ["balances", "numbers"]


async def test_changes_that_change_nothing_make_no_version(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    before = await grant_of(services, account)
    await narrow(services, account)
    await narrow(
        services,
        account,
        max_reads=None,
        lookback_days=None,
        permissions=default_permissions(protected=True),
        expires_at=before["expires_at"],
    )
    assert await grant_of(services, account) == before


async def test_the_next_read_is_of_the_new_version(
    services: Services, account: Account, processor: Keyed
) -> None:
    token = services.access.parse_token(await make_token(services, account, processor))
    today = services.clock.instant().date()
    for days in (1, 9):
        await make_transaction(services, account, date=today - timedelta(days=days))
    await narrow(services, account, permissions=[Permission.TRANSACTIONS], lookback_days=5)
    page = await services.access.transactions(token, TransactionFilter())
    assert page is not None
    assert page.total == 1
    with pytest.raises(InsufficientScope):
        await services.access.numbers(token)
    with pytest.raises(InsufficientScope):
        await services.access.payment_account(token)


async def test_a_limit_of_reads_that_is_set_later_counts_the_reads_before_it(
    services: Services, account: Account, processor: Keyed
) -> None:
    token = services.access.parse_token(await make_token(services, account, processor))
    for _ in range(3):
        await services.access.numbers(token)
    await narrow(services, account, max_reads=4)
    assert (await grant_of(services, account))["reads"] == 3
    await services.access.numbers(token)
    with pytest.raises(ReadsExhausted):
        await services.access.numbers(token)
    await narrow(services, account, max_reads=2)
    with pytest.raises(ReadsExhausted):
        await services.access.numbers(token)


async def test_a_grant_expires_at_the_earlier_instant_that_it_was_narrowed_to(
    services: Services, clock: Any, account: Account, processor: Keyed
) -> None:
    token = services.access.parse_token(await make_token(services, account, processor))
    await narrow(services, account, expires_at=services.clock.instant() + timedelta(hours=1))
    clock.advance(timedelta(minutes=59))
    await services.access.numbers(token)
    clock.advance(timedelta(minutes=1))
    with pytest.raises(TokenExpired):
        await services.access.numbers(token)
    with pytest.raises(GrantEnded):
        await narrow(services, account, max_reads=1)


async def test_a_grant_can_not_be_left_with_nothing_to_read(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    before = await grant_of(services, account)
    for nothing in ({"permissions": []}, {"expires_at": services.clock.instant()}):
        with pytest.raises(Unprocessable, match="evoke"):
            await narrow(services, account, **nothing)
    assert await grant_of(services, account) == before


async def test_a_widening_changes_nothing(services: Services, account: Account, processor: Keyed) -> None:
    await make_token(services, account, processor, reads_protected=False)
    before = await grant_of(services, account)
    for wider in (
        {"permissions": [Permission.NUMBERS]},
        {"permissions": [Permission.TRANSACTIONS, Permission.STATEMENTS], "max_reads": 1},
        {"expires_at": before["expires_at"] + timedelta(microseconds=1)},
    ):
        with pytest.raises(GrantWidened):
            await narrow(services, account, **wider)
    assert await grant_of(services, account) == before


async def test_only_its_client_narrows_a_grant_and_not_after_its_end(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    grant = await grant_of(services, account)
    with pytest.raises(NotFound):
        await narrow(services, account, await make_client(services), max_reads=1)
    async with services.db.connection() as connection:
        await services.revocations.revoke(connection, client_guid=account.client_guid, guid=grant["guid"])
    with pytest.raises(GrantEnded):
        await narrow(services, account, max_reads=1)
    assert (await grant_of(services, account))["version"] == 1
