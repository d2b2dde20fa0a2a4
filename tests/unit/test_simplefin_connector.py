"""The connector of SimpleFIN, against a small server that is written from the protocol's text."""

from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import httpx
import pytest

from coatcheck.connectors.contract import Connector, Finished, JobKind, Session, Task
from coatcheck.connectors.installed import installed_connectors
from coatcheck.connectors.settings import read_settings
from coatcheck.connectors.simplefin.connector import SimplefinConnector, SimplefinSettings
from coatcheck.connectors.simplefin.state import AccessState
from coatcheck.errors import (
    ActionNeeded,
    BankDataUnusable,
    BankFailed,
    BankRateLimited,
    BankUnavailable,
    ConfigurationError,
    ConsentRevoked,
    CredentialsDenied,
    CredentialsMissing,
    JobNotSupported,
)
from coatcheck.members.validation import check_jobs
from coatcheck.testing.connectors import (
    NOW,
    ConnectorUnderTest,
    Run,
    conformance_checks,
    connector_context,
    run_connector,
)
from coatcheck.testing.faults import Faults
from tests.simplefin_server import PASSWORD, SimplefinServer, account, transaction

TODAY = int(NOW.timestamp())
DAY = 86400


class SimplefinUnderTest(ConnectorUnderTest):
    institution_code = "simplefin"
    lists_unreadable_accounts = True

    def __init__(self) -> None:
        self.reset()

    @property
    def credentials(self) -> dict[str, str]:  # type: ignore[override]  # it has no other value
        return {"SETUP_TOKEN": self.server.setup_token}

    def reset(self) -> None:
        rows = [transaction(1, TODAY - DAY), transaction(2, TODAY - 200 * DAY)]
        self.server = SimplefinServer([account(1, *rows)])

    def make_account_unreadable(self) -> None:
        self.server.accounts = [account(1, balance=None)]

    def build(self, faults: Faults) -> Connector:
        # Each check has several runs on one day, and a history is 9 requests.
        return connector(self.server, faults.transport(self.server.transport()), daily_budget=100)


@pytest.mark.parametrize("check", conformance_checks(SimplefinUnderTest()), ids=str)
async def test_conformance(check: Any) -> None:
    await check()


def connector(
    server: SimplefinServer, transport: httpx.AsyncBaseTransport | None = None, **settings: int
) -> SimplefinConnector:
    context = connector_context(SimplefinSettings(**settings), transport=transport or server.transport())
    return SimplefinConnector(context)


async def read(
    server: SimplefinServer,
    kind: JobKind = JobKind.AGGREGATION,
    *,
    state: bytes | None = None,
    now: datetime = NOW,
    is_background: bool = False,
    **settings: int,
) -> Run:
    task = replace(Task(kind, "simplefin", "MBR-1", now), is_background=is_background)
    return await run_connector(
        connector(server, **settings), task, {"SETUP_TOKEN": server.setup_token}, state=state
    )


def last_state(run: Run) -> bytes:
    return run.saved_states[-1]


async def test_the_first_run_claims_the_setup_token_and_later_runs_use_the_access_url() -> None:
    server = SimplefinServer([account(1, transaction(1, TODAY - DAY))])
    first = await read(server)
    assert server.claims == 1
    second = await read(server, state=last_state(first))
    assert server.claims == 1
    assert first.accounts == second.accounts
    assert [each.id for each in second.transactions] == ["T1"]


async def test_the_access_url_is_saved_before_anything_else_can_fail() -> None:
    server = SimplefinServer(refusal=httpx.Response(500))
    saved: list[bytes] = []
    with pytest.raises(BankFailed):
        await read_into(server, saved)
    assert PASSWORD.encode() in saved[0]
    server.refusal, server.accounts = None, [account(1)]
    assert (await read(server, state=saved[-1])).accounts
    assert server.claims == 1


