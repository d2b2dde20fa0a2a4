"""The sandbox bank's data as FDX 6 entities. No I/O.

Ids of accounts and transactions are the FDX bank's own, as at a real bank, where each interface has its own ids.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from coatcheck.connectors.contract import BankAccount, BankNumbers, BankOwner, BankTransaction
from coatcheck.emulator.fdx_bank.answers import without_none

_NAMESPACE = UUID("8d0f3c7a-5c0e-5b36-9d55-0f6f2a0c9b7e")
CATEGORIES = {
    "CHECKING": "DEPOSIT_ACCOUNT",
    "SAVINGS": "DEPOSIT_ACCOUNT",
    "PREPAID": "DEPOSIT_ACCOUNT",
    "CREDIT_CARD": "LOC_ACCOUNT",
    "LINE_OF_CREDIT": "LOC_ACCOUNT",
    "CHECKING_LINE_OF_CREDIT": "LOC_ACCOUNT",
    "MORTGAGE": "LOAN_ACCOUNT",
    "LOAN": "LOAN_ACCOUNT",
    "INVESTMENT": "INVESTMENT_ACCOUNT",
}
"""By MX's account type. Any other type is its own category, as of an institution that extends the standard."""
TYPES = {
    ("CHECKING", None): "CHECKING",
    ("SAVINGS", None): "SAVINGS",
    ("SAVINGS", "MONEY_MARKET"): "MONEYMARKET",
    ("SAVINGS", "CERTIFICATE_OF_DEPOSIT"): "CD",
    ("PREPAID", None): "OTHERDEPOSIT",
    ("CREDIT_CARD", None): "CREDITCARD",
    ("LINE_OF_CREDIT", None): "LINEOFCREDIT",
    ("LINE_OF_CREDIT", "HELOC"): "HOMELINEOFCREDIT",
    ("CHECKING_LINE_OF_CREDIT", None): "LINEOFCREDIT",
    ("MORTGAGE", None): "MORTGAGE",
    ("LOAN", "AUTO"): "AUTOLOAN",
    ("LOAN", "STUDENT"): "STUDENTLOAN",
    ("LOAN", "PERSONAL"): "PERSONALLOAN",
    ("LOAN", "SMALL_BUSINESS"): "SMBLOAN",
    ("INVESTMENT", "BROKERAGE"): "BROKERAGEPRODUCT",
    ("INVESTMENT", "PLAN_401_K"): "401K",
    ("INVESTMENT", "ROTH_IRA"): "ROTH",
}
"""By MX's account type and subtype."""
US_NETWORKS = ("US_ACH", "US_FEDWIRE", "US_RTP")

Entity = dict[str, Any]


def fdx_id(id: str) -> str:
    """The FDX bank's id of an account, a transaction or a customer of the sandbox bank."""
    return str(uuid5(_NAMESPACE, id))


def descriptor(account: BankAccount) -> Entity:
    """An entry of `/accounts`: the account without its balances."""
    category = CATEGORIES.get(account.type, account.type)
    return without_none(
        {
            "accountCategory": category,
            "accountId": fdx_id(account.id),
            "accountType": TYPES.get((account.type, account.subtype), account.type),
            "accountNumberDisplay": account.account_number_mask,
            "productName": account.name,
            "nickname": account.nickname,
            "status": "CLOSED" if account.is_closed else "OPEN",
            "currency": {"currencyCode": account.currency_code},
        }
    )


def account_entity(account: BankAccount) -> Entity:
    """`/accounts/{id}`: the account with its balances and terms."""
    terms = {
        "LOC_ACCOUNT": _line_of_credit,
        "LOAN_ACCOUNT": _loan,
        "INVESTMENT_ACCOUNT": _investment,
    }.get(CATEGORIES.get(account.type, ""), _deposit)
    return descriptor(account) | without_none(terms(account))


def _deposit(account: BankAccount) -> Entity:
    return {
        "balanceType": "ASSET",
        "currentBalance": account.balance,
        "availableBalance": account.available_balance,
        "annualPercentageYield": account.apy,
        "interestRate": account.interest_rate,
        "accountOpenDate": account.started_on,
        "maturityDate": account.matures_on,
    }


def _line_of_credit(account: BankAccount) -> Entity:
    return {
        "balanceType": "LIABILITY",
        "currentBalance": account.balance,
        "creditLine": account.credit_limit,
        "availableCredit": account.available_credit,
        "nextPaymentDate": account.payment_due_at and account.payment_due_at.date(),
        "minimumPaymentAmount": account.minimum_payment,
        "lastPaymentAmount": account.last_payment,
        "lastPaymentDate": account.last_payment_at and account.last_payment_at.date(),
        "lastStmtBalance": account.statement_balance,
        "purchasesApr": account.apr,
        "interestRate": account.interest_rate,
        "accountOpenDate": account.started_on,
    }


