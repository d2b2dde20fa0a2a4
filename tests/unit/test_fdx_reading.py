"""The FDX connector reads tolerantly: values that the standard does not have, odd shapes, and what is not shared."""

from decimal import Decimal

import httpx
import pytest

from coatcheck.connectors.contract import Finished, JobKind
from tests.fdx_provider import CONTACT, NETWORK, FdxProvider, account, read, state_of, transaction


async def test_unknown_values_empty_lists_and_extra_fields_pass(provider: FdxProvider, profile: str) -> None:
    provider.accounts = [
        account(
            "a1", accountCategory="DIGITAL_WALLET", accountType="CRYPTOWALLET", status="SLEEPING", extra={}
        ),
        account("a2", currency={"currencyCode": "XTS"}, currentBalance="7.00", availableBalance=None),
        account("a3", currency="CAD"),
    ]
    provider.networks, provider.transactions = [], [transaction("t1", category="Not a category of ours")]
    run = await read(provider, profile)
    assert [(each.type, each.currency_code, each.balance) for each in run.accounts] == [
        ("CRYPTOWALLET", "USD", Decimal("120.5")),
        ("CHECKING", "XTS", Decimal("7.00")),
        ("CHECKING", "CAD", Decimal("120.5")),
    ]
    assert not run.numbers
    assert len(run.transactions) == 3


async def test_wrapped_entities_of_older_versions_are_read(provider: FdxProvider, profile: str) -> None:
    provider.accounts = [{"depositAccount": account("a1")}]
    provider.answers["/accounts/a1"] = httpx.Response(200, json={"depositAccount": account("a1")})
    provider.transactions = []
    provider.answers["/transactions"] = httpx.Response(
        200, json={"transactions": [{"depositTransaction": transaction("t1")}]}
    )
    run = await read(provider, profile)
    assert ([each.id for each in run.accounts], [each.id for each in run.transactions]) == (["a1"], ["t1"])


async def test_an_open_account_without_a_balance_is_listed_and_not_read(
    provider: FdxProvider, profile: str
) -> None:
    annuity = {"accountId": "a2", "accountCategory": "ANNUITY_ACCOUNT", "accountType": "FIXEDANNUITY"}
    provider.accounts = [account("a1"), annuity, annuity | {"accountId": "a3", "status": "CLOSED"}, {}]
    run = await read(provider, profile)
    assert isinstance(run.result, Finished)
    assert ([each.id for each in run.accounts], run.result.unread_accounts) == (["a1"], ["a2"])


@pytest.mark.parametrize("status", [403, 404])
async def test_an_account_whose_details_are_refused_is_listed_and_not_read(
    provider: FdxProvider, profile: str, status: int
) -> None:
    provider.accounts = [account("a1"), account("a2", currentBalance=None, availableBalance=None)]
    provider.answers["/accounts/a2"] = httpx.Response(status)
    run = await read(provider, profile)
    assert isinstance(run.result, Finished)
    assert ([each.id for each in run.accounts], run.result.unread_accounts) == (["a1"], ["a2"])


@pytest.mark.parametrize("status", [403, 404, 405, 409, 501])
async def test_what_is_not_shared_is_left_out(provider: FdxProvider, profile: str, status: int) -> None:
    for resource in ("payment-networks", "contact", "transactions", "statements"):
        provider.answers[f"/{resource}"] = httpx.Response(status, text="Forbidden")
    for kind in (JobKind.AGGREGATION, JobKind.VERIFICATION, JobKind.IDENTIFICATION, JobKind.STATEMENT):
        run = await read(FdxProvider(answers=provider.answers), profile, kind)
        assert len(run.accounts) == 2
        assert {*run.numbers, *run.owners, *run.transactions, *run.statements} == set()


@pytest.mark.parametrize("status", [403, 404])
async def test_an_account_whose_transactions_are_refused_is_named(
    provider: FdxProvider, profile: str, status: int
) -> None:
    provider.answers["/a2/transactions"] = httpx.Response(status)
    run = await read(provider, profile)
    assert isinstance(run.result, Finished)
    assert (len(run.accounts), list(run.result.unread_transactions)) == (2, ["a2"])
    run = await read(FdxProvider(answers=provider.answers), profile, JobKind.BALANCE)
    assert isinstance(run.result, Finished)
    assert list(run.result.unread_transactions) == []


async def test_an_account_without_transactions_has_read_ones(provider: FdxProvider, profile: str) -> None:
    provider.transactions = []
    run = await read(provider, profile)
    assert isinstance(run.result, Finished)
    assert list(run.result.unread_transactions) == []


