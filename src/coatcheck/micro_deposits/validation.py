"""Validation of the values that a user enters for micro-deposits. Pure."""

from decimal import Decimal

from coatcheck import text
from coatcheck.errors import InvalidRequest
from coatcheck.model.micro_deposits import DepositAccount
from coatcheck.model.mx_codes import VERIFIABLE_ACCOUNT_TYPE_IDS


def canonical_account(account: DepositAccount) -> DepositAccount:
    """The account in canonical spelling, so that equal accounts have equal hashes. Empty text becomes None.

    Raises:
        InvalidRequest: a value is not valid.
    """
    has_account = is_complete(account)
    return DepositAccount(
        account_number=text.account_number(account.account_number or "") if has_account else None,
        routing_number=text.routing_number(account.routing_number or "") if has_account else None,
        account_name=text.name(account.account_name or "", "account_name") or None,
        email=text.email(account.email) if account.email else None,
        first_name=text.name(account.first_name or "", "first_name") or None,
        last_name=text.name(account.last_name or "", "last_name") or None,
    )


def is_complete(account: DepositAccount) -> bool:
    """Whether account details are given, and not only the holder."""
    return account.account_number is not None or account.routing_number is not None


def check_holder(account: DepositAccount) -> None:
    """Checks that the name and the e-mail address of a holder without an account are given.

    Raises:
        InvalidRequest: a part of the name or the e-mail address is missing.
    """
    if not (account.email and account.first_name and account.last_name):
        raise InvalidRequest("Send the account, or the email, first_name and last_name of its holder.")


def check_account_type(account_type: str | None) -> None:
    """Checks that the account can receive micro-deposits.

    Raises:
        InvalidRequest: the type is not CHECKING or SAVINGS.
    """
    if account_type not in VERIFIABLE_ACCOUNT_TYPE_IDS:
        raise InvalidRequest("The account_type of micro-deposits must be CHECKING or SAVINGS.")


def are_equal(entered: tuple[Decimal, Decimal], sent: tuple[Decimal, ...]) -> bool:
    """Whether the two amounts are those that were sent, in either order."""
    return sorted(entered) == sorted(sent)
