"""From what a file says of an account to the records of this program. Pure."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from coatcheck import ids, text
from coatcheck.connectors.contract import BankTransaction
from coatcheck.connectors.rows import UnusableRow, checked
from coatcheck.connectors.statement_files.identity import with_ids
from coatcheck.connectors.statement_files.statement import FileAccount, FileBalance
from coatcheck.crypto import keyed_hash
from coatcheck.errors import InvalidRequest, UnreadableFile
from coatcheck.model.accounts import Account
from coatcheck.model.members import Member
from coatcheck.vault.vault import AccountNumbers, AccountOwner

DEBTS = frozenset({"CREDIT_CARD", "LINE_OF_CREDIT", "LOAN", "MORTGAGE"})
"""The types of account whose balance MX writes as what is owed."""
LONGEST_NUMBER = 34
"""Characters of an IBAN (ISO 13616)."""
NAMES = {
    "CREDIT_CARD": "Card",
    "LINE_OF_CREDIT": "Line of credit",
    "INVESTMENT": "Investment",
    "SAVINGS": "Savings",
}


def account_id(index_key: bytes, user_guid: str, account: FileAccount) -> str:
    """The id of the account in every file. It is keyed: an account number can be guessed from a plain hash."""
    identity = json.dumps([user_guid, *account.identity])
    return keyed_hash(index_key, "statement-file", identity).hex()[:32]


def new_account(account: FileAccount, member: Member, id: str, now: datetime) -> Account:
    number = account.iban or account.number or ""
    mask = number[-4:] or None
    kind = NAMES.get(account.type, "Checking")
    return Account(
        guid=ids.new("ACT"),
        user_guid=member.user_guid,
        client_guid=member.client_guid,
        member_guid=member.guid,
        id=id,
        name=text.cleaned(account.name or "") or (f"{kind} {mask}" if mask else "Statement account"),
        type=account.type,
        subtype=account.subtype,
        currency_code=account.currency_code,
        account_number=mask,
        imported_at=now,
        created_at=now,
        updated_at=now,
    )


def numbers_of(account: FileAccount, account_guid: str, *, passed_validation: bool) -> AccountNumbers | None:
    """The numbers as the file gives them; None if it gives none that can be stored."""
    number = (account.iban or account.number or "").replace(" ", "")
    # A masked number, such as ****1234, is none: a payment to it would fail.
    if not (
        number.isascii()
        and number.isalnum()
        and any(map(str.isdigit, number))
        and len(number) <= LONGEST_NUMBER
    ):
        return None
    return AccountNumbers(
        account_guid=account_guid,
        account_number=number,
        routing_number=routing_number_of(account),
        passed_validation=passed_validation,
    )


def routing_number_of(account: FileAccount) -> str | None:
    """The ABA routing number; None if the file has none, or a bank code of another country."""
    try:
        routing = text.routing_number(account.routing_number or "")
    except InvalidRequest:
        return None
    return routing if text.is_possible_routing_number(routing) else None


def owner_of(account: FileAccount, account_guid: str) -> AccountOwner | None:
    name = text.cleaned(account.owner_name or "")
    return AccountOwner(account_guid=account_guid, owner_name=name) if name else None


def balance_of(account: FileAccount, balance: FileBalance | None) -> Decimal | None:
    """The balance as MX writes it: what is owed is positive."""
    if balance is None:
        return None
    return -balance.amount if account.type in DEBTS else balance.amount


def transactions_of(account: FileAccount, id: str) -> Sequence[BankTransaction]:
    """The transactions with their ids, each once.

    Raises:
        UnreadableFile: one has a value that cannot be stored.
    """
    return tuple({each.id: each for each in _transactions(account, id)}.values())


def _transactions(account: FileAccount, id: str) -> Iterator[BankTransaction]:
    for transaction_id, each in with_ids(account.transactions):
        row = BankTransaction(
            account_id=id,
            id=transaction_id,
            amount=abs(each.amount),
            type="CREDIT" if each.amount >= 0 else "DEBIT",
            status="PENDING" if each.is_pending else "POSTED",
            date=each.date,
            description=text.cleaned(each.description),
            original_description=each.description,
            transacted_at=each.transacted_at,
            posted_at=each.posted_at,
            currency_code=each.currency_code,
            memo=each.memo,
            check_number_string=each.check_number,
            extended_transaction_type=each.kind,
        )
        try:
            yield checked(row)
        except UnusableRow as error:
            raise UnreadableFile(
                "A transaction has a value that cannot be stored.", element=error.field
            ) from None
