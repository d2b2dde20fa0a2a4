"""Entities of FDX 6 as records of the connector contract. No I/O.

It reads tolerantly: a field that is missing or of another type is None, and values that the standard does not have pass
through. Entities of FDX 4 and 5, which are wrapped (`{"depositAccount": {...}}`), are read too.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from coatcheck.connectors.contract import BankAccount, BankNumbers, BankOwner, BankTransaction
from coatcheck.connectors.fdx.api import Entity, entities, entity_of
from coatcheck.text import is_possible_routing_number

ACCOUNT_TYPES: Mapping[str, tuple[str, str | None]] = MappingProxyType(
    {
        "CHECKING": ("CHECKING", None),
        "SAVINGS": ("SAVINGS", None),
        "CD": ("SAVINGS", "CERTIFICATE_OF_DEPOSIT"),
        "MONEYMARKET": ("SAVINGS", "MONEY_MARKET"),
        "HIGHINTERESTSAVINGSACCOUNT": ("SAVINGS", None),
        "FIRSTHOMESAVINGSACCOUNT": ("SAVINGS", None),
        "ESCROW": ("SAVINGS", None),
        "OTHERDEPOSIT": ("CASH", None),
        "LINEOFCREDIT": ("LINE_OF_CREDIT", None),
        "HOMELINEOFCREDIT": ("LINE_OF_CREDIT", "HELOC"),
        "CREDITCARD": ("CREDIT_CARD", None),
        "CHARGE": ("CREDIT_CARD", None),
        "MORTGAGE": ("MORTGAGE", None),
        "AUTOLOAN": ("LOAN", "AUTO"),
        "HOMEEQUITYLOAN": ("LOAN", "HOME_EQUITY"),
        "INSTALLMENT": ("LOAN", None),
        "LOAN": ("LOAN", None),
        "MILITARYLOAN": ("LOAN", "PERSONAL"),
        "PERSONALLOAN": ("LOAN", "PERSONAL"),
        "SMBLOAN": ("LOAN", "SMALL_BUSINESS"),
        "STUDENTLOAN": ("LOAN", "STUDENT"),
        "401K": ("INVESTMENT", "PLAN_401_K"),
        "403B": ("INVESTMENT", "PLAN_403_B"),
        "529": ("INVESTMENT", "PLAN_529"),
        "BROKERAGEPRODUCT": ("INVESTMENT", "BROKERAGE"),
        "IRA": ("INVESTMENT", "IRA"),
        "ROLLOVER": ("INVESTMENT", "ROLLOVER_IRA"),
        "ROTH": ("INVESTMENT", "ROTH_IRA"),
        "TAXABLE": ("INVESTMENT", "TAXABLE"),
        "TRUST": ("INVESTMENT", "TRUST"),
        "UGMA": ("INVESTMENT", "UNIFORM_GIFTS_TO_MINORS_ACT"),
        "PREPAID": ("PREPAID", None),
    }
)
"""MX's account type and subtype, by FDX's `accountType`."""
CATEGORY_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "DEPOSIT_ACCOUNT": "SAVINGS",
        "LOC_ACCOUNT": "LINE_OF_CREDIT",
        "LOAN_ACCOUNT": "LOAN",
        "INVESTMENT_ACCOUNT": "INVESTMENT",
        "ANNUITY_ACCOUNT": "INVESTMENT",
        "INSURANCE_ACCOUNT": "INSURANCE",
    }
)
"""MX's account type of an account whose `accountType` is not in `ACCOUNT_TYPES`, by its `accountCategory`."""
STATUSES: Mapping[str, str] = MappingProxyType(
    {"AUTHORIZATION": "PENDING", "PENDING": "PENDING", "POSTED": "POSTED"}
)
CLOSED = "CLOSED"
"""The status of an account."""
MEMO = "MEMO"
"""The status of an entry that moves no money. It is not a transaction."""
IS_TOKENIZED: Mapping[str | None, bool] = {"TOKENIZED_ACCOUNT_NUMBER": True, "ACCOUNT_NUMBER": False}
"""By the type of an identifier (FDX 6, `PaymentNetworkIdentifierType`)."""
_US_NETWORKS_FIRST = ("US_ACH", "US_RTP", "US_FEDNOW", "US_FEDWIRE", "US_CHIPS")
_ROUTING_NUMBER = re.compile(r"[0-9]{9}")
_CANADIAN = re.compile(r"0([0-9]{3})([0-9]{5})")
"""A Canadian bank id in its electronic form: 0, institution, transit (Payments Canada)."""


