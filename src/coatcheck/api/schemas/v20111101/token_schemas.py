"""The shapes of codes and tokens, and of what a token opens for a processor."""

from decimal import Decimal

from msgspec import Struct

from coatcheck.api.schemas.encoding import Moment
from coatcheck.api.schemas.v20111101.schemas import Pagination


class AuthorizationCode(Struct, frozen=True):
    code: str


class AuthorizationCodeBody(Struct, frozen=True):
    authorization_code: AuthorizationCode


class LegacyAuthorizationCode(Struct, frozen=True):
    authorization_code: str


class LegacyAuthorizationCodeBody(Struct, frozen=True):
    payment_processor_authorization_code: LegacyAuthorizationCode


class ListedToken(Struct, frozen=True):
    payment_processor_guid: str
    expires_at: Moment
    access_token: str
    """The first characters and an ellipsis: the rest is kept nowhere."""
    active: bool


class TokensBody(Struct, frozen=True):
    tokens: list[ListedToken]


class Grant(Struct, frozen=True):
    """Ours: a token by the guid that ends it, with what it opens and why it ended."""

    guid: str
    payment_processor_guid: str
    user_guid: str
    member_guid: str
    account_guid: str
    scope: str
    access_token: str
    """The first characters and an ellipsis: the rest is kept nowhere."""
    created_at: Moment
    expires_at: Moment
    revoked_at: Moment | None
    revoked_because: str | None
    active: bool


class GrantsBody(Struct, frozen=True):
    tokens: list[Grant]


class Token(Struct, frozen=True):
    """RFC 6749 5.1 with MX's `expires_at` (MX processor guide)."""

    access_token: str
    expires_at: Moment
    scope: str
    token_type: str = "Bearer"  # noqa: S105 (the name of a scheme)


class LegacyToken(Struct, frozen=True):
    access_token: str
    token_type: str = "bearer"  # noqa: S105 (the name of a scheme)
    scope: str = "payment_accounts"


class Element(Struct, frozen=True, kw_only=True):
    """Where it belongs; on everything a processor reads."""

    account_guid: str
    member_guid: str
    user_guid: str


class ProcessorNumber(Element, frozen=True, kw_only=True):
    account_number: int | str | None
    guid: str
    institution_number: str | None
    loan_guarantor: str | None
    loan_reference_number: str | None
    passed_validation: bool
    routing_number: int | str | None
    sequence_number: str | None
    transit_number: str | None


class ProcessorNumbersBody(Struct, frozen=True):
    """MX's schema knows no pagination here."""

    account_numbers: list[ProcessorNumber]


class ProcessorOwner(Element, frozen=True, kw_only=True):
    guid: str
    owner_name: str | None
    address: str | None
    city: str | None
    state: str | None
    postal_code: str | None
    country: str | None
    email: str | None
    phone: str | None


class ProcessorOwnersBody(Struct, frozen=True):
    account_owners: list[ProcessorOwner]
    pagination: Pagination


class PaymentAccount(Element, frozen=True, kw_only=True):
    account_name: str | None
    account_number: str | None
    account_type: str
    available_balance: Decimal | None
    balance: Decimal | None
    created_at: Moment
    routing_number: str | None
    transit_number: str | None
    updated_at: Moment


class PaymentAccountBody(Struct, frozen=True):
    payment_account: PaymentAccount