async def read_into(server: SimplefinServer, saved: list[bytes], state: bytes | None = None) -> None:
    """A run whose states are kept although it fails."""

    async def store_state(value: bytes) -> None:
        saved.append(value)

    task = Task(JobKind.AGGREGATION, "simplefin", "MBR-1", NOW)
    credentials = {"SETUP_TOKEN": server.setup_token}
    await connector(server).run(Session(task, credentials, state=state, store_state=store_state))


async def test_a_claim_that_was_refused_is_not_tried_again() -> None:
    server = SimplefinServer(is_claimed=True)
    saved: list[bytes] = []
    for _ in range(3):
        with pytest.raises(CredentialsDenied, match="claimed before"):
            await read_into(server, saved, saved[-1] if saved else None)
    assert server.claims == 1


@pytest.mark.parametrize(
    "token",
    [
        "",
        "no base64!",
        b64encode(b"\xff\xfe").decode(),
        *(
            b64encode(url.encode()).decode()
            for url in (
                "ftp://bridge.example/claim",
                "http://bridge.example/claim",
                "javascript:alert(1)",
                "https://",
                "https://bridge.example:port/claim",
                "token",
            )
        ),
    ],
)
async def test_what_is_no_setup_token_is_denied_without_a_request(token: str) -> None:
    server = SimplefinServer()
    task = Task(JobKind.AGGREGATION, "simplefin", "MBR-1", NOW)
    with pytest.raises(CredentialsDenied, match="no SimpleFIN setup token"):
        await run_connector(connector(server), task, {"SETUP_TOKEN": token})
    assert (server.claims, server.reads) == (0, [])


async def test_a_member_of_another_connector_has_to_give_a_setup_token() -> None:
    with pytest.raises(CredentialsMissing):
        await run_connector(
            connector(SimplefinServer()), Task(JobKind.BALANCE, "simplefin", "MBR-1", NOW), {"LOGIN": "ann"}
        )


@pytest.mark.parametrize(
    "answer", ["", "no URL", "https://bridge.example/simplefin", "http://user:pass@other.example/"]
)
async def test_a_claim_without_a_usable_access_url_fails(answer: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=answer))
    task = Task(JobKind.AGGREGATION, "simplefin", "MBR-1", NOW)
    server = SimplefinServer()
    with pytest.raises(BankDataUnusable):
        await run_connector(connector(server, transport), task, {"SETUP_TOKEN": server.setup_token})


async def test_a_setup_token_without_the_padding_of_its_end_is_claimed() -> None:
    server = SimplefinServer([account(1)])
    assert server.setup_token.endswith("=")
    task = Task(JobKind.AGGREGATION, "simplefin", "MBR-1", NOW)
    run = await run_connector(connector(server), task, {"SETUP_TOKEN": server.setup_token.rstrip("=")})
    assert run.is_finished


async def test_the_user_name_and_the_password_of_an_access_url_are_percent_decoded() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"])
        return httpx.Response(200, json={"errors": [], "accounts": []})

    state = AccessState("https://user%401:p%3Ass%2F@bridge.example/simplefin").encode()
    task = Task(JobKind.BALANCE, "simplefin", "MBR-1", NOW)
    await run_connector(connector(SimplefinServer(), httpx.MockTransport(answer)), task, {}, state=state)
    assert b64decode(asked[0].removeprefix("Basic ")).decode() == "user@1:p:ss/"


async def test_an_aggregation_is_one_request_of_at_most_90_days_and_a_history_is_several() -> None:
    server = SimplefinServer([account(1)])
    first = await read(server)
    assert len(server.reads) == 1
    server.reads.clear()
    await read(server, JobKind.HISTORY, state=last_state(first))
    windows = [(int(each["start-date"]), int(each.get("end-date", 0))) for each in server.reads]
    assert len(windows) == 9
    assert windows[0][1] == 0
    for (start, _), (earlier, end) in pairwise(windows):
        assert end == start
        assert end - earlier <= 90 * DAY
    oldest = datetime.fromtimestamp(windows[-1][0], UTC)
    assert NOW - oldest >= timedelta(days=728)


