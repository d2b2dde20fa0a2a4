"""The connector `plaid`, on answers in the shapes of Plaid's API reference."""

import json
from decimal import Decimal

import pytest

from coatcheck.connectors.contract import AuthorizationRequest, AuthorizationResponse, JobKind, Secret, Task
from coatcheck.connectors.plaid.connector import KEPT_IDS, PlaidConnector, PlaidSettings, Progress
from coatcheck.connectors.session import MAX_STATE_BYTES
from coatcheck.errors import (
    ActionNeeded,
    BankFailed,
    BankRateLimited,
    BankTimedOut,
    BankUnavailable,
    ConsentRevoked,
    CredentialsDenied,
    CredentialsMissing,
    LoginLocked,
)
from coatcheck.testing.connectors import (
    NOW,
    ConnectorUnderTest,
    Faults,
    conformance_checks,
    connector_context,
    run_connector,
)
from tests.plaid import TOKEN, Plaid, transaction

RETURN_TO = "https://coatcheck.test/oauth/callback"
SIGNED_IN = {"ACCESS_TOKEN": TOKEN}
SYNC = "/transactions/sync"


def connector_of(transport, **more):
    settings = PlaidSettings("client", Secret("key"), **more)
    return PlaidConnector(connector_context(settings, name="plaid", transport=transport))


@pytest.fixture
def upstream():
    return Plaid()


@pytest.fixture
def connector(upstream):
    return connector_of(upstream.transport)


def task(kind=JobKind.AGGREGATION):
    return Task(kind, "plaid", "MBR-ours", NOW, user_guid="USR-ours")


class PlaidUnderTest(ConnectorUnderTest):
    institution_code = "plaid"
    credentials = SIGNED_IN
    disconnects = True
    lists_unreadable_accounts = True

    @property
    def has_access(self):
        return not self._upstream.is_removed

    def reset(self):
        self._upstream = Plaid()

    def make_account_unreadable(self):
        self._upstream.accounts[0]["balances"] |= {"current": None, "available": None}

    def build(self, faults: Faults):
        return connector_of(faults.transport(self._upstream.transport))


@pytest.mark.parametrize("check", conformance_checks(PlaidUnderTest()), ids=str)
async def test_conformance(check):
    await check()


# --- what is read ------------------------------------------------------------------------------------


async def test_accounts_have_mx_s_types_and_an_account_without_balance_is_left_out(connector):
    run = await run_connector(connector, task(JobKind.BALANCE), SIGNED_IN)
    assert [
        (each.id, each.type, each.balance, each.available_balance, each.credit_limit) for each in run.accounts
    ] == [
        ("acc-1", "CHECKING", Decimal("110.1"), Decimal(100), None),
        ("acc-2", "CREDIT_CARD", Decimal(20), None, Decimal(500)),
    ]


async def test_numbers_and_owners_are_read(connector):
    numbers = (await run_connector(connector, task(JobKind.VERIFICATION), SIGNED_IN)).numbers
    assert [(each.account_number, each.routing_number, each.transit_number) for each in numbers] == [
        ("0001111222233330", "011401533", None),
        ("111122223333", None, "01140"),
    ]
    assert [each.is_tokenized for each in numbers] == [True, None]
    owner, _ = (await run_connector(connector, task(JobKind.IDENTIFICATION), SIGNED_IN)).owners
    assert (owner.owner_name, owner.email, owner.phone, owner.address, owner.state) == (
        "Ann Example", "ann@example.com", None, "1 Main St", "UT",
    )  # fmt: skip


async def test_a_positive_amount_leaves_the_account(connector):
    rows = (await run_connector(connector, task(), SIGNED_IN)).transactions
    assert [(each.id, each.type, each.amount, each.status) for each in rows] == [
        ("t-1", "DEBIT", Decimal("12.5"), "POSTED"),
        ("t-2", "CREDIT", Decimal(900), "PENDING"),
        ("t-3", "DEBIT", Decimal("12.5"), "POSTED"),
    ]


async def test_the_next_run_reads_changes_and_a_posted_transaction_keeps_its_id(connector, upstream):
    state = (await run_connector(connector, task(), SIGNED_IN)).result.state
    upstream.changes += [
        ("added", transaction("t-4", amount=-900, pending_transaction_id="t-2")),
        ("removed", {"transaction_id": "t-2", "account_id": "acc-1"}),
        ("removed", {"transaction_id": "t-1", "account_id": "acc-1"}),
    ]
    run = await run_connector(connector, task(), SIGNED_IN, state=state)
    assert [(each.id, each.status) for each in run.transactions] == [("t-2", "POSTED")]
    assert run.removed_transactions == (("acc-1", "t-1"),)
    upstream.changes.append(("removed", {"transaction_id": "t-4", "account_id": "acc-1"}))
    last = await run_connector(connector, task(), SIGNED_IN, state=run.result.state)
    assert last.removed_transactions == (("acc-1", "t-2"),)


async def test_changes_during_the_reading_are_read_again(connector, upstream):
    upstream.refuses[SYNC] = (400, "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION")
    upstream.refusals_left = 2
    assert len((await run_connector(connector, task(), SIGNED_IN)).transactions) == 3
    upstream.refusals_left = 3
    with pytest.raises(BankFailed):
        await run_connector(connector, task(), SIGNED_IN)


