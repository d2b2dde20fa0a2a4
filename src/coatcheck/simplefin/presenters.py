"""Accounts and transactions as SimpleFIN shows them."""

from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit

from msgspec import UNSET

from coatcheck.connectors.registry import Registry
from coatcheck.errors import NotFound
from coatcheck.grants.access import AccountWithTransactions
from coatcheck.grants.access_urls import AppGrant
from coatcheck.model.accounts import Account
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.model.transactions import Transaction
from coatcheck.simplefin.errors import item
from coatcheck.simplefin.request import noon
from coatcheck.simplefin.schemas import (
    SimplefinAccount,
    SimplefinConnection,
    SimplefinError,
    SimplefinOrganization,
    SimplefinTransaction,
)

CENT = Decimal("0.01")
DEFAULT_CURRENCY = "USD"
OWED = frozenset({"CREDIT_CARD", "LINE_OF_CREDIT", "LOAN", "MORTGAGE"})
"""Types of account whose balance is positive if the user owes it (MX docs: accounts). SimpleFIN has it negative."""
NEEDS_ATTENTION = frozenset(
    {
        ConnectionStatus.PREVENTED,
        ConnectionStatus.DENIED,
        ConnectionStatus.CHALLENGED,
        ConnectionStatus.REJECTED,
        ConnectionStatus.LOCKED,
        ConnectionStatus.IMPEDED,
        ConnectionStatus.DISCONNECTED,
        ConnectionStatus.DISCONTINUED,
        ConnectionStatus.CLOSED,
        ConnectionStatus.DISABLED,
        ConnectionStatus.EXPIRED,
        ConnectionStatus.IMPAIRED,
        ConnectionStatus.PENDING,
    }
)
"""The user has to act before newer data comes."""
OUT_OF_DATE = frozenset({ConnectionStatus.DEGRADED, ConnectionStatus.DELAYED, ConnectionStatus.FAILED})
"""The last attempt failed; a later one can succeed."""


@dataclass(frozen=True, slots=True)
class Bank:
    """The institution of an account."""

    code: str
    name: str
    url: str

    @property
    def domain(self) -> str:
        return (urlsplit(self.url).hostname or "").removeprefix("www.")


def bank_of(grant: AppGrant, registry: Registry, base_url: str) -> Bank:
    """The bank of a grant. A manual account, or one whose connector is not enabled, has this server's address."""
    code = grant.institution_code or ""
    try:
        institution = registry.find(code)
    except NotFound:
        return Bank(code, grant.member_name or "Coatcheck", base_url)
    return Bank(code, institution.name, institution.url)


def connection_response(grant: AppGrant, bank: Bank, root: str) -> SimplefinConnection:
    return SimplefinConnection(
        conn_id=grant.member_guid, name=bank.name, org_id=bank.code, org_url=bank.url, sfin_url=root
    )


def connection_problem(grant: AppGrant, bank: Bank) -> SimplefinError | None:
    """What the user is told of a connection that was read from; None if it works."""
    if grant.connection_status in NEEDS_ATTENTION:
        return needs_attention(grant, bank)
    if grant.connection_status in OUT_OF_DATE:
        return item("con.", f"The data of {bank.name} may be out of date.", conn_id=grant.member_guid)
    return None


def needs_attention(grant: AppGrant, bank: Bank) -> SimplefinError:
    # Apps look for a text that begins so, and show it at the accounts of the bank with this name.
    text = f"Connection to {bank.name} may need attention"
    return item("con.auth", text, conn_id=grant.member_guid)


def account_item(read: AccountWithTransactions, bank: Bank, root: str) -> SimplefinAccount:
    account = read.account
    balance, available = _balances(account)
    return SimplefinAccount(
        org=SimplefinOrganization(
            domain=bank.domain, name=bank.name, sfin_url=root, url=bank.url, id=bank.code
        ),
        conn_id=account.member_guid,
        id=account.guid,
        name=account.nickname or account.name or account.type,
        currency=account.currency_code or DEFAULT_CURRENCY,
        balance=_two_decimals(balance),
        available_balance=_two_decimals(available),
        # Not `updated_at`, which is also that of a change by the client.
        balance_date=int((account.provenance.fetched_at or account.updated_at).timestamp()),
        transactions=[_transaction_item(each) for each in read.transactions],
    )


def _balances(account: Account) -> tuple[Decimal, Decimal]:
    """The balance and what can be spent."""
    balance = account.balance or Decimal(0)
    if account.type in OWED:
        balance = -balance
        return balance, balance if account.available_credit is None else account.available_credit
    return balance, balance if account.available_balance is None else account.available_balance


def _two_decimals(amount: Decimal) -> str:
    """Exactly two, whatever the currency: Actual removes the point and reads the rest as cents."""
    # Without `+ 0`, zero that was negated is -0.00.
    return f"{amount.quantize(CENT) + 0:f}"


def _transaction_item(transaction: Transaction) -> SimplefinTransaction:
    is_pending = transaction.status == "PENDING"
    amount = transaction.amount if transaction.type == "CREDIT" else -transaction.amount
    description = transaction.original_description or transaction.description or ""
    made = transaction.transacted_at.date() if transaction.transacted_at else transaction.date
    return SimplefinTransaction(
        id=transaction.guid,
        posted=0 if is_pending else noon(transaction.date),
        amount=_all_decimals(amount),
        description=description,
        payee=transaction.description or description,
        memo=transaction.memo or "",
        transacted_at=noon(made),
        pending=is_pending,
        mcc=UNSET
        if transaction.merchant_category_code is None
        else f"{transaction.merchant_category_code:04}",
    )


def _all_decimals(amount: Decimal) -> str:
    """At least two decimals, and all that are not 0."""
    rounded = amount.quantize(CENT)
    return f"{(rounded if rounded == amount else amount.normalize()) + 0:f}"
