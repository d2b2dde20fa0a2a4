"""The connector `enable_banking`, on answers in the shapes of Enable Banking's documentation."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from coatcheck.connectors.catalogue import write_institutions
from coatcheck.connectors.contract import (
    AuthorizationRequest,
    AuthorizationResponse,
    DisconnectedMember,
    JobKind,
    Secret,
    Task,
)
from coatcheck.connectors.enable_banking.connector import EnableBankingConnector, EnableBankingSettings
from coatcheck.connectors.settings import read_settings
from coatcheck.errors import (
    BankDataUnusable,
    BankFailed,
    BankRateLimited,
    ConfigurationError,
    ConsentRevoked,
    CredentialsDenied,
    CredentialsMissing,
)
from coatcheck.testing.connectors import (
    NOW,
    ConnectorUnderTest,
    Faults,
    conformance_checks,
    connector_context,
    disconnect_member,
    run_connector,
)
from tests.enable_banking import ACCOUNTS, APPLICATION, PEM, SESSION, VALID_UNTIL, EnableBanking

RETURN_TO = "https://coatcheck.test/oauth/callback"
SIGNED_IN = {"SESSION": "session-1", "ACCOUNTS": json.dumps(ACCOUNTS), "VALID_UNTIL": VALID_UNTIL}
NORDEA = "eb_fi_nordea"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("eb") / "institutions.json"


@pytest.fixture
def upstream():
    return EnableBanking()


def settings(file, **more):
    return EnableBankingSettings(APPLICATION, Secret(PEM), file, **more)


def connector_of(file, transport, **more):
    return EnableBankingConnector(
        connector_context(settings(file, **more), name="enable_banking", transport=transport)
    )


@pytest.fixture
async def connector(file, upstream):
    connector = connector_of(file, upstream.transport)
    write_institutions(file, await connector.fetch_institutions())
    return connector


def task(kind=JobKind.AGGREGATION):
    return Task(kind, NORDEA, "MBR-ours", NOW, user_guid="USR-ours")


class EnableBankingUnderTest(ConnectorUnderTest):
    institution_code = NORDEA
    credentials = SIGNED_IN
    kinds = (JobKind.AGGREGATION, JobKind.VERIFICATION, JobKind.IDENTIFICATION)
    disconnects = True
    lists_unreadable_accounts = True

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def has_access(self):
        return not self._upstream.is_deleted

    def reset(self):
        self._upstream = EnableBanking()

    def make_account_unreadable(self):
        self._upstream.balances["uid-2"] = []

    def build(self, faults: Faults):
        return connector_of(self._file, faults.transport(self._upstream.transport))


CHECKS = conformance_checks(EnableBankingUnderTest(Path()))


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[str(each) for each in CHECKS])
async def test_conformance(connector, file, number):
    await conformance_checks(EnableBankingUnderTest(file))[number]()


# --- what is read ------------------------------------------------------------------------------------


async def test_an_account_is_known_by_its_hash_and_has_booked_and_available_balance(connector):
    run = await run_connector(connector, task(JobKind.BALANCE), SIGNED_IN)
    assert [
        (each.id, each.name, each.type, each.balance, each.available_balance, each.account_number_mask)
        for each in run.accounts
    ] == [
        ("hash-1", "Current account", "CHECKING", Decimal("100.10"), Decimal("90.10"), "0785"),
        ("hash-2", "Account", "SAVINGS", Decimal("100.10"), Decimal("90.10"), "V-77"),
    ]
    assert [each.currency_code for each in run.accounts] == ["EUR", "SEK"]


async def test_a_new_session_with_other_uids_reads_the_same_accounts(connector, upstream):
    before = (await run_connector(connector, task(JobKind.BALANCE), SIGNED_IN)).accounts
    upstream.details = {f"new-{uid}": details for uid, details in upstream.details.items()}
    again = {**SIGNED_IN, "ACCOUNTS": json.dumps({id: f"new-{uid}" for id, uid in ACCOUNTS.items()})}
    assert (await run_connector(connector, task(JobKind.BALANCE), again)).accounts == before


async def test_every_page_of_transactions_is_read_and_rejected_ones_are_left_out(connector):
    rows = (await run_connector(connector, task(), SIGNED_IN)).transactions
    first = [each for each in rows if each.account_id == "hash-1"]
    assert [(each.type, each.status, each.amount, each.description) for each in first] == [
        ("DEBIT", "POSTED", Decimal("12.50"), "Cafe Aalto"),
        ("DEBIT", "POSTED", Decimal("12.50"), "Cafe Aalto"),
        ("DEBIT", "POSTED", Decimal("12.50"), "Cafe Aalto"),
        ("CREDIT", "PENDING", Decimal("12.50"), "Employer Oy"),
    ]
    assert first[0].id == "ref-1"
    assert len({each.id for each in first}) == 4
    assert first[0].original_description == "Card purchase 1234"


@pytest.mark.parametrize("call", ["uid-2/details", "uid-2/balances"])
async def test_an_account_whose_call_is_refused_is_listed_and_not_read(connector, upstream, call):
    upstream.refuses = (call, 400, "ASPSP_ACCOUNT_NOT_ACCESSIBLE")
    run = await run_connector(connector, task(), SIGNED_IN)
    assert ([each.id for each in run.accounts], run.result.unread_accounts) == (["hash-1"], {"hash-2"})
    assert {each.account_id for each in run.transactions} == {"hash-1"}


async def test_transactions_that_are_refused_end_the_run(connector, upstream):
    upstream.refuses = ("uid-2/transactions", 400, "ASPSP_ERROR")
    with pytest.raises(BankFailed):
        await run_connector(connector, task(), SIGNED_IN)


async def test_an_account_that_the_bank_names_without_a_uid_is_listed_and_not_read(
    connector, upstream, monkeypatch
):
    blocked = {"uid": None, "identification_hash": "hash-3"}
    monkeypatch.setitem(SESSION, "accounts", [*SESSION["accounts"], blocked])
    completed = await connector.complete(AuthorizationResponse(NORDEA, RETURN_TO, "code", "verifier"))
    run = await run_connector(connector, task(), completed)
    assert ([each.id for each in run.accounts], run.result.unread_accounts) == (
        ["hash-1", "hash-2"],
        {"hash-3"},
    )


async def test_numbers_and_the_holder_s_name_are_read(connector):
    numbers = (await run_connector(connector, task(JobKind.VERIFICATION), SIGNED_IN)).numbers
    assert [(each.account_id, each.account_number) for each in numbers] == [
        ("hash-1", "FI2112345600000785"),
        ("hash-2", "SAV-77"),
    ]
    owners = (await run_connector(connector, task(JobKind.IDENTIFICATION), SIGNED_IN)).owners
    assert [(each.account_id, each.owner_name) for each in owners] == [("hash-1", "Ann Example")]


async def test_unusable_rows_are_left_out_and_counted(connector, upstream):
    upstream.transactions[1] |= {"transaction_amount": {"amount": "much"}}
    upstream.transactions[2] |= {"booking_date": "soon"}
    run = await run_connector(connector, task(), SIGNED_IN)
    assert dict(run.skipped) == {("BankTransaction", "amount"): 2, ("BankTransaction", "date"): 2}


# --- consent ------------------------------------------------------------------------------------------


async def test_a_sign_in_asks_for_ninety_days_and_keeps_hashes_and_the_end(connector, upstream):
    request = AuthorizationRequest(NORDEA, RETURN_TO, "state-1", "challenge", "USR-ours")
    assert await connector.authorize(request) == "https://bank.example/?state=state-1"
    asked = upstream.bodies[-1]
    assert asked["aspsp"] == {"name": "Nordea", "country": "FI"}
    assert asked["redirect_url"] == RETURN_TO
    completed = await connector.complete(AuthorizationResponse(NORDEA, RETURN_TO, "code", "verifier"))
    assert completed == SIGNED_IN
    with pytest.raises(CredentialsDenied):
        await connector.complete(AuthorizationResponse(NORDEA, RETURN_TO, "other", "verifier"))


async def test_a_member_of_another_connector_has_to_sign_in(connector):
    with pytest.raises(CredentialsMissing):
        await run_connector(connector, task(), {"LOGIN": "ann", "PASSWORD": "x"})


async def test_a_consent_that_has_ended_needs_a_new_sign_in_and_no_request(connector, upstream):
    upstream.requests.clear()
    later = replace(task(), now=NOW + timedelta(days=90))
    with pytest.raises(ConsentRevoked):
        await run_connector(connector, later, SIGNED_IN)
    assert upstream.requests == []


@pytest.mark.parametrize("error", ["EXPIRED_SESSION", "CLOSED_SESSION", "REVOKED_SESSION"])
async def test_a_session_that_the_bank_ended_needs_a_new_sign_in(connector, upstream, error):
    upstream.refuses = ("/details", 401, error)
    with pytest.raises(ConsentRevoked):
        await run_connector(connector, task(), SIGNED_IN)


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [(401, "UNAUTHORIZED_ACCESS", BankFailed), (429, "ASPSP_RATE_LIMIT_EXCEEDED", BankRateLimited)],
)
async def test_a_refusal_is_a_failure_of_the_bank(connector, upstream, status, error, expected):
    upstream.refuses = ("/balances", status, error)
    with pytest.raises(expected):
        await run_connector(connector, task(), SIGNED_IN)


async def test_a_consent_without_a_readable_end_is_unusable(connector):
    with pytest.raises(BankDataUnusable):
        await run_connector(connector, task(), {**SIGNED_IN, "VALID_UNTIL": "soon"})


def test_a_key_that_is_no_rsa_key_is_refused_without_showing_it():
    given = {"application_id": "a", "private_key": "not-a-key", "institutions_file": "list.json"}
    with pytest.raises(ConfigurationError, match="private_key must be the PEM of an RSA key") as refused:
        read_settings("enable_banking", EnableBankingSettings, given)
    assert "not-a-key" not in refused.value.problem


# --- institutions -------------------------------------------------------------------------------------


async def test_the_banks_of_the_chosen_countries_are_listed(connector, file, upstream):
    assert {each.code for each in connector.institutions()} == {NORDEA, "eb_se_lansforsakringar_bank"}
    finnish = connector_of(file, upstream.transport, countries=("FI",))
    assert [each.name for each in await finnish.fetch_institutions()] == ["Nordea"]
    assert await finnish.fetch_institutions("savings") == []


async def test_a_member_of_an_earlier_version_has_no_session_to_delete(connector, upstream):
    credentials = {name: value for name, value in SIGNED_IN.items() if name != "SESSION"}
    await disconnect_member(connector, DisconnectedMember("MBR-ours", "USR-ours", NORDEA), credentials)
    assert not upstream.is_deleted