def account_id(row: Entity) -> str | None:
    return text(_unwrapped(row), "accountId")


def is_closed(row: Entity) -> bool:
    return text(_unwrapped(row), "status") == CLOSED


def account(row: Entity) -> BankAccount | None:
    """The account; None if it has no id or no balance, as accounts that can only be listed (annuities)."""
    row = _unwrapped(row)
    id, balance = text(row, "accountId"), _balance(row)
    if id is None or balance is None:
        return None
    account_type, subtype = _type(row)
    name = text(row, "productName", "nickname", "accountNumberDisplay") or account_type
    return BankAccount(
        id=id,
        name=name,
        type=account_type,
        subtype=subtype,
        nickname=text(row, "nickname"),
        balance=balance,
        # Some institutions write the code itself in place of the entity.
        currency_code=text(entity_of(row.get("currency")), "currencyCode") or text(row, "currency") or "USD",
        available_balance=_amount(row, "availableBalance", "availableCashBalance"),
        account_number_mask=_mask(row),
        apr=_amount(row, "purchasesApr", "annualPercentageRate"),
        apy=_amount(row, "annualPercentageYield"),
        interest_rate=_amount(row, "interestRate"),
        credit_limit=_amount(row, "creditLine"),
        available_credit=_amount(row, "availableCredit"),
        minimum_payment=_amount(row, "minimumPaymentAmount", "nextPaymentAmount"),
        payment_due_at=_datetime(row, "nextPaymentDate"),
        last_payment=_amount(row, "lastPaymentAmount"),
        last_payment_at=_datetime(row, "lastPaymentDate"),
        original_balance=_amount(row, "originalPrincipal"),
        payoff_balance=_amount(row, "payOffAmount"),
        statement_balance=_amount(row, "lastStmtBalance"),
        cash_balance=_amount(row, "availableCashBalance"),
        total_account_value=_amount(row, "currentValue"),
        started_on=_date(row, "originatingDate", "accountOpenDate"),
        matures_on=_date(row, "maturityDate"),
        is_closed=is_closed(row),
        is_business=text(row, "accountCategory") == "COMMERCIAL_ACCOUNT",
    )


def numbers(account_id: str, networks: Sequence[Entity]) -> Sequence[BankNumbers]:
    """The numbers of an account's payment networks. Networks that share a number give it once, ACH first."""
    ordered = sorted(networks, key=lambda each: _rank(text(each, "type")))
    # Of two equal keys a dictionary keeps the later value, so the preferred network comes last.
    found = {
        (each.account_number, each.routing_number, each.institution_number, each.transit_number): each
        for row in reversed(ordered)
        if (each := _numbers(account_id, row)) is not None
    }
    return tuple(reversed(found.values()))


def owners(account_id: str, contact: Entity) -> Sequence[BankOwner]:
    """The holders. Those without means of contact of their own get the account's, as far as it names any."""
    holders = entities(contact.get("holders"))
    return [_owner(account_id, holder, contact, position) for position, holder in enumerate(holders)]


def transaction(account_id: str, row: Entity, currency_code: str) -> BankTransaction | None:
    """The transaction; None for a memo entry, which moves no money."""
    row = _unwrapped(row)
    status = text(row, "status") or "POSTED"
    if status == MEMO:
        return None
    amount = _amount(row, "amount")
    transacted_at = _datetime(row, "transactionTimestamp")
    posted_at = _datetime(row, "postedTimestamp")
    day = _date(row, "transactionTimestamp", "postedTimestamp")
    original = text(row, "description", "memo") or ""
    direction = text(row, "debitCreditMemo")
    if direction is None and amount is not None:
        direction = "DEBIT" if amount < 0 else "CREDIT"
    return BankTransaction(
        account_id=account_id,
        id=text(row, "transactionId") or "",
        # A row without an amount or a date cannot be stored: it is left out and counted.
        amount=Decimal("NaN") if amount is None else abs(amount),
        type=direction or "",
        status=STATUSES.get(status, status) if day else "",
        date=day or date.min,
        description=text(row, "payee") or original,
        original_description=original,
        transacted_at=transacted_at,
        posted_at=posted_at if status == "POSTED" else None,
        currency_code=currency_code,
        memo=text(row, "memo"),
        category=text(row, "category"),
        check_number_string=text(row, "checkNumber"),
        is_fee=text(row, "transactionType") == "FEE",
    )