async def test_a_balance_check_asks_for_balances_only() -> None:
    server = SimplefinServer([account(1, transaction(1, TODAY - DAY))])
    run = await read(server, JobKind.BALANCE)
    assert [each["balances-only"] for each in server.reads] == ["1"]
    assert (len(run.accounts), len(run.transactions)) == (1, 0)


async def test_rows_are_read_with_their_signs_days_and_states() -> None:
    rows = [
        transaction(1, TODAY - DAY, "-12.30", payee="Shop", memo="note", mcc="5411"),
        transaction(2, TODAY - DAY, "1500"),
        transaction(3, 0, "-5.00", pending=True, transacted_at=TODAY - DAY),
        transaction(4, 0, "-6.00", transacted_at=TODAY - DAY),
    ]
    run = await read(SimplefinServer([account(1, *rows)]))
    (one,) = run.accounts
    assert (one.type, one.balance, one.available_balance, one.currency_code) == (
        "CHECKING",
        Decimal("100.23"),
        Decimal("75.23"),
        "USD",
    )
    debit, credit, pending, also_pending = run.transactions
    assert (debit.amount, debit.type, debit.status, debit.date) == (
        Decimal("12.30"),
        "DEBIT",
        "POSTED",
        date(2026, 11, 22),
    )
    assert (debit.description, debit.original_description, debit.memo) == ("Shop", "SHOP 1", "note")
    assert debit.merchant_category_code == 5411
    assert (credit.amount, credit.type, credit.description) == (Decimal(1500), "CREDIT", "SHOP 2")
    assert {pending.status, also_pending.status} == {"PENDING"}
    assert (pending.posted_at, pending.date) == (None, date(2026, 11, 22))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Everyday", "CHECKING"),
        ("Online Savings", "SAVINGS"),
        ("Platinum Credit Card (1234)", "CREDIT_CARD"),
        ("VISA Signature", "CREDIT_CARD"),
        ("Home Mortgage", "MORTGAGE"),
        ("Auto Loan", "LOAN"),
        ("Brokerage", "INVESTMENT"),
        ("401(k) Plan", "INVESTMENT"),
        ("Roth IRA", "INVESTMENT"),
        ("Checking Line of Credit", "LINE_OF_CREDIT"),
        ("Visa Debit 1234", "CHECKING"),
        ("Cardinal Money", "CHECKING"),
        ("Miramar Everyday", "CHECKING"),
    ],
)
async def test_the_type_of_an_account_follows_from_its_name_and_what_is_owed_is_positive(
    name: str, kind: str
) -> None:
    given = account(1, **{"name": name, "balance": "-250.10", "available-balance": "749.90"})
    (one,) = (await read(SimplefinServer([given]))).accounts
    is_owed = kind in {"CREDIT_CARD", "LINE_OF_CREDIT", "MORTGAGE", "LOAN"}
    assert (one.type, one.balance) == (kind, Decimal("250.10") if is_owed else Decimal("-250.10"))
    assert one.available_credit == (Decimal("749.90") if is_owed else None)


async def test_what_cannot_be_stored_is_left_out_and_what_is_unknown_passes() -> None:
    rows = [
        transaction(1, TODAY - DAY, "many"),
        transaction(2, TODAY - DAY, "NaN"),
        transaction(3, 0),
        transaction(5, 0, transacted_at="1e999999999"),
        transaction(6, TODAY - DAY, "1e-999999"),
        transaction(7, TODAY - DAY, "1e9999999"),
        transaction(4, TODAY - DAY, extra={"category": "food"}, unknown=[1]),
    ]
    miles = account(1, *rows, currency="https://air.example/miles", holdings=[])
    run = await read(SimplefinServer([miles]))
    assert [each.id for each in run.transactions] == ["T4"]
    assert run.accounts[0].currency_code == "XXX"
    assert sum(run.skipped.values()) == 6


