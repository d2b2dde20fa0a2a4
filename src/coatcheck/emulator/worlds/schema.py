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
from coatcheck.http.doc import doc
from coatcheck.members.members import MAX_MEMBERS
from coatcheck.model.account_types import AccountType, PropertyType

RequiredName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1000, extra={CANONICAL: text.name})]
Login: TypeAlias = Annotated[str, Meta(pattern=text.STORABLE, min_length=1, max_length=200)]
Word: TypeAlias = Annotated[str, Meta(pattern=text.STORABLE, min_length=1, max_length=100)]
SignInEnd: TypeAlias = Literal["consent_revoked", "password_changed", "locked"]


class Happened(StrictSchema, frozen=True, kw_only=True, omit_defaults=True):
    """What has happened at the bank."""

    numbers_changed: Annotated[
        Annotated[int, Meta(ge=0, le=1000)], doc("How often the bank gave other account numbers.", 1)
    ] = 0
    owner_changed: Annotated[
        Annotated[int, Meta(ge=0, le=1000)], doc("How often the accounts came to other owners.", 0)
    ] = 0
    new_transactions: Annotated[
        Annotated[tuple[Annotated[datetime, Meta(tz=True)], ...], Meta(max_length=100)],
        doc("When there were transactions beside those that the bank computes.", ["2026-11-26T09:30:00Z"]),
    ] = ()
    sign_in_ended: Annotated[
        SignInEnd | None, doc("Why the bank refuses the credentials. Null: it accepts them.")
    ] = None


class WorldMember(StrictSchema, frozen=True, kw_only=True, omit_defaults=True):
    """A member at the sandbox bank."""

    institution: Annotated[Word, doc("The code of an institution of the sandbox bank.", "mxbank")] = "mxbank"
    login: Annotated[
        Login | None,
        doc(
            "The login, which selects the household. Absent: it follows from the user and the position.",
            "alice",
        ),
    ] = None
    password: Annotated[
        Word | None, doc("A password that chooses what the bank does. Absent: a right one.")
    ] = None
    id: Annotated[OwnId | None, doc("Your own identifier of the member.", "everyday")] = None
    metadata: Annotated[Text | None, doc("Any text of yours.")] = None
    persona: Annotated[Word | None, doc("The household. Absent: it follows from the login.", "salaried")] = (
        None
    )
    accounts: Annotated[
        Annotated[tuple[Word, ...], Meta(min_length=1, max_length=20)] | None,
        doc("Which of the persona's accounts the login has. Absent: all.", ["Checking", "Savings"]),
    ] = None
    controls: Annotated[
        Annotated[tuple[Word, ...], Meta(max_length=50)],
        doc("What the bank does, in addition to the login's controls.", ["nsf", "slow=5s"]),
    ] = ()
    happened: Annotated[Happened, doc("What has happened at the bank.")] = field(default_factory=Happened)
    verify: Annotated[bool, doc("Whether the account numbers are read.", True)] = True
    identify: Annotated[bool, doc("Whether the owners are read.", True)] = True

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

    name: Annotated[RequiredName, doc("The name.", "Painting")]
    type: Annotated[AccountType, doc("MX's type.", "PROPERTY")]
    subtype: Annotated[Name | None, doc("A finer type.")] = None
    nickname: Annotated[Name | None, doc("A name of the user's.")] = None
    balance: Annotated[Decimal | None, doc("The balance.", 1200.5)] = None
    available_balance: Annotated[Decimal | None, doc("The part of it that is available.")] = None
    currency_code: Annotated[Currency | None, doc("ISO 4217.", "USD")] = None
    apr: Annotated[Decimal | None, doc("The annual percentage rate.")] = None
    apy: Annotated[Decimal | None, doc("The annual percentage yield.")] = None
    cash_surrender_value: Annotated[Decimal | None, doc("Of an insurance.")] = None
    credit_limit: Annotated[Decimal | None, doc("The credit limit.")] = None
    death_benefit: Annotated[NonNegativeInt | None, doc("Of an insurance.")] = None
    interest_rate: Annotated[Decimal | None, doc("In per cent.")] = None
    is_business: Annotated[bool, doc("Whether a business owns it.", False)] = False
    is_closed: Annotated[bool, doc("Whether it is closed.", False)] = False
    is_hidden: Annotated[bool, doc("Whether the user hides it.", False)] = False
    loan_amount: Annotated[Decimal | None, doc("Of a loan.")] = None
    metadata: Annotated[Text | None, doc("Any text of yours.")] = None
    original_balance: Annotated[Decimal | None, doc("Of a loan, at its start.")] = None
    property_type: Annotated[PropertyType | None, doc("Of a property.", "ART")] = None


class WorldUser(StrictSchema, frozen=True, kw_only=True, omit_defaults=True):
    id: Annotated[OwnId | None, doc("Your own identifier, unique for the client.", "alice")] = None
    email: Annotated[Email | None, doc("The e-mail address.", "alice@mail.example")] = None
    metadata: Annotated[Text | None, doc("Any text of yours.")] = None
    is_disabled: Annotated[bool, doc("Whether the user is disabled.", False)] = False
    members: Annotated[
        Annotated[tuple[WorldMember, ...], Meta(max_length=MAX_MEMBERS)], doc("Members at the sandbox bank.")
    ] = ()
    accounts: Annotated[
        Annotated[tuple[WorldAccount, ...], Meta(max_length=100)], doc("Manual accounts.")
    ] = ()


class WorldClient(StrictSchema, frozen=True, kw_only=True, omit_defaults=True):
    name: Annotated[RequiredName, doc("An existing client with this name is kept.", "Sandbox client")]
    is_disabled: Annotated[bool, doc("Whether its keys are refused.", False)] = False
    webhook_url: Annotated[Line | None, doc("Where MX's webhooks are sent.")] = None
    processors: Annotated[
        Annotated[tuple[Name, ...], Meta(max_length=100)],
        doc("The names of the processors that are enabled for it.", ["Payments Inc"]),
    ] = ()
    users: Annotated[Annotated[tuple[WorldUser, ...], Meta(max_length=1000)], doc("Its users.")] = ()


class WorldProcessor(StrictSchema, frozen=True, kw_only=True, omit_defaults=True):
    name: Annotated[RequiredName, doc("An existing processor with this name is kept.", "Payments Inc")]
    is_disabled: Annotated[bool, doc("Whether its keys and tokens are refused.", False)] = False
    owners_at_transactions: Annotated[
        bool, doc("Whether it gets owners at `/account/transactions`.", False)
    ] = False
    numbers_as_strings: Annotated[bool, doc("Whether numbers are always JSON strings.", False)] = False


class World(StrictSchema, frozen=True, kw_only=True):
    version: Annotated[Literal[1], doc("The version of the format.", 1)]
    processors: Annotated[
        Annotated[tuple[WorldProcessor, ...], Meta(max_length=100)], doc("The processors.")
    ] = ()
    clients: Annotated[Annotated[tuple[WorldClient, ...], Meta(max_length=100)], doc("The clients.")] = ()


def logins_of(user: WorldUser, number: int) -> Sequence[str]:
    """The login of each member. Where none is given it follows from the user, so that a file always means the same.

    Args:
        user: the user.
        number: the number of the user among those of its client, from 1.
    """
    name = user.id if user.id and "@" not in user.id and "+" not in user.id else f"user-{number}"
    return [member.login or f"{name}-{count}" for count, member in enumerate(user.members, 1)]