def _type(row: Entity) -> tuple[str, str | None]:
    name, category = text(row, "accountType") or "", text(row, "accountCategory") or ""
    if name in ACCOUNT_TYPES:
        return ACCOUNT_TYPES[name]
    return CATEGORY_TYPES.get(category, name or category or "ANY"), None


def _balance(row: Entity) -> Decimal | None:
    """What the account is worth, or what is owed."""
    return _amount(row, "currentBalance", "principalBalance", "currentValue", "availableBalance")


def _mask(row: Entity) -> str | None:
    digits = re.sub(r"[^0-9A-Za-z]", "", text(row, "accountNumberDisplay") or "")
    return digits[-4:] or None


def _numbers(account_id: str, row: Entity) -> BankNumbers | None:
    bank_id, identifier = text(row, "bankId") or "", text(row, "identifier")
    if identifier is None:
        return None
    is_tokenized = IS_TOKENIZED.get(text(row, "identifierType"))
    if (text(row, "type") or "").startswith("CA_") and (canadian := _CANADIAN.fullmatch(bank_id)):
        return BankNumbers(
            account_id=account_id,
            account_number=identifier,
            institution_number=canadian[1],
            transit_number=canadian[2],
            is_tokenized=is_tokenized,
        )
    is_routing_number = _ROUTING_NUMBER.fullmatch(bank_id) is not None
    return BankNumbers(
        account_id=account_id,
        account_number=identifier,
        routing_number=bank_id if is_routing_number else None,
        # A number that the bank itself gives is stored even if no bank can have it, and is marked.
        passed_validation=is_routing_number and is_possible_routing_number(bank_id),
        is_tokenized=is_tokenized,
    )


def _rank(network: str | None) -> int:
    return _US_NETWORKS_FIRST.index(network) if network in _US_NETWORKS_FIRST else len(_US_NETWORKS_FIRST)


def _owner(account_id: str, holder: Entity, contact: Entity, position: int) -> BankOwner:
    name = entity_of(holder.get("name"))
    company = text(entity_of(holder.get("businessCustomer")), "name")
    first, last = text(name, "first"), text(name, "last")
    parts = (first, text(name, "middle"), last, text(name, "suffix"))
    address = _first(holder.get("addresses"), contact.get("addresses"), position)
    telephone = _first(holder.get("telephones"), contact.get("telephones"), position)
    emails = holder.get("email") or contact.get("emails")
    return BankOwner(
        account_id=account_id,
        owner_name=company or " ".join(part for part in parts if part) or None,
        first_name=first,
        last_name=last,
        address=" ".join(line for n in (1, 2, 3) if (line := text(address, f"line{n}"))) or None,
        city=text(address, "city"),
        state=text(address, "region", "state"),
        postal_code=text(address, "postalCode"),
        country=text(address, "country"),
        email=_email(emails, position if emails is contact.get("emails") else 0),
        phone=_telephone(telephone),
    )


def _first(own: Any, of_account: Any, position: int) -> Entity:
    """The holder's own; else that of the account at the holder's position, or the account's only one."""
    if found := entities(own):
        return found[0]
    shared = entities(of_account)
    return shared[min(position, len(shared) - 1)] if shared else {}


def _email(emails: Any, position: int) -> str | None:
    texts = [each for each in emails if isinstance(each, str)] if isinstance(emails, list) else []
    return texts[position] if position < len(texts) else None


def _telephone(row: Entity) -> str | None:
    number, country = text(row, "number"), (text(row, "country") or "").removeprefix("+")
    if number is None or number.startswith("+") or not country.isdecimal():
        return number
    return f"+{country}{number}"


def _unwrapped(row: Entity) -> Entity:
    """The entity of FDX 4 and 5 that is the only value of its object."""
    if len(row) == 1:
        (value,) = row.values()
        return value if isinstance(value, dict) else row
    return row


def text(row: Entity, *names: str) -> str | None:
    """The first that is there, as text. Numbers count: some institutions send ids as numbers."""
    for name in names:
        value = row.get(name)
        # In Python `true` is an integer too, and no institution means 1 by it.
        if isinstance(value, str | int | Decimal) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()
    return None


def _amount(row: Entity, *names: str) -> Decimal | None:
    """The first that is there. Amounts in text count."""
    for name in names:
        with suppress(InvalidOperation):
            if (found := text(row, name)) is not None:
                return Decimal(found)
    return None


def _date(row: Entity, *names: str) -> date | None:
    """The day in the institution's own time zone, which is that of the timestamp."""
    found = next((found for name in names if (found := _datetime(row, name))), None)
    return found.date() if found else None


def _datetime(row: Entity, name: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text(row, name) or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