@pytest.mark.parametrize("balance", [None, "", "many", "Infinity", True])
async def test_an_account_without_a_balance_is_listed_and_not_read(balance: Any) -> None:
    rows = [transaction(1, TODAY - DAY)]
    run = await read(SimplefinServer([account(1, *rows, balance=balance), account(2)]))
    assert isinstance(run.result, Finished)
    assert ([each.id for each in run.accounts], list(run.transactions)) == (["A2"], [])
    assert "A1" in run.result.unread_accounts
    assert run.result.lists_all_accounts


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (402, ActionNeeded),
        (403, ConsentRevoked),
        (429, BankRateLimited),
        (500, BankFailed),
        (503, BankUnavailable),
        (302, BankFailed),
    ],
)
async def test_a_status_is_the_error_that_it_means(status: int, error: type[Exception]) -> None:
    server = SimplefinServer(refusal=httpx.Response(status, headers={"location": "https://other.example/"}))
    with pytest.raises(error):
        await read(server)
    assert len(server.reads) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"accounts": {}}', b"\xff", b"[" * 100_000])
async def test_an_answer_that_cannot_be_read_ends_the_run(body: bytes) -> None:
    with pytest.raises(BankDataUnusable):
        await read(SimplefinServer(refusal=httpx.Response(200, content=body)))


# --- the budget ---


@pytest.mark.parametrize(("header", "wait"), [("600", 600), ("x", 3600), ("", 3600), ("99999999", 86400)])
async def test_the_server_is_not_called_before_the_time_that_it_asked_for(header: str, wait: int) -> None:
    server = SimplefinServer([account(1)], refusal=httpx.Response(429, headers={"retry-after": header}))
    saved: list[bytes] = []
    with pytest.raises(BankRateLimited):
        await read_into(server, saved)
    server.refusal = None
    for seconds, is_called in ((wait - 1, False), (wait, True)):
        now = NOW + timedelta(seconds=seconds)
        if is_called:
            assert (await read(server, state=saved[-1], now=now)).accounts
        else:
            with pytest.raises(BankRateLimited, match="asked to wait"):
                await read(server, state=saved[-1], now=now)
    assert len(server.reads) == 2


async def test_no_day_has_more_requests_than_the_budget_and_the_next_day_has_its_own() -> None:
    server = SimplefinServer([account(1)])
    state = None
    for number in range(10):
        try:
            state = last_state(await read(server, state=state, daily_budget=4, reserved_for_users=1))
        except BankRateLimited:
            assert number >= 3
    assert server.claims + len(server.reads) == 4
    with pytest.raises(BankRateLimited, match="daily budget"):
        await read(server, state=state, daily_budget=4, reserved_for_users=1)
    tomorrow = NOW + timedelta(days=1)
    assert (await read(server, state=state, now=tomorrow, daily_budget=4, reserved_for_users=1)).accounts


async def test_background_jobs_leave_requests_to_a_user_who_waits() -> None:
    server = SimplefinServer([account(1)])
    state = last_state(await read(server, daily_budget=4, reserved_for_users=2))
    with pytest.raises(BankRateLimited):
        await read(server, state=state, is_background=True, daily_budget=4, reserved_for_users=2)
    assert (await read(server, state=state, daily_budget=4, reserved_for_users=2)).accounts


async def test_a_request_that_failed_is_counted_and_not_repeated() -> None:
    server = SimplefinServer(refusal=httpx.Response(503))
    saved: list[bytes] = []
    with pytest.raises(BankUnavailable):
        await read_into(server, saved)
    assert len(server.reads) == 1
    assert b'"requests": 2' in saved[-1]  # the claim and the read


