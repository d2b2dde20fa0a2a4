"""Coalesced statements: what each call gets, and what it does not notice of the others."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.db import coalescing
from coatcheck.db.coalescing import MAX_ROWS, Asked, CoalescedStatement, Coalescer
from coatcheck.db.database import Database
from coatcheck.deadline import within
from coatcheck.directory.processor_rows import enable_processor
from coatcheck.errors import CoatcheckError, TooManyRequests, Unavailable
from coatcheck.grants.confirmations import PresentedToken
from coatcheck.model.accounts import Account
from coatcheck.model.paging import PageRequest
from coatcheck.model.transactions import TransactionFilter
from coatcheck.model.users import User
from tests.disclosures import disclosures
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_code,
    make_processor,
    make_token,
    make_transaction,
    make_user,
    scope_of,
)
from tests.member_setup import PATIENCE

DAYS = TransactionFilter(from_date=date(2020, 1, 1), to_date=date(2100, 1, 1))
"""Only pages without other filters are coalesced."""


@dataclass(frozen=True)
class Echo:
    number: int
    together: int
    """How many calls the statement answered."""


ASKED = Asked({"number": "integer", "lock": "bigint"})
ECHO = CoalescedStatement(
    ASKED,
    f"""WITH {ASKED.cte}, locked AS MATERIALIZED (
            SELECT caller, number, CASE WHEN lock IS NOT NULL THEN pg_advisory_xact_lock(lock) IS NULL END FROM asked
        )
        SELECT caller, number, count(*) OVER () AS together FROM locked""",
    (Echo,),
)


OF_THIS_DATABASE = """
JOIN pg_database d ON d.oid = l.database AND d.datname = current_database() WHERE l.locktype = 'advisory'"""


@pytest.fixture
def echo(services: Services) -> Coalescer:
    return Coalescer(services.db, ECHO)


async def call(echo: Coalescer, number: int, lock: int | None = None) -> Echo:
    ((number, together),) = await echo({"number": number, "lock": lock})
    return Echo(number, together)


@pytest.fixture
async def held_lock(services: Services) -> AsyncIterator[int]:
    """A lock that another session holds until `release`, or until the end of the test."""
    async with services.db.connection() as connection:
        await connection.execute("SELECT pg_advisory_lock(815)")
        yield 815
        # While this connection is out of the pool, so that `release` gets another one.
        await release(services)


async def release(services: Services) -> None:
    """Ends the session that holds the lock."""
    async with services.db.connection() as connection:
        await connection.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_locks l {OF_THIS_DATABASE} AND granted AND objid = 815"
        )


async def until_waiting(db: Database) -> None:
    async with db.connection() as connection, asyncio.timeout(PATIENCE):
        while True:
            cursor = await connection.execute(
                f"SELECT count(*) FROM pg_locks l {OF_THIS_DATABASE} AND NOT granted AND objid = 815"
            )
            if await cursor.fetchone() == (1,):
                return


async def test_calls_that_arrive_together_are_one_statement_and_each_gets_its_own_row(
    echo: Coalescer,
) -> None:
    answers = await asyncio.gather(*(call(echo, number) for number in range(MAX_ROWS)))
    assert answers == [Echo(number, MAX_ROWS) for number in range(MAX_ROWS)]


async def test_a_call_alone_is_a_statement_of_its_own(echo: Coalescer) -> None:
    assert [await call(echo, 1), await call(echo, 2)] == [Echo(1, 1), Echo(2, 1)]


async def test_a_statement_has_a_largest_number_of_rows(echo: Coalescer) -> None:
    answers = await asyncio.gather(*(call(echo, number) for number in range(MAX_ROWS + 3)))
    assert [answer.together for answer in answers] == [MAX_ROWS] * MAX_ROWS + [3] * 3


async def test_a_coalescer_can_have_a_smaller_limit(services: Services) -> None:
    echo = Coalescer(services.db, ECHO, most=2)
    answers = await asyncio.gather(*(call(echo, number) for number in range(5)))
    assert answers == [Echo(0, 2), Echo(1, 2), Echo(2, 2), Echo(3, 2), Echo(4, 1)]


async def test_a_statement_that_fails_is_repeated_for_each_row_alone(echo: Coalescer) -> None:
    numbers = [1, 2**40, 3]
    answers = await asyncio.gather(*(call(echo, number) for number in numbers), return_exceptions=True)
    assert isinstance(answers[1], psycopg.DataError)
    assert [answers[0], answers[2]] == [Echo(1, 1), Echo(3, 1)]


async def test_a_call_that_is_cancelled_does_not_disturb_the_others(
    services: Services, echo: Coalescer, held_lock: int
) -> None:
    waiting = [asyncio.create_task(call(echo, number, held_lock)) for number in range(3)]
    await until_waiting(services.db)
    waiting[0].cancel()
    await release(services)
    assert await asyncio.gather(*waiting[1:]) == [Echo(1, 3), Echo(2, 3)]


async def test_a_call_that_is_cancelled_before_its_statement_is_not_executed(echo: Coalescer) -> None:
    calls = [asyncio.create_task(call(echo, number)) for number in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    assert await asyncio.gather(*calls[1:]) == [Echo(1, 2), Echo(2, 2)]


async def test_the_deadline_of_one_call_does_not_end_the_statement_for_the_others(
    services: Services, echo: Coalescer, held_lock: int
) -> None:
    async def hurried() -> Echo:
        with within(timedelta(milliseconds=300)):
            return await call(echo, 1, held_lock)

    calls = [asyncio.create_task(each) for each in (hurried(), call(echo, 2))]
    await until_waiting(services.db)
    await asyncio.wait(calls, timeout=0.5)
    await release(services)
    assert await calls[1] == Echo(2, 2)


async def test_a_statement_ends_with_the_last_deadline_of_its_calls(
    services: Services, echo: Coalescer, held_lock: int
) -> None:
    async def hurried(number: int) -> Echo:
        with within(timedelta(milliseconds=200)):
            return await call(echo, number, held_lock)

    async with asyncio.timeout(3):
        answers = await asyncio.gather(*map(hurried, range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3


async def test_a_statement_that_waits_for_a_lock_does_not_hold_up_later_calls(
    services: Services, echo: Coalescer, held_lock: int
) -> None:
    waiting = asyncio.create_task(call(echo, 1, held_lock))
    await until_waiting(services.db)
    assert await call(echo, 2) == Echo(2, 1)
    assert not waiting.done()
    waiting.cancel()


async def test_as_many_calls_as_one_statement_takes_do_not_wait_for_the_one_that_runs(
    services: Services, held_lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coalescing, "PATIENCE", timedelta(hours=1))
    echo = Coalescer(services.db, ECHO, most=2)
    waiting = asyncio.create_task(call(echo, 1, held_lock))
    await until_waiting(services.db)
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(call(echo, 2), call(echo, 3)) == [Echo(2, 2), Echo(3, 2)]
    assert not waiting.done()
    waiting.cancel()


async def test_a_lost_connection_fails_every_call_and_nothing_is_repeated(
    services: Services, echo: Coalescer, held_lock: int
) -> None:
    calls = [asyncio.create_task(call(echo, number, held_lock)) for number in range(3)]
    await until_waiting(services.db)
    async with services.db.connection() as connection:
        await connection.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_locks l {OF_THIS_DATABASE} AND NOT granted AND objid = 815"
        )
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3


async def test_a_call_whose_deadline_is_over_before_its_statement_is_refused(echo: Coalescer) -> None:
    with within(timedelta(0)), pytest.raises(Unavailable):
        await call(echo, 1)
    assert await call(echo, 2) == Echo(2, 1)


# --- reads ----------------------------------------------------------------------------------------------------

LIMITED = ("max-reads:3", "max-reads:1 read:numbers")
SCOPES = (*LIMITED, "", "read:numbers", "read:balances", "lookback-days:2", "revoked", "unknown")
a_limited_read = st.tuples(st.sampled_from(LIMITED), st.just("numbers"), st.just(PageRequest()))
"""Which of several reads gets the last one that is left is not determined. So these are all equal."""
a_read = st.tuples(
    st.sampled_from(SCOPES[len(LIMITED) :]),
    st.sampled_from(["numbers", "owners", "payment_account", "transactions"]),
    st.sampled_from([PageRequest(), PageRequest(1, 10), PageRequest(2, 10)]),
)
Reads = Sequence[tuple[str, str, PageRequest]]


async def make_tokens(services: Services, account: Account, processor: Keyed) -> dict[str, PresentedToken]:
    tokens = {}
    for scope in SCOPES:
        atoms = scope if ":" in scope else ""
        tokens[scope] = services.access.parse_token(
            await make_token(services, account, processor, atoms=atoms)
        )
    tokens["unknown"] = replace(tokens["unknown"], hash=b"?" * 32)
    async with services.db.connection() as connection:
        await connection.execute(
            "UPDATE access_token SET revoked_at = now() WHERE token_hash = %s", (tokens["revoked"].hash,)
        )
    return tokens


async def outcome(services: Services, token: PresentedToken, name: str, page: PageRequest) -> object:
    """The answer without the token, or the type of the error."""
    arguments = {"payment_account": (), "transactions": (DAYS, page)}.get(name, (page,))
    try:
        answer = await getattr(services.access, name)(token, *arguments)
    except CoatcheckError as error:
        return type(error)
    return repr(replace(answer, token=None) if hasattr(answer, "token") else answer)


@given(reads=st.lists(a_read | a_limited_read, min_size=2, max_size=24))
@examples(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_reads_that_are_coalesced_answer_count_and_disclose_as_reads_one_after_the_other(
    services: Services, user: User, processor: Keyed, reads: Reads
) -> None:
    account = await make_account(services, user)
    today = services.clock.now().date()
    for age in range(14):
        await make_transaction(services, account, id=str(age), date=today - timedelta(days=age))

    async def perform(*, together: bool) -> tuple[Counter[object], Counter[object]]:
        before = Counter(await disclosures(services, account.user_guid))
        tokens = await make_tokens(services, account, processor)
        calls = [outcome(services, tokens[scope], name, page) for scope, name, page in reads]
        answers = await asyncio.gather(*calls) if together else [await each for each in calls]
        written = Counter(await disclosures(services, account.user_guid)) - before
        return Counter(zip(reads, answers, strict=True)), written

    answers, written = await perform(together=True)
    assert (answers, written) == await perform(together=False)
    assert written.total() == sum(isinstance(answer, str) for _, answer in answers.elements())


async def test_a_read_that_its_statement_cannot_answer_fails_alone(
    services: Services, account: Account, processor: Keyed
) -> None:
    token = services.access.parse_token(await make_token(services, account, processor))
    pages = [PageRequest(), PageRequest(1, 2**40), PageRequest()]
    answers = await asyncio.gather(
        *(services.access.numbers(token, page) for page in pages), return_exceptions=True
    )
    assert isinstance(answers[1], psycopg.DataError)
    assert [answers[n].total for n in (0, 2)] == [1, 1]
    assert len(await disclosures(services, account.user_guid)) == 2


# --- exchanges ------------------------------------------------------------------------------------------------

CALLERS = ("right", "not enabled", "wrong key", "malformed")
CODES = 4
an_exchange = st.tuples(st.integers(0, CODES - 1), st.sampled_from(CALLERS))


async def exchanged(services: Services, processor: Keyed, stranger: Keyed, code: str, caller: str) -> str:
    redeemer = stranger if caller == "not enabled" else processor
    try:
        issued = await services.exchange.redeem(
            processor_guid=redeemer.guid,
            api_key=stranger.api_key if caller == "wrong key" else redeemer.api_key,
            code=f"{code}x" if caller == "malformed" else code,
        )
    except CoatcheckError as error:
        return type(error).__name__
    assert await services.access.numbers(services.access.parse_token(issued.access_token))
    return "issued"


async def written_for(services: Services, account: Account) -> list[object]:
    """Of an account with `CODES` codes: those that are redeemed, the tokens, the entries and the events."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT %(codes)s - (SELECT count(*) FROM authorization_code WHERE account_guid = %(guid)s),
                      (SELECT count(*) FROM access_token WHERE account_guid = %(guid)s),
                      (SELECT count(*) FROM audit_entry a JOIN access_token t ON t.guid = a.body::json ->> 'subject'
                       WHERE t.account_guid = %(guid)s AND a.body::json ->> 'action' = 'token.issued'
                         AND a.client_guid = t.client_guid AND a.body::json ->> 'actor' = t.processor_guid),
                      (SELECT count(*) FROM event e JOIN access_token t ON t.guid = e.object
                       WHERE t.account_guid = %(guid)s AND e.type = 'code.redeemed')""",
            {"guid": account.guid, "codes": CODES},
        )
        return list(*await cursor.fetchall())


@given(exchanges=st.lists(an_exchange, min_size=2, max_size=24))
@examples(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_exchanges_that_are_coalesced_are_decided_as_exchanges_one_after_the_other(
    services: Services, user: User, processor: Keyed, exchanges: Sequence[tuple[int, str]]
) -> None:
    stranger = await make_processor(services)

    async def perform(*, together: bool) -> tuple[Counter[object], list[object]]:
        account = await make_account(services, user)
        codes = [await make_code(services, account) for _ in range(CODES)]
        calls = [exchanged(services, processor, stranger, codes[n], caller) for n, caller in exchanges]
        answers = await asyncio.gather(*calls) if together else [await each for each in calls]
        return Counter(zip(exchanges, answers, strict=True)), await written_for(services, account)

    answers, written = await perform(together=True)
    assert (answers, written) == await perform(together=False)
    redeemable = {n for n, caller in exchanges if caller == "right"}
    assert written == [len(redeemable)] * 4
    assert sum(number for (_, answer), number in answers.items() if answer == "issued") == len(redeemable)


# --- codes ----------------------------------------------------------------------------------------------------

LIMIT = 3
ACCOUNTS = ("first", "second", "unverified", "disabled user", "unknown")
ISSUERS = ("right", "wrong key", "malformed key", "another client", "disabled client")
REDEEMERS = ("enabled", "not enabled")
a_code_request = st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(ISSUERS), st.sampled_from(REDEEMERS))
"""Which of several requests gets the last code of an account is not determined. Those that could are equal."""


@pytest.fixture
async def limited(settings: Settings, clock: MovableClock) -> AsyncIterator[Services]:
    """Services with a small limit of codes for an account."""
    async with build(replace(settings, max_codes_per_account=LIMIT), clock) as services:
        yield services


@dataclass(frozen=True)
class Issue:
    """The objects that requests for codes name."""

    services: Services
    accounts: Mapping[str, Account]
    clients: Mapping[str, tuple[str, str]]
    processors: Mapping[str, str | None]

    async def code(self, account: str, issuer: str, redeemer: str) -> str:
        guid, api_key = self.clients[issuer]
        return await self.services.issuer.issue(
            client_guid=guid,
            api_key=api_key,
            scope=scope_of(self.accounts[account]),
            processor_guid=self.processors[redeemer],
        )

    async def outcome(self, account: str, issuer: str, redeemer: str) -> str:
        try:
            await self.code(account, issuer, redeemer)
        except CoatcheckError as error:
            return type(error).__name__
        return "issued"

    async def written(self) -> Counter[object]:
        """The account of each live code, and of each entry."""
        async with self.services.db.connection() as connection:
            cursor = await connection.execute(
                """SELECT 'code', account_guid FROM authorization_code UNION ALL
                   SELECT 'entry', body::json ->> 'subject' FROM audit_entry
                   WHERE body::json ->> 'action' = 'code.issued' AND client_guid = body::json ->> 'actor'"""
            )
            names = {account.guid: name for name, account in self.accounts.items()}
            return Counter((kind, names[guid]) for kind, guid in await cursor.fetchall() if guid in names)


async def make_issue(services: Services, processor: Keyed) -> Issue:
    client, other = await make_client(services), await make_client(services)
    disabled = await make_client(services, is_disabled=True)
    stranger = await make_processor(services)
    async with services.db.connection() as connection:
        await enable_processor(
            connection, client_guid=client.guid, processor_guid=processor.guid, now=services.clock.now()
        )
    user = await make_user(services, client)
    accounts = {name: await make_account(services, user) for name in ("first", "second")}
    accounts["unverified"] = await make_account(services, user, account_number=None)
    accounts["disabled user"] = await make_account(
        services, await make_user(services, client, is_disabled=True)
    )
    accounts["unknown"] = replace(accounts["second"], guid="ACT-unknown")
    return Issue(
        services,
        accounts,
        {
            "right": client.auth,
            "wrong key": (client.guid, other.api_key),
            "malformed key": (client.guid, "cck_x"),
            "another client": other.auth,
            "disabled client": disabled.auth,
        },
        {"any": None, "enabled": processor.guid, "not enabled": stranger.guid},
    )


@given(requests=st.lists(a_code_request, min_size=2, max_size=24))
@examples(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_codes_that_are_issued_together_are_decided_as_codes_issued_one_after_the_other(
    limited: Services, processor: Keyed, requests: Sequence[tuple[str, str, str]]
) -> None:
    async def perform(*, together: bool) -> tuple[Counter[object], Counter[object]]:
        issue = await make_issue(limited, processor)
        calls = [issue.outcome(*request) for request in requests]
        answers = await asyncio.gather(*calls) if together else [await each for each in calls]
        return Counter(zip(requests, answers, strict=True)), await issue.written()

    answers, written = await perform(together=True)
    assert (answers, written) == await perform(together=False)
    issued = Counter(
        request[0] for (request, answer), n in answers.items() for _ in range(n) if answer == "issued"
    )
    assert max(issued.values(), default=0) <= LIMIT
    assert written == Counter({(kind, name): n for name, n in issued.items() for kind in ("code", "entry")})


async def test_requests_together_get_as_many_codes_as_an_account_may_have_and_each_code_is_redeemable(
    limited: Services, processor: Keyed
) -> None:
    issue = await make_issue(limited, processor)
    request = ("first", "right", "any")
    await issue.code(*request)
    codes = await asyncio.gather(*(issue.code(*request) for _ in range(20)), return_exceptions=True)
    refusals = [code for code in codes if isinstance(code, TooManyRequests)]
    assert len(refusals) == 20 - (LIMIT - 1)
    assert all(timedelta() < refusal.retry_after <= limited.settings.code_ttl for refusal in refusals)
    for code in codes:
        if isinstance(code, str):
            await limited.exchange.redeem(processor_guid=processor.guid, api_key=processor.api_key, code=code)


async def test_a_request_that_its_statement_cannot_store_fails_alone(
    services: Services, account: Account, client: Keyed
) -> None:
    scopes = [scope_of(account), replace(scope_of(account), member_guid="MBR-\0"), scope_of(account)]
    answers = await asyncio.gather(
        *(
            services.issuer.issue(client_guid=client.guid, api_key=client.api_key, scope=scope)
            for scope in scopes
        ),
        return_exceptions=True,
    )
    assert isinstance(answers[1], psycopg.DataError)
    assert isinstance(answers[0], str)
    assert isinstance(answers[2], str)
