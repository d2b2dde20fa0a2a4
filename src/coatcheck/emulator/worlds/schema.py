"""What a world file contains. docs/reference/worlds.md explains every key."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, field

from coatcheck import text
from coatcheck.connectors.sandbox.bank_side import BankEvent, BankSide
from coatcheck.http.decoding import (
    CANONICAL,
    Currency,
    Email,
    Line,
    Name,
    NonNegativeInt,
    OwnId,
    StrictSchema,
    Text,
)
from coatcheck.members.members import MAX_MEMBERS
from coatcheck.model.account_types import AccountType, PropertyType

RequiredName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1000, extra={CANONICAL: text.name})]
Login: TypeAlias = Annotated[str, Meta(pattern=text.STORABLE, min_length=1, max_length=200)]
Word: TypeAlias = Annotated[str, Meta(pattern=text.STORABLE, min_length=1, max_length=100)]
SignInEnd: TypeAlias = Literal["consent_revoked", "password_changed", "locked"]


class Happened(StrictSchema, frozen=True, kw_only=True, omit_defaults=True):
    """What has happened at the bank."""

    numbers_changed: Annotated[int, Meta(ge=0, le=1000)] = 0
    owner_changed: Annotated[int, Meta(ge=0, le=1000)] = 0
    new_transactions: Annotated[tuple[Annotated[datetime, Meta(tz=True)], ...], Meta(max_length=100)] = ()
    sign_in_ended: SignInEnd | None = None


class WorldMember(StrictSchema, frozen=True, kw_only=True, omit_defaults=True):
    """A member at the sandbox bank."""

    institution: Word = "mxbank"
    login: Login | None = None
    password: Word | None = None
    id: OwnId | None = None
    metadata: Text | None = None
    persona: Word | None = None
    accounts: Annotated[tuple[Word, ...], Meta(min_length=1, max_length=20)] | None = None
    controls: Annotated[tuple[Word, ...], Meta(max_length=50)] = ()
    happened: Happened = field(default_factory=Happened)
    verify: bool = True
    identify: bool = True

    @property
    def side(self) -> BankSide:
        """The bank's side, without the end of the sign-in."""
        return BankSide(
            controls=(*([f"persona={self.persona}"] if self.persona else []), *self.controls),
            accounts=self.accounts,
            numbers_changed=self.happened.numbers_changed,
            owner_changed=self.happened.owner_changed,
            new_transactions=self.happened.new_transactions,
        )

    @property
    def ended(self) -> BankEvent | None:
        end = self.happened.sign_in_ended
        return BankEvent(end) if end else None


class WorldAccount(StrictSchema, frozen=True, kw_only=True, omit_defaults=True):
    """A manual account. The names are those of MX's answers."""

    name: RequiredName
    type: AccountType
    subtype: Name | None = None
    nickname: Name | None = None
    balance: Decimal | None = None
    available_balance: Decimal | None = None
    currency_code: Currency | None = None
    apr: Decimal | None = None
    apy: Decimal | None = None
    cash_surrender_value: Decimal | None = None
    credit_limit: Decimal | None = None
    death_benefit: NonNegativeInt | None = None
    interest_rate: Decimal | None = None
    is_business: bool = False
    is_closed: bool = False
    is_hidden: bool = False
    loan_amount: Decimal | None = None
    metadata: Text | None = None
    original_balance: Decimal | None = None
    property_type: PropertyType | None = None


class WorldUser(StrictSchema, frozen=True, kw_only=True, omit_defaults=True):
    id: OwnId | None = None
    email: Email | None = None
    metadata: Text | None = None
    is_disabled: bool = False
    members: Annotated[tuple[WorldMember, ...], Meta(max_length=MAX_MEMBERS)] = ()
    accounts: Annotated[tuple[WorldAccount, ...], Meta(max_length=100)] = ()


class WorldClient(StrictSchema, frozen=True, kw_only=True, omit_defaults=True):
    name: RequiredName
    is_disabled: bool = False
    webhook_url: Line | None = None
    processors: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    users: Annotated[tuple[WorldUser, ...], Meta(max_length=1000)] = ()


class WorldProcessor(StrictSchema, frozen=True, kw_only=True, omit_defaults=True):
    name: RequiredName
    is_disabled: bool = False
    owners_at_transactions: bool = False
    numbers_as_strings: bool = False


class World(StrictSchema, frozen=True, kw_only=True):
    version: Literal[1]
    processors: Annotated[tuple[WorldProcessor, ...], Meta(max_length=100)] = ()
    clients: Annotated[tuple[WorldClient, ...], Meta(max_length=100)] = ()


def logins_of(user: WorldUser, number: int) -> Sequence[str]:
    """The login of each member. Where none is given it follows from the user, so that a file always means the same.

    Args:
        user: the user.
        number: the number of the user among those of its client, from 1.
    """
    name = user.id if user.id and "@" not in user.id and "+" not in user.id else f"user-{number}"
    return [member.login or f"{name}-{count}" for count, member in enumerate(user.members, 1)]