@pytest.mark.parametrize(
    "given", [{"daily_budget": 0}, {"daily_budget": 5, "reserved_for_users": 5}, {"reserved_for_users": -1}]
)
def test_a_budget_that_leaves_nothing_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="reserved_for_users"):
        read_settings("simplefin", SimplefinSettings, given)


# --- errors of the server ---

AUTH = {"code": "con.auth", "msg": "Connection to Bank may need attention", "conn_id": "CON-1"}
OTHER = account(2, conn_id="CON-2", org={"name": "Other", "domain": "other.example", "sfin-url": "x"})


@pytest.mark.parametrize(
    ("errors", "errlist", "error"),
    [
        ((), [AUTH], ActionNeeded),
        ((), [{"code": "gen.auth", "message": "Sign in"}], ActionNeeded),
        ((), [{"code": "gen.", "msg": "Trouble"}], BankFailed),
        ((), [{"code": "con.", "msg": "Trouble", "conn_id": "CON-1"}], BankFailed),
        (["Connection to Bank may need attention"], [], ActionNeeded),
        (["You must reauthenticate."], [], ActionNeeded),
        (["Something is wrong"], [], BankFailed),
        (
            (),
            [{"code": "con.", "msg": "Trouble", "conn_id": "CON-1"}, {"code": "gen.auth", "msg": "Sign in"}],
            ActionNeeded,
        ),
    ],
)
async def test_an_error_of_every_account_is_the_status_of_the_member(
    errors: list[str], errlist: list[dict[str, Any]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await read(SimplefinServer([account(1)], errors, errlist))


async def test_a_connection_is_recognised_by_a_number_and_an_organization_without_a_name_by_its_domain() -> (
    None
):
    numbered = SimplefinServer([account(1, conn_id=5)], errlist=[{"code": "con.auth", "conn_id": 5}, AUTH])
    unnamed = {**account(1), "org": {"domain": "bank.example", "sfin-url": "x"}}
    text = "Connection to bank.example may need attention"
    for server in (numbered, SimplefinServer([unnamed], [text])):
        with pytest.raises(ActionNeeded):
            await read(server)


async def test_errors_of_every_connection_are_one_of_every_account() -> None:
    errlist = [AUTH, {"code": "con.", "msg": "Trouble", "conn_id": "CON-2"}]
    with pytest.raises(ActionNeeded):
        await read(SimplefinServer([account(1), OTHER], errlist=errlist))


async def test_a_remark_about_the_request_beside_the_accounts_is_no_failure() -> None:
    capped = {"code": "gen.api", "msg": "Requested date range exceeds limit of 90 days and was capped."}
    server = SimplefinServer([account(1, transaction(1, TODAY - DAY))], errlist=[capped])
    run = await read(server)
    assert [each.id for each in run.transactions] == ["T1"]
    assert run.result.lists_all_accounts is False  # type: ignore[union-attr]  # it finished
    server.accounts = []
    with pytest.raises(BankFailed):
        await read(server, state=last_state(run))


@pytest.mark.parametrize(
    ("more", "errlist"),
    [
        ({}, [AUTH]),
        ({}, [{"code": "act.failed", "msg": "x", "account_id": "A1"}]),
        ({"transactions": None}, []),
    ],
)
async def test_transactions_that_the_server_did_not_read_now_stay_as_they_are(
    more: dict[str, Any], errlist: list[dict[str, Any]]
) -> None:
    rows = {**account(1, transaction(1, TODAY - DAY)), **more}
    answer = {"errlist": errlist, "accounts": [rows, {**OTHER, "transactions": []}]}
    server = SimplefinServer(refusal=httpx.Response(200, json=answer))
    run = await read(server)
    assert run.result.unread_transactions == {"A1"}  # type: ignore[union-attr]  # it finished


async def test_accounts_of_two_connections_with_one_id_are_two_accounts() -> None:
    first = account(1, transaction(1, TODAY - DAY, "-1.00"), balance="1.00")
    second = {**OTHER, "id": "A1", "balance": "2.00", "transactions": [transaction(1, TODAY - DAY, "-2.00")]}
    server = SimplefinServer([first, second, account(3)])
    run = await read(server)
    assert {each.id: str(each.balance) for each in run.accounts} == {
        "CON-1/A1": "1.00",
        "CON-2/A1": "2.00",
        "A3": "100.23",
    }
    assert {each.account_id: str(each.amount) for each in run.transactions} == {
        "CON-1/A1": "1.00",
        "CON-2/A1": "2.00",
    }
    server.accounts = [second]
    assert [each.id for each in (await read(server, state=last_state(run))).accounts] == ["CON-2/A1"]


async def test_an_account_keeps_its_id_when_another_bank_comes_with_the_same_one() -> None:
    first, second = account(1), {**OTHER, "id": "A1"}
    server = SimplefinServer([first])
    run = await read(server)
    assert [each.id for each in run.accounts] == ["A1"]
    server.accounts = [second, first]
    run = await read(server, state=last_state(run))
    assert [each.id for each in run.accounts] == ["CON-2/A1", "A1"]
    server.accounts = [second]
    run = await read(server, state=last_state(run))
    assert [each.id for each in run.accounts] == ["CON-2/A1"]
    server.accounts = [first]
    assert [each.id for each in (await read(server, state=last_state(run))).accounts] == ["A1"]


async def test_more_repeated_ids_than_a_state_can_hold_are_unusable_data() -> None:
    repeated = [
        {**account(1), "id": f"{number:0130}", "conn_id": f"CON-{bank}"}
        for number in range(500)
        for bank in (1, 2)
    ]
    with pytest.raises(BankDataUnusable):
        await read(SimplefinServer(repeated))


async def test_an_account_keeps_its_id_when_its_connection_gets_another_one() -> None:
    server = SimplefinServer([account(1)])
    run = await read(server)
    server.accounts = [{**account(1), "conn_id": "CON-9"}]
    assert [each.id for each in (await read(server, state=last_state(run))).accounts] == ["A1"]


async def test_accounts_of_two_organizations_of_version_1_with_one_id_are_two_accounts() -> None:
    rows = [
        {**account(1), "conn_id": None, "org": {"domain": domain, "sfin-url": "x"}}
        for domain in ("one.example", "two.example", "two.example")
    ]
    run = await read(SimplefinServer(rows))
    assert sorted(each.id for each in run.accounts) == ["one.example/A1", "two.example/A1"]


@pytest.mark.parametrize(
    ("errors", "errlist"),
    [
        ((), [AUTH]),
        (["Connection to Bank may need attention"], []),
        ((), [{"code": "act.failed", "msg": "x", "account_id": "A9"}]),
    ],
)
async def test_an_error_of_some_accounts_leaves_the_others_and_closes_none(
    errors: list[str], errlist: list[dict[str, Any]]
) -> None:
    run = await read(SimplefinServer([account(1), OTHER], errors, errlist))
    assert len(run.accounts) == 2
    assert run.result.lists_all_accounts is False  # type: ignore[union-attr]  # it finished


async def test_missing_data_of_an_account_is_no_error() -> None:
    run = await read(SimplefinServer([account(1)], errlist=[{"code": "act.missingdata", "msg": "x"}]))
    assert run.result.lists_all_accounts is True  # type: ignore[union-attr]  # it finished


async def test_a_user_without_accounts_finishes() -> None:
    assert (await read(SimplefinServer())).is_finished


def test_verification_is_refused_and_micro_deposits_are_named() -> None:
    (institution,) = connector(SimplefinServer()).institutions()
    with pytest.raises(JobNotSupported, match="micro-deposits"):
        check_jobs(institution, [JobKind.VERIFICATION])


def test_the_connector_is_installed() -> None:
    assert installed_connectors()["simplefin"].load() is SimplefinConnector