async def test_changes_in_an_account_without_a_balance_are_read_again(connector, upstream):
    first = (await run_connector(connector, task(), SIGNED_IN)).result
    balances = upstream.accounts[0]["balances"]
    upstream.accounts[0]["balances"] = {**balances, "current": None, "available": None}
    upstream.changes.append(("added", transaction("t-4")))
    run = await run_connector(connector, task(), SIGNED_IN, state=first.state)
    assert (run.result.unread_accounts, run.transactions) == ({"acc-1", "acc-3"}, ())
    assert run.result.state == first.state
    upstream.accounts[0]["balances"] = balances
    run = await run_connector(connector, task(), SIGNED_IN, state=run.result.state)
    assert [each.id for each in run.transactions] == ["t-4"]
    assert (run.result.unread_accounts, run.result.state != first.state) == ({"acc-3"}, True)


async def test_an_account_that_never_has_a_balance_does_not_keep_the_cursor_back(connector, upstream):
    upstream.changes.append(("added", transaction("t-4", account_id="acc-3")))
    first = (await run_connector(connector, task(), SIGNED_IN)).result
    upstream.bodies.clear()
    assert (await run_connector(connector, task(), SIGNED_IN, state=first.state)).transactions == ()
    assert cursors(upstream) == ["4"]


async def test_an_account_has_all_its_transactions_from_its_first_balance_on(connector, upstream):
    upstream.changes.append(("added", transaction("t-4", account_id="acc-3")))
    first = (await run_connector(connector, task(), SIGNED_IN)).result
    upstream.accounts[2]["balances"]["current"] = 5
    upstream.changes += [
        ("added", transaction("t-5")),
        ("removed", {"transaction_id": "t-2", "account_id": "acc-1"}),
    ]
    run = await run_connector(connector, task(), SIGNED_IN, state=first.state)
    assert [each.id for each in run.transactions] == ["t-4", "t-5"]
    assert run.removed_transactions == (("acc-1", "t-2"),)
    upstream.bodies.clear()
    assert (await run_connector(connector, task(), SIGNED_IN, state=run.result.state)).transactions == ()
    assert cursors(upstream) == ["6"]


async def test_a_state_that_names_no_accounts_has_all_transactions_read_once(connector, upstream):
    state = b'{"cursor": "2", "posted": {}}'
    run = await run_connector(connector, task(), SIGNED_IN, state=state)
    assert {each.id for each in run.transactions} == {"t-1", "t-2", "t-3"}
    upstream.bodies.clear()
    assert (await run_connector(connector, task(), SIGNED_IN, state=run.result.state)).transactions == ()
    assert cursors(upstream) == ["3"]


def cursors(upstream):
    """What the changes were asked from."""
    return [body["cursor"] for body in upstream.bodies if "cursor" in body]


def test_the_state_has_a_limit():
    many = {f"{number:037}": f"{number + 1:037}" for number in range(5 * KEPT_IDS)}
    encoded = Progress("c" * 300, many, many.keys()).encode()
    assert len(encoded) < MAX_STATE_BYTES
    assert list(Progress.decode(encoded).posted)[-1] == list(many)[-1]


# --- signing in ---------------------------------------------------------------------------------------


async def test_a_sign_in_leads_to_plaid_s_page_and_back_to_an_access_token(connector, upstream):
    page = await connector.authorize(
        AuthorizationRequest("plaid", RETURN_TO, "state-1", "challenge", "USR-ours")
    )
    assert page.url == "https://secure.plaid.com/hl/1"
    asked = upstream.bodies[-1]
    assert asked["user"] == {"client_user_id": "USR-ours"}
    assert asked["hosted_link"]["completion_redirect_uri"] == f"{RETURN_TO}?state=state-1&code=returned"
    response = AuthorizationResponse("plaid", RETURN_TO, "returned", "verifier", page.resume)
    assert await connector.complete(response) == SIGNED_IN
    upstream.link_results = []
    with pytest.raises(CredentialsDenied):
        await connector.complete(response)


async def test_a_member_of_another_connector_has_to_sign_in(connector):
    with pytest.raises(CredentialsMissing):
        await run_connector(connector, task(), {"LOGIN": "ann", "PASSWORD": "x"})


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "ITEM_LOGIN_REQUIRED", ConsentRevoked),
        (400, "ITEM_LOCKED", LoginLocked),
        (400, "USER_SETUP_REQUIRED", ActionNeeded),
        (400, "INSTITUTION_DOWN", BankUnavailable),
        (400, "PRODUCT_NOT_READY", BankTimedOut),
        (400, "INVALID_API_KEYS", BankFailed),
        (429, "RATE_LIMIT_EXCEEDED", BankRateLimited),
    ],
)
async def test_an_error_of_plaid_has_its_meaning_and_none_of_its_text(
    connector, upstream, status, code, error
):
    upstream.refuses["/accounts/get"] = (status, code)
    with pytest.raises(error) as refused:
        await run_connector(connector, task(), SIGNED_IN)
    assert TOKEN not in json.dumps([refused.value.problem, refused.value.detail])
