"""The restrictions of a scope: what they accept, what they store, and what the reads of their tokens are refused."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.errors import (
    CoatcheckError,
    ConnectionBroken,
    InsufficientScope,
    InvalidScope,
    InvalidToken,
    ReadsExhausted,
    TokenExpired,
    TokenRevoked,
    TooManyRequests,
    Unprocessable,
)
from coatcheck.grants.confirmations import PresentedToken
from coatcheck.grants.restrictions import (
    PERMISSION_TO_READ,
    PROTECTED,
    LookbackDays,
    MaxReads,
    Permission,
    ReadKind,
)
from coatcheck.grants.scope import Scope, parse_scope
from coatcheck.members.member_rows import change_member
from coatcheck.model.accounts import Account
from coatcheck.model.paging import PageRequest
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.model.transactions import TransactionFilter
from coatcheck.model.users import User
from tests.disclosures import disclosures
from tests.factories import (
    Keyed,
    make_account,
    make_code,
    make_processor,
    make_token,
    make_transaction,
    scope_of,
)

GUIDS = "user-guid:USR-1 member-guid:MBR-1 account-guid:ACT-1"
PROCESSOR = "PPR-00000000-0000-4000-8000-000000000000"
NUMERIC = ("expires-in", "lookback-days", "max-reads")
SINGLE = (*(f"{name}:5" for name in NUMERIC), f"processor-guid:{PROCESSOR}")
EVERYTHING = TransactionFilter()

Read = Callable[[], Awaitable[object]]


def parsed(atoms: str) -> Scope:
    return parse_scope(f"{GUIDS} {atoms}")


# --- the grammar ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NUMERIC)
@pytest.mark.parametrize(
    "value",
    [
        "0",
        "-1",
        "+1",
        "01",
        "1.0",
        "1e3",
        "1_0",
        " 1",
        "",
        "\u0661",
        "\uff11",
        "0x1",
        "99999999999",
        "ten",
        "None",
    ],
)
def test_a_number_that_is_not_a_plain_positive_integer_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidScope):
        parsed(f"{name}:{value}")


@given(st.sampled_from(NUMERIC), st.text(max_size=12))
def test_a_numeric_atom_takes_ascii_digits_only(name: str, value: str) -> None:
    try:
        scope = parsed(f"{name}:{value}")
    except InvalidScope:
        return
    assert value.isascii()
    assert value.isdigit()
    assert f"{name}:{int(value)}" in str(scope).split()


@pytest.mark.parametrize("name", NUMERIC)
def test_a_numeric_atom_is_accepted_up_to_its_limit_and_refused_beyond(name: str) -> None:
    most = LookbackDays.most if name == "lookback-days" else MaxReads.most
    assert f"{name}:{most}" in str(parsed(f"{name}:{most}"))
    with pytest.raises(InvalidScope):
        parsed(f"{name}:{most + 1}")


@pytest.mark.parametrize("atom", SINGLE)
def test_an_atom_with_one_value_that_is_given_twice_is_refused_even_with_the_same_value(atom: str) -> None:
    assert atom in str(parsed(atom)).split()
    with pytest.raises(InvalidScope, match="more than one"):
        parsed(f"{atom} {atom}")


@pytest.mark.parametrize(
    "atoms",
    [
        "read",
        "read:",
        "read:everything",
        "read:Numbers",
        "READ:numbers",
        "read:numbers:all",
        "Max-Reads:1",
        "max-reads",
        "max_reads:1",
        "processor-guid",
        "processor-guid:",
        "processor-guid:USR-00000000-0000-4000-8000-000000000000",
        "processor-guid:PPR-1",
        "processor-guid:PPR-\uff10\uff10000000-0000-4000-8000-000000000000",
        "lookback-days:5,10",
    ],
)
def test_an_unknown_atom_or_value_is_refused(atoms: str) -> None:
    with pytest.raises(InvalidScope):
        parsed(f"read-protected {atoms}")


@pytest.mark.parametrize("permission", sorted(PROTECTED))
def test_a_protected_kind_of_data_without_read_protected_is_a_contradiction_that_the_refusal_names(
    permission: Permission,
) -> None:
    with pytest.raises(InvalidScope) as refused:
        parsed(f"read:{permission}")
    assert refused.value.problem == (
        f"The scope contradicts itself: read:{permission} needs read-protected, which is missing."
    )
    assert f"read:{permission}" in str(parsed(f"read:{permission} read-protected"))


@given(
    st.sets(st.sampled_from(Permission)),
    st.fixed_dictionaries({}, optional=dict.fromkeys(NUMERIC, st.integers(1, LookbackDays.most))),
    st.sampled_from(["", f"processor-guid:{PROCESSOR}"]),
    st.randoms(),
)
def test_a_scope_names_every_atom_again_in_any_order(permissions, numbers, processor, random) -> None:
    atoms = [
        "read-protected",
        *(f"read:{each}" for each in permissions),
        *(f"{name}:{value}" for name, value in numbers.items()),
        *filter(None, [processor]),
        *GUIDS.split(),
    ]
    random.shuffle(atoms)
    scope = parse_scope(" ".join(atoms))
    assert set(str(scope).split()) == set(atoms)
    assert parse_scope(str(scope)) == scope


# --- issue and exchange ---------------------------------------------------------------------------------------


async def issue(services: Services, account: Account, atoms: str = "", processor: str | None = None) -> str:
    async with services.db.connection() as connection:
        return await services.issuer.issue_authenticated(
            connection,
            client_guid=account.client_guid,
            scope=scope_of(account, atoms=atoms),
            processor_guid=processor,
        )


async def redeem(services: Services, processor: Keyed, code: str) -> str:
    issued = await services.exchange.redeem(
        processor_guid=processor.guid, api_key=processor.api_key, code=code
    )
    return issued.access_token


async def test_only_the_processor_in_the_scope_redeems_the_code(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    other = await make_processor(services, client)
    code = await issue(services, account, f"processor-guid:{processor.guid}")
    with pytest.raises(CoatcheckError, match="invalid, expired or already used"):
        await redeem(services, other, code)
    assert await redeem(services, processor, code)


async def test_a_code_for_a_processor_that_cannot_redeem_it_is_not_issued(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    not_enabled = await make_processor(services)
    disabled = await make_processor(services, client, is_disabled=True)
    for guid in (PROCESSOR, not_enabled.guid, disabled.guid):
        with pytest.raises(Unprocessable, match="not enabled"):
            await issue(services, account, f"processor-guid:{guid}")
        with pytest.raises(Unprocessable, match="not enabled"):
            await issue(services, account, processor=guid)
    assert await issue(services, account, f"processor-guid:{processor.guid}", processor.guid)


async def test_a_request_that_names_two_processors_is_refused(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    other = await make_processor(services, client)
    with pytest.raises(InvalidScope, match="another processor"):
        await issue(services, account, f"processor-guid:{other.guid}", processor.guid)


async def test_a_token_expires_after_the_seconds_in_its_scope_but_not_after_token_ttl(
    services: Services, clock: MovableClock, processor: Keyed, account: Account
) -> None:
    short = services.access.parse_token(await make_token(services, account, processor, atoms="expires-in:60"))
    long = services.access.parse_token(
        await make_token(services, account, processor, atoms="expires-in:99999999")
    )
    clock.advance(timedelta(seconds=50))
    await services.access.numbers(short)
    clock.advance(timedelta(seconds=11))
    with pytest.raises(TokenExpired):
        await services.access.numbers(short)
    clock.advance(services.settings.token_ttl - timedelta(seconds=70))
    await services.access.numbers(long)
    clock.advance(timedelta(seconds=30))
    with pytest.raises(TokenExpired):
        await services.access.numbers(long)


async def test_an_account_has_as_many_redeemable_codes_as_the_setting_allows(
    settings: Settings, clock: MovableClock, services: Services, processor: Keyed, account: Account
) -> None:
    async with build(replace(settings, max_codes_per_account=3), clock) as limited:
        codes = [await make_code(limited, account) for _ in range(3)]
        with pytest.raises(TooManyRequests) as refused:
            await make_code(limited, account)
        assert timedelta() < refused.value.retry_after <= settings.code_ttl
        await redeem(limited, processor, codes[0])
        await make_code(limited, account)
        with pytest.raises(TooManyRequests):
            await make_code(limited, account)
        clock.advance(settings.code_ttl)
        await make_code(limited, account)


# --- reads ----------------------------------------------------------------------------------------------------


@pytest.fixture
def reading(services: Services) -> Callable[[PresentedToken], dict[str, Read]]:
    """The reads of a token, by the kind of data."""

    def reads(token: PresentedToken) -> dict[str, Read]:
        access = services.access

        async def authorize(kind: ReadKind) -> object:
            async with services.db.connection() as connection:
                return await access.authorize(connection, token, kind)

        return {
            ReadKind.NUMBERS: lambda: access.numbers(token),
            ReadKind.OWNERS: lambda: access.owners(token),
            ReadKind.TRANSACTIONS: lambda: access.transactions(token, EVERYTHING),
            ReadKind.BALANCES: lambda: access.payment_account(token),
            **{f"authorize {kind}": lambda kind=kind: authorize(kind) for kind in ReadKind},
        }

    return reads


async def test_a_token_reads_the_kinds_of_data_in_its_scope_and_no_other(
    services: Services, account: Account, processor: Keyed, reading
) -> None:
    for permission in Permission:
        token = await make_token(services, account, processor, atoms=f"read:{permission}")
        reads = reading(services.access.parse_token(token))
        for kind, needed in PERMISSION_TO_READ.items():
            for read in (reads[kind], reads[f"authorize {kind}"]):
                if needed == permission:
                    assert await read()
                else:
                    with pytest.raises(InsufficientScope):
                        await read()
    assert len(await disclosures(services, account.user_guid)) == len(PERMISSION_TO_READ)


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        (ReadKind.NUMBERS, "read-protected read:numbers"),
        (ReadKind.OWNERS, "read-protected read:owners"),
        (ReadKind.TRANSACTIONS, "read:transactions"),
        (ReadKind.BALANCES, "read:balances"),
    ],
)
async def test_the_refusal_of_a_kind_of_data_names_the_atoms_that_it_needs(
    services: Services, account: Account, processor: Keyed, kind: ReadKind, needed: str
) -> None:
    permitted = Permission.BALANCES if kind is not ReadKind.BALANCES else Permission.TRANSACTIONS
    token = await make_token(services, account, processor, atoms=f"read:{permitted}")
    async with services.db.connection() as connection:
        with pytest.raises(InsufficientScope) as refused:
            await services.access.authorize(connection, services.access.parse_token(token), kind)
    assert refused.value.needed_scope == needed


async def test_a_payment_account_has_numbers_only_if_both_kinds_are_in_the_scope(
    services: Services, account: Account, processor: Keyed
) -> None:
    for atoms, has_numbers in (("read:balances", False), ("read:balances read:numbers", True)):
        token = services.access.parse_token(await make_token(services, account, processor, atoms=atoms))
        read = await services.access.payment_account(token)
        assert (read.numbers is not None) is has_numbers


async def test_a_token_is_read_as_often_as_its_scope_says_whatever_the_kind(
    services: Services, account: Account, processor: Keyed, reading
) -> None:
    token = services.access.parse_token(await make_token(services, account, processor, atoms="max-reads:4"))
    reads = reading(token)
    for kind in ReadKind:
        await reads[f"authorize {kind}"]()
        await reads[kind]()
    for kind in ReadKind:
        with pytest.raises(ReadsExhausted):
            await reads[kind]()
        with pytest.raises(ReadsExhausted):
            await reads[f"authorize {kind}"]()
    assert len(await disclosures(services, account.user_guid)) == 4


async def test_a_refused_read_is_not_counted_and_an_empty_page_is(
    services: Services, account: Account, processor: Keyed
) -> None:
    token = services.access.parse_token(
        await make_token(services, account, processor, atoms="max-reads:1 read:transactions")
    )
    for _ in range(3):
        with pytest.raises(InsufficientScope):
            await services.access.numbers(token)
    page = await services.access.transactions(token, EVERYTHING, PageRequest(9, 25))
    assert page is not None
    assert list(page.items) == []
    with pytest.raises(ReadsExhausted):
        await services.access.transactions(token, EVERYTHING)


async def test_a_processor_that_reads_owners_at_transactions_is_counted_once(
    services: Services, client: Keyed, account: Account
) -> None:
    registered = await make_processor(services, client, owners_at_transactions=True)
    token = services.access.parse_token(await make_token(services, account, registered, atoms="max-reads:1"))
    assert await services.access.transactions(token, EVERYTHING) is None
    await services.access.owners(token)
    with pytest.raises(ReadsExhausted):
        await services.access.owners(token)


async def test_counted_reads_say_how_many_they_are_and_when_the_last_was(
    services: Services, account: Account, processor: Keyed
) -> None:
    token = services.access.parse_token(await make_token(services, account, processor, atoms="max-reads:9"))
    async with services.db.connection() as connection:
        await services.access.numbers(token)
        before = services.clock.instant()
        await services.access.owners(token)
        after = services.clock.instant()
        cursor = await connection.execute(
            "SELECT reads, last_read_at FROM access_token WHERE token_hash = %s", (token.hash,)
        )
        ((reads, last_read_at),) = await cursor.fetchall()
    assert reads == 2
    assert before <= last_read_at <= after


@pytest.mark.parametrize("status", [ConnectionStatus.DISCONNECTED, ConnectionStatus.CLOSED])
async def test_a_token_reads_nothing_while_its_connection_is_broken_and_again_when_it_is_repaired(
    services: Services, account: Account, processor: Keyed, reading, status: ConnectionStatus
) -> None:
    reads = reading(services.access.parse_token(await make_token(services, account, processor)))

    async def become(status: ConnectionStatus) -> None:
        async with services.db.transaction() as connection:
            await change_member(
                connection,
                account.user_guid,
                account.member_guid,
                {"connection_status": status, "updated_at": services.clock.now()},
            )

    for broken in (status, ConnectionStatus.RECONNECTED, ConnectionStatus.DENIED, ConnectionStatus.UPDATED):
        await become(broken)
        for read in reads.values():
            with pytest.raises(ConnectionBroken):
                await read()
    assert await disclosures(services, account.user_guid) == []
    await become(ConnectionStatus.CONNECTED)
    for read in reads.values():
        assert await read()


async def test_trouble_at_the_bank_that_may_pass_suspends_no_token(
    services: Services, account: Account, processor: Keyed
) -> None:
    token = services.access.parse_token(await make_token(services, account, processor))
    harmless = set(ConnectionStatus) - {ConnectionStatus.DISCONNECTED, ConnectionStatus.CLOSED}
    for status in harmless:
        async with services.db.transaction() as connection:
            await change_member(
                connection, account.user_guid, account.member_guid, {"connection_status": status}
            )
        assert await services.access.numbers(token)


async def test_only_the_holder_of_a_token_learns_that_it_was_revoked(
    services: Services, client: Keyed, account: Account, processor: Keyed
) -> None:
    token = services.access.parse_token(await make_token(services, account, processor))
    async with services.db.connection() as connection:
        (listed,) = await services.tokens.list(connection, client.guid, account_guid=account.guid)
        await services.revocations.revoke(connection, client_guid=client.guid, guid=listed.guid)
        with pytest.raises(TokenRevoked):
            await services.access.numbers(token)
        with pytest.raises(InvalidToken) as refused:
            await services.access.numbers(replace(token, hash=b"?" * 32))
        assert type(refused.value) is InvalidToken


# --- look-back ------------------------------------------------------------------------------------------------

MIDNIGHT = datetime(2027, 3, 1, tzinfo=UTC)


class Standing(MovableClock):
    """A clock that stands at one instant."""

    at = MIDNIGHT

    def instant(self) -> datetime:
        return self.at


@given(
    days=st.integers(1, 400),
    around=st.sampled_from([timedelta(), timedelta(microseconds=-1), timedelta(hours=23, minutes=59)]),
    day=st.integers(0, 800),
)
@examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_look_back_never_returns_an_older_day_at_any_time_of_day(
    settings: Settings,
    services: Services,
    user: User,
    processor: Keyed,
    days: int,
    around: timedelta,
    day: int,
) -> None:
    clock = Standing()
    account = await make_account(services, user)
    async with build(settings, clock) as standing:
        token = standing.access.parse_token(
            await make_token(standing, account, processor, atoms=f"lookback-days:{days}")
        )
        clock.at = MIDNIGHT + timedelta(days=day % 30) + around
        today = clock.at.date()
        offsets = {0, 1, days - 1, days, days + 1, days + 2, day}
        for offset in offsets:
            await make_transaction(standing, account, date=today - timedelta(days=offset))
        page = await standing.access.transactions(token, EVERYTHING, PageRequest(1, 1000))
        wide = TransactionFilter(from_date=today - timedelta(days=2 * days))
        filtered = await standing.access.transactions(token, wide, PageRequest(1, 1000))
    assert page is not None
    assert filtered is not None
    readable = {today - timedelta(days=offset) for offset in offsets if offset <= days}
    assert {each.date for each in page.items} == readable
    assert page.total == len(page.items) == filtered.total == len(readable)


async def test_the_look_back_moves_with_the_request_not_with_the_grant(
    services: Services, clock: MovableClock, account: Account, processor: Keyed
) -> None:
    token = services.access.parse_token(
        await make_token(services, account, processor, atoms="lookback-days:7")
    )
    today = services.clock.instant().date()
    await make_transaction(services, account, id="seven days old", date=today - timedelta(days=7))
    page = await services.access.transactions(token, EVERYTHING)
    assert page is not None
    assert [each.id for each in page.items] == ["seven days old"]
    clock.advance(timedelta(days=1))
    page = await services.access.transactions(token, EVERYTHING)
    assert page is not None
    assert (page.total, list(page.items)) == (0, [])