def _loan(account: BankAccount) -> Entity:
    return {
        "balanceType": "LIABILITY",
        "principalBalance": account.balance,
        "originalPrincipal": account.original_balance,
        "originatingDate": account.started_on,
        "payOffAmount": account.payoff_balance,
        "nextPaymentAmount": account.minimum_payment,
        "nextPaymentDate": account.payment_due_at and account.payment_due_at.date(),
        "lastPaymentAmount": account.last_payment,
        "lastPaymentDate": account.last_payment_at and account.last_payment_at.date(),
        "maturityDate": account.matures_on,
        "interestRate": account.interest_rate,
        "interestRateType": "FIXED",
    }


def _investment(account: BankAccount) -> Entity:
    return {
        "balanceType": "ASSET",
        "currentValue": account.total_account_value,
        "availableCashBalance": account.cash_balance,
        "accountOpenDate": account.started_on,
        "holdings": [],
    }


def payment_networks(numbers: Sequence[BankNumbers], *, is_tokenized: bool) -> Sequence[Entity]:
    """The networks that reach the account. Those of the United States share the number."""
    return [
        {
            # In Canada the electronic form: 0, institution, transit (Payments Canada).
            "bankId": each.routing_number or f"0{each.institution_number}{each.transit_number}",
            "identifier": each.account_number,
            "identifierType": "TOKENIZED_ACCOUNT_NUMBER" if is_tokenized else "ACCOUNT_NUMBER",
            "type": network,
            "transferIn": True,
            "transferOut": True,
        }
        for each in numbers
        for network in (US_NETWORKS if each.routing_number else ("CA_ACSS",))
    ]


def contact(owners: Sequence[BankOwner]) -> Entity:
    """`/accounts/{id}/contact`: each holder with its own means of contact, and all of them together."""
    holders = [_holder(each, position, len(owners)) for position, each in enumerate(owners)]
    return {
        "holders": holders,
        "emails": [email for each in holders for email in each["email"]],
        "addresses": [address for each in holders[:1] for address in each["addresses"]],
        "telephones": [telephone for each in holders for telephone in each["telephones"]],
    }


def customer(customer_id: str, owners: Sequence[BankOwner]) -> Entity:
    """`/customers/current`."""
    return {"customerId": customer_id, **({} if not owners else _person(owners[0]))}


def _holder(owner: BankOwner, position: int, count: int) -> Entity:
    relationship = "PRIMARY_JOINT" if position == 0 else "SECONDARY_JOINT"
    person = _person(owner)
    if person["type"] == "BUSINESS":
        relationship = "BUSINESS"
    elif count == 1:
        relationship = "SOLE_OWNER"
    return {"relationship": relationship, **person}


def _person(owner: BankOwner) -> Entity:
    full_name = owner.owner_name or ""
    is_company = full_name.endswith(" LLC")
    first, _, last = full_name.partition(" ")
    named = {"businessCustomer": {"name": full_name}} if is_company else {}
    return {
        "type": "BUSINESS" if is_company else "CONSUMER",
        **(named or {"name": {"first": owner.first_name or first, "last": owner.last_name or last}}),
        "email": [owner.email] if owner.email else [],
        "addresses": [
            without_none(
                {
                    "type": "HOME",
                    "primary": True,
                    "line1": owner.address,
                    "city": owner.city,
                    "region": owner.state,
                    "postalCode": owner.postal_code,
                    "country": owner.country,
                }
            )
        ],
        "telephones": [{"type": "HOME", "country": "1", "number": (owner.phone or "").removeprefix("+1")}]
        if owner.phone
        else [],
    }


def transaction(row: BankTransaction, account: BankAccount) -> Entity:
    return without_none(
        {
            "accountCategory": CATEGORIES.get(account.type, account.type),
            "transactionId": fdx_id(row.id) if row.id else "",
            "transactionTimestamp": row.transacted_at,
            "postedTimestamp": row.posted_at,
            "description": row.original_description,
            "payee": row.description,
            "memo": row.memo,
            "debitCreditMemo": row.type,
            "status": row.status,
            "amount": row.amount,
            "category": row.category,
            "checkNumber": int(row.check_number_string) if row.check_number_string else None,
            **_of_category(row, account),
        }
    )


def _of_category(row: BankTransaction, account: BankAccount) -> Mapping[str, Any]:
    """The fields that only transactions of the account's category have."""
    is_credit = row.type == "CREDIT"
    match CATEGORIES.get(account.type):
        case "LOC_ACCOUNT":
            return {"transactionType": "FEE" if row.is_fee else "PAYMENT" if is_credit else "PURCHASE"}
        case "LOAN_ACCOUNT":
            return {"transactionType": "PAYMENT" if is_credit else "INTEREST"}
        case "INVESTMENT_ACCOUNT":
            return {"transactionType": "CONTRIBUTION" if is_credit else "OTHER", "fees": Decimal(0)}
    return {}