async def test_an_account_without_networks_may_have_an_empty_body(
    provider: FdxProvider, profile: str
) -> None:
    provider.answers["/payment-networks"] = httpx.Response(200, content=b"")
    assert not (await read(provider, profile, JobKind.VERIFICATION)).numbers


async def test_memo_entries_are_no_transactions_and_unknown_statuses_are_left_out(
    provider: FdxProvider, profile: str
) -> None:
    provider.accounts = [account("a1")]
    provider.transactions = [
        transaction("t1", status="MEMO"),
        transaction("t2", status="SETTLING"),
        transaction("t3", status="AUTHORIZATION", amount="-5.00", debitCreditMemo="CREDIT"),
        transaction("t4", amount=None),
        transaction("t5", transactionTimestamp=None, postedTimestamp=None),
        transaction("t6", debitCreditMemo=None, amount=-1),
    ]
    run = await read(provider, profile)
    assert [(each.id, each.status, each.amount, each.type) for each in run.transactions] == [
        ("a1-t3", "PENDING", Decimal("5.00"), "CREDIT"),
        ("a1-t6", "POSTED", Decimal(1), "DEBIT"),
    ]
    assert sum(run.skipped.values()) == 3


async def test_a_pending_transaction_keeps_its_id_when_it_posts(provider: FdxProvider, profile: str) -> None:
    provider.accounts, provider.transactions = [account("a1")], [transaction("t1", status="PENDING")]
    (pending,) = (await read(provider, profile)).transactions
    provider.transactions = [transaction("t1", status="POSTED", amount=15)]
    (posted,) = (await read(provider, profile, state=state_of(provider))).transactions
    assert (pending.id, pending.status, pending.posted_at) == (posted.id, "PENDING", None)
    assert (posted.status, posted.amount) == ("POSTED", Decimal(15))


async def test_networks_with_one_number_give_it_once_and_tokenized_ones_say_so(
    provider: FdxProvider, profile: str
) -> None:
    provider.accounts = [account("a1")]
    provider.networks = [
        NETWORK | {"type": "US_FEDWIRE", "bankId": "091000022"},
        NETWORK | {"type": "US_RTP"},
        NETWORK | {"identifierType": "TOKENIZED_ACCOUNT_NUMBER"},
    ]
    ach, wire = (await read(provider, profile, JobKind.VERIFICATION)).numbers
    assert (ach.routing_number, ach.is_tokenized, ach.passed_validation) == ("091000019", True, True)
    assert (wire.routing_number, wire.is_tokenized) == ("091000022", False)


async def test_a_wrong_check_digit_is_kept_and_marked(provider: FdxProvider, profile: str) -> None:
    provider.accounts, provider.networks = [account("a1")], [NETWORK | {"bankId": "731775673"}]
    (numbers,) = (await read(provider, profile, JobKind.VERIFICATION)).numbers
    assert (numbers.routing_number, numbers.passed_validation) == ("731775673", False)


async def test_a_canadian_number_has_institution_and_transit(provider: FdxProvider, profile: str) -> None:
    provider.accounts, provider.networks = (
        [account("a1")],
        [NETWORK | {"type": "CA_ACSS", "bankId": "000412345"}],
    )
    (numbers,) = (await read(provider, profile, JobKind.VERIFICATION)).numbers
    assert (numbers.institution_number, numbers.transit_number, numbers.routing_number) == (
        "004",
        "12345",
        None,
    )


async def test_joint_holders_get_their_own_contact_or_the_accounts(
    provider: FdxProvider, profile: str
) -> None:
    provider.accounts = [account("a1")]
    provider.contact = CONTACT | {
        "emails": ["ann@example.com", "ben@example.com"],
        "holders": [
            {"name": {"first": "Ann", "middle": "B", "last": "Example"}},
            {"name": {"first": "Ben", "last": "Example"}, "telephones": [{"number": "+18015550199"}]},
            {"businessCustomer": {"name": "Example LLC"}},
        ],
    }
    ann, ben, company = (await read(provider, profile, JobKind.IDENTIFICATION)).owners
    assert (ann.owner_name, ann.email, ann.phone) == ("Ann B Example", "ann@example.com", "+18015550123")
    assert (ben.owner_name, ben.email, ben.phone) == ("Ben Example", "ben@example.com", "+18015550199")
    assert (company.owner_name, company.first_name, company.email) == ("Example LLC", None, None)
