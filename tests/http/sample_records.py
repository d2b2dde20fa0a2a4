"""Hypothesis strategies for every record that an answer is made from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime
from decimal import Decimal
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from coatcheck.api.schemas.accounts import AccountType, PropertyType
from coatcheck.api.schemas.transactions import Include
from coatcheck.api.versions import Version
from coatcheck.connectors.contract import CredentialField, Institution, JobKind, Merchant
from coatcheck.connectors.records import ChallengeType
from coatcheck.connectors.registry import ListedMerchant
from coatcheck.grants.exchange import IssuedToken
from coatcheck.members.records import Challenge
from coatcheck.model.accounts import Account
from coatcheck.model.categories import DEFAULTS, Category
from coatcheck.model.jobs import Job, JobState
from coatcheck.model.members import Member
from coatcheck.model.micro_deposits import DepositAccount, DepositStatus, MicroDeposit
from coatcheck.model.paging import Page, PageRequest
from coatcheck.model.statements import Statement
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.model.tokens import TokenRow
from coatcheck.model.transactions import Transaction
from coatcheck.model.users import User
from coatcheck.vault.vault import AccountNumbers, AccountOwner

Item = TypeVar("Item")

st.register_type_strategy(
    datetime,
    st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1)).map(  # noqa: DTZ001 (made UTC right below)
        lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
    ),
)
st.register_type_strategy(date, st.dates(date(1970, 1, 1), date(2199, 1, 1)))
st.register_type_strategy(Decimal, st.decimals(-(10**12), 10**12, places=2, allow_nan=False))


def one_of(alias: Any) -> st.SearchStrategy[str]:
    return st.sampled_from(get_args(alias))


def made(kind: type[Item], /, **chosen: st.SearchStrategy[Any]) -> st.SearchStrategy[Item]:
    """Every field is drawn by its type, also the fields with a default."""
    return st.builds(kind, **{each.name: ... for each in fields(kind)} | chosen)


def listings(items: st.SearchStrategy[Item]) -> st.SearchStrategy[Page[Item]]:
    pages = st.builds(PageRequest, st.integers(1, 9), st.integers(10, 1000))
    return st.builds(_listing, st.lists(items, max_size=3), st.integers(0, 500), pages)


def _listing(items: Sequence[Item], more: int, page: PageRequest) -> Page[Item]:
    return Page(items, len(items) + more, page)


digits = st.text("0123456789", min_size=1, max_size=20)

RECORDS: Mapping[type[Any], st.SearchStrategy[Any]] = {
    User: made(User),
    Institution: made(
        Institution,
        iso_country_code=st.sampled_from(("US", "CA")),
        supports=st.frozensets(st.sampled_from(JobKind)),
        logo_svg=st.none() | st.just("<svg/>"),
    ),
    Member: made(
        Member,
        connection_status=st.none() | st.sampled_from(ConnectionStatus).map(str),
        use_cases=st.none() | st.lists(st.sampled_from(("MONEY_MOVEMENT", "PFM")), max_size=2),
    ),
    Account: made(
        Account,
        type=one_of(AccountType),
        property_type=st.none() | one_of(PropertyType),
        account_ownership=st.none() | st.sampled_from(("UNKNOWN", "INDIVIDUAL", "JOINT", "MULTIPLE")),
        federal_insurance_status=st.none() | st.sampled_from(("UNKNOWN_INSURED", "INSURED", "NOT_INSURED")),
    ),
    AccountNumbers: made(
        AccountNumbers, account_number=st.none() | digits | st.text(), routing_number=st.none() | digits
    ),
    Transaction: made(
        Transaction,
        type=st.sampled_from(("CREDIT", "DEBIT")),
        status=st.sampled_from(("POSTED", "PENDING")),
        recurrence=st.none() | st.sampled_from(("BILL", "SUBSCRIPTION", "INCOME")),
        merchant_guid=st.none() | st.just("MCH-1"),
    ),
    MicroDeposit: made(
        MicroDeposit,
        account_type=st.none() | one_of(AccountType),
        status=st.sampled_from(DepositStatus),
    ),
    Challenge: made(Challenge, type=st.sampled_from(ChallengeType)),
    Job: made(
        Job,
        kind=st.sampled_from(JobKind),
        state=st.sampled_from(JobState),
        outcome=st.none() | st.sampled_from(ConnectionStatus),
    ),
    Category: st.sampled_from(DEFAULTS),
    ListedMerchant: made(ListedMerchant, guid=st.just("MCH-1"), merchant=made(Merchant)),
    **{
        kind: made(kind)
        for kind in (
            AccountOwner,
            CredentialField,
            DepositAccount,
            IssuedToken,
            Statement,
            TokenRow,
        )
    },
}
"""A strategy for each record of which an answer is made."""

SPECIAL: Mapping[tuple[str, str], st.SearchStrategy[Any]] = {
    ("transactions_body", "includes"): st.sampled_from(
        (frozenset(), frozenset({Include.MERCHANTS}), frozenset(Include))
    ),
    ("transactions_body", "merchants"): st.fixed_dictionaries({"MCH-1": RECORDS[ListedMerchant]}),
    ("widget_body", "widget_type"): st.just("connect_widget"),
}
"""Strategies for arguments whose type does not say which values are possible."""


def arguments_of(function: Callable[..., Any]) -> dict[str, st.SearchStrategy[Any]]:
    """A strategy for each argument of a function that builds an answer, by its type; without the version."""
    hints = get_type_hints(function)
    return {
        name: SPECIAL[function.__name__, name] if (function.__name__, name) in SPECIAL else _of_type(hint)
        for name, hint in hints.items()
        if name != "return" and hint is not Version
    }


def _of_type(hint: Any) -> st.SearchStrategy[Any]:
    if get_origin(hint) is Page:
        return listings(RECORDS[get_args(hint)[0]])
    if get_origin(hint) is Sequence:
        return st.lists(_of_type(get_args(hint)[0]), max_size=2)
    if get_origin(hint) is tuple:
        return st.tuples(*map(_of_type, get_args(hint)))
    if get_origin(hint) is UnionType:
        return st.one_of(*map(_of_type, get_args(hint)))
    return RECORDS[hint] if hint in RECORDS else st.from_type(hint)
