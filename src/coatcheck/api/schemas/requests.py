"""What clients send, read strictly where a field is known and not at all where it is not.

Real clients send fields that only a newer MX knows, so an unknown field is ignored (design.md), and `data_request`
is heeded in both dialects. Where a null may clear what is stored, a field that was not sent is `UNSET`; `given`
tells which were. Nothing here is ever printed with its values: bodies hold credentials and account numbers.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field, inspect

from coatcheck.api.products import Product
from coatcheck.errors import InvalidRequest

Body = TypeVar("Body", bound=Struct)

# PostgreSQL keeps no NUL character in text; the decoder itself refuses lone surrogates and bad UTF-8.
STORABLE = r"^[^\x00]*$"
Text: TypeAlias = Annotated[str, Meta(pattern=STORABLE)]
Line: TypeAlias = Annotated[str, Meta(pattern=STORABLE, max_length=1000)]
Guid: TypeAlias = Annotated[str, Meta(pattern=STORABLE, max_length=64)]
# `$` alone would let a line break pass behind it.
OwnId: TypeAlias = Annotated[str, Meta(pattern=r"^[^\x00-\x20\x7f/?#%\\]+(?!\n)$", max_length=255)]
"""A client's own name for a thing: it stands in a path segment and in an index."""
UserId: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(?!\n)$", max_length=255)]
"""A client's own name for a user: letters, digits, `-` and `_` (MX docs: users)."""
Currency: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Z]{3}(?!\n)$")]
Whole: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]

UseCase: TypeAlias = Literal["MONEY_MOVEMENT", "PFM"]
UseCases: TypeAlias = Annotated[tuple[UseCase, ...], Meta(max_length=2)]
AccountType: TypeAlias = Literal[
    "ANY",
    "CASH",
    "CHECKING",
    "CHECKING_LINE_OF_CREDIT",
    "CREDIT_CARD",
    "LOAN",
    "LINE_OF_CREDIT",
    "SAVINGS",
    "INVESTMENT",
    "MORTGAGE",
    "INSURANCE",
    "PREPAID",
    "PROPERTY",
]
PropertyType: TypeAlias = Literal[
    "APPLIANCES",
    "ART",
    "COMPUTER",
    "ELECTRONICS",
    "FURNITURE",
    "JEWELRY",
    "MISCELLANEOUS",
    "REAL_ESTATE",
    "SPORTS_EQUIPMENT",
    "VEHICLE",
]
ReferralSource: TypeAlias = Literal["BROWSER", "APP"]
WidgetMode: TypeAlias = Literal["aggregation", "verification"]
ColorScheme: TypeAlias = Literal["light", "dark", "browser"]

LARGEST = Decimal(10) ** 15
SMALLEST_EXPONENT = -8


class Request(Struct, frozen=True, kw_only=True):
    """A JSON object that a client sends. Numbers that no column could keep are refused."""

    def __post_init__(self) -> None:
        for name, encoded in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True):
            value = getattr(self, name)
            if isinstance(value, Decimal) and not _is_usable(value):
                raise ValueError(f"`{encoded}` is too large, too fine, or no number")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class Change(Request, frozen=True, kw_only=True):
    """An object of which any part may be sent, but not none (MX docs: an empty object is refused)."""

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        if not given(self):
            raise ValueError("it must hold at least one field that is known here")


def _is_usable(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= SMALLEST_EXPONENT and abs(number) < LARGEST


def given(request: Request, *names: str) -> dict[str, Any]:
    """The fields that were sent, by our name, such as `replace(user, **given(body.user))` takes.

    Args:
        request: what was sent.
        names: only these; none is all.
    """
    values = ((name, getattr(request, name)) for name in names or request.__struct_fields__)
    return {name: value for name, value in values if value is not UNSET}


@cache
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def parse(body: bytes, kind: type[Body]) -> Body:
    """The body as `kind`.

    Raises:
        InvalidRequest: it is not JSON, or not of that shape; says where, and never what stood there.
    """
    if not body:
        raise InvalidRequest("The request needs a JSON body.")
    try:
        decoded: Body = _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_explain(str(error), kind)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not valid JSON.") from None
    return decoded


def _explain(message: str, kind: type[Any]) -> str:
    """The decoder's message, without the parts that may quote the body, and with the values that are allowed."""
    problem, _, path = message.partition(" - at `$")
    where = path.rstrip("`").lstrip(".") or "The body"
    if "matching regex" in problem:
        return f"{where}: it does not have the right form."
    if problem.startswith(("Expected", "Object missing", "`", "it ")):
        return f"{where}: {problem[0].lower()}{problem[1:]}."
    allowed = _allowed(inspect.type_info(kind), re.sub(r"\[.*?\]", "", where).split("."))
    if not allowed:
        return f"{where}: it is not one of the values allowed."
    return f"{where}: it is {'one of ' if len(allowed) > 1 else ''}{', '.join(allowed)}."


def _allowed(kind: inspect.Type, path: Sequence[str]) -> list[str]:
    """What a literal or an enum takes that stands at the end of the path; empty where neither does."""
    match kind:
        case inspect.Metadata(type=inner):
            return _allowed(inner, path)
        case inspect.VarTupleType(item_type=item):
            return _allowed(item, path)
        case inspect.UnionType(types=types):
            return [value for each in types for value in _allowed(each, path)]
        case inspect.StructType(fields=fields) if path:
            below = (each.type for each in fields if each.encode_name == path[0])
            return [value for each in below for value in _allowed(each, path[1:])]
        case inspect.LiteralType(values=values):
            return [str(value) for value in values]
        case inspect.EnumType(cls=cls):
            return [each.value for each in cls]
    return []


class UserFields(Change, frozen=True, kw_only=True):
    email: Line | UnsetType | None = UNSET
    id: UserId | UnsetType | None = UNSET
    is_disabled: bool | UnsetType = UNSET
    metadata: Text | UnsetType | None = UNSET
    skip_webhook: bool | UnsetType = UNSET


class UserBody(Request, frozen=True, kw_only=True):
    """To create a user, and to change one."""

    user: UserFields


class CredentialValue(Request, frozen=True, kw_only=True):
    """One box of a login form, or one challenge, with what the end user wrote."""

    guid: Guid
    value: Text


CredentialValues: TypeAlias = Annotated[tuple[CredentialValue, ...], Meta(max_length=100)]


class DataRequest(Request, frozen=True, kw_only=True):
    products: Annotated[tuple[Product, ...], Meta(max_length=10)]


class MemberCreate(Request, frozen=True, kw_only=True):
    institution_code: Line
    credentials: CredentialValues = ()
    id: OwnId | None = None
    metadata: Text | None = None
    is_oauth: bool = False
    skip_aggregation: bool = False
    skip_webhook: bool = False
    background_aggregation_is_disabled: bool = False
    use_cases: UseCases | None = None


class MemberCreateBody(Request, frozen=True, kw_only=True):
    member: MemberCreate
    client_redirect_url: Line | None = None
    enable_app2app: bool | None = None
    referral_source: ReferralSource | None = None
    ui_message_webview_url_scheme: Line | None = None
    data_request: DataRequest | None = None


class MemberChange(Change, frozen=True, kw_only=True):
    background_aggregation_is_disabled: bool | UnsetType = UNSET
    credentials: CredentialValues | UnsetType = UNSET
    id: OwnId | UnsetType | None = UNSET
    metadata: Text | UnsetType | None = UNSET
    skip_aggregation: bool | UnsetType = UNSET
    skip_webhook: bool | UnsetType = UNSET
    use_cases: UseCases | UnsetType | None = UNSET


class MemberUpdateBody(Request, frozen=True, kw_only=True):
    member: MemberChange


class MemberResume(Request, frozen=True, kw_only=True):
    challenges: Annotated[tuple[CredentialValue, ...], Meta(min_length=1, max_length=100)]


class MemberResumeBody(Request, frozen=True, kw_only=True):
    member: MemberResume


class AccountFields(Request, frozen=True, kw_only=True):
    subtype: Line | UnsetType | None = field(name="account_subtype", default=UNSET)
    apr: Decimal | UnsetType | None = UNSET
    apy: Decimal | UnsetType | None = UNSET
    available_balance: Decimal | UnsetType | None = UNSET
    balance: Decimal | UnsetType | None = UNSET
    cash_surrender_value: Decimal | UnsetType | None = UNSET
    credit_limit: Decimal | UnsetType | None = UNSET
    currency_code: Currency | UnsetType | None = UNSET
    death_benefit: Whole | UnsetType | None = UNSET
    interest_rate: Decimal | UnsetType | None = UNSET
    is_business: bool | UnsetType = UNSET
    is_closed: bool | UnsetType = UNSET
    is_hidden: bool | UnsetType = UNSET
    loan_amount: Decimal | UnsetType | None = UNSET
    metadata: Text | UnsetType | None = UNSET
    nickname: Line | UnsetType | None = UNSET
    original_balance: Decimal | UnsetType | None = UNSET
    property_type: PropertyType | UnsetType | None = UNSET


class AccountCreate(AccountFields, frozen=True, kw_only=True):
    name: Line
    type: AccountType = field(name="account_type")


class AccountCreateBody(Request, frozen=True, kw_only=True):
    account: AccountCreate


class AccountChange(AccountFields, Change, frozen=True, kw_only=True):
    name: Line | UnsetType = UNSET
    type: AccountType | UnsetType = field(name="account_type", default=UNSET)


class AccountUpdateBody(Request, frozen=True, kw_only=True):
    account: AccountChange


class AccountsMerge(Request, frozen=True, kw_only=True):
    account_guids: Annotated[tuple[Guid, ...], Meta(min_length=2, max_length=100)]


class AccountsMergeBody(Request, frozen=True, kw_only=True):
    account: AccountsMerge


class TransactionChange(Request, frozen=True, kw_only=True):
    description: Line


class TransactionUpdateBody(Request, frozen=True, kw_only=True):
    transaction: TransactionChange


class MicroDepositCreate(Request, frozen=True, kw_only=True):
    """With an account to pay to; or with its holder alone, to be completed later (MX docs: pre-initiate)."""

    account_name: Line | None = None
    account_number: Line | None = None
    account_type: AccountType | None = None
    routing_number: Line | None = None
    email: Line | None = None
    first_name: Line | None = None
    last_name: Line | None = None


class MicroDepositBody(Request, frozen=True, kw_only=True):
    micro_deposit: MicroDepositCreate


class MicroDepositVerify(Request, frozen=True, kw_only=True):
    deposit_amount_1: Decimal
    deposit_amount_2: Decimal


class MicroDepositVerifyBody(Request, frozen=True, kw_only=True):
    micro_deposit: MicroDepositVerify


class WidgetOptions(Request, frozen=True, kw_only=True):
    """What both widget requests can say. None is: not said, so the widget's default holds."""

    client_redirect_url: Line | None = None
    color_scheme: ColorScheme | None = None
    current_institution_code: Line | None = None
    current_institution_guid: Guid | None = None
    current_member_guid: Guid | None = None
    current_microdeposit_guid: Guid | None = None
    data_request: DataRequest | None = None
    disable_background_agg: bool | None = None
    disable_institution_search: bool | None = None
    enable_app2app: bool | None = None
    include_identity: bool | None = None
    include_transactions: bool | None = None
    is_mobile_webview: bool | None = None
    iso_country_code: Annotated[tuple[Line, ...], Meta(max_length=10)] | None = None
    locale: Line | None = None
    mode: WidgetMode | None = None
    oauth_referral_source: ReferralSource | None = None
    ui_message_version: Literal[4] | None = None
    ui_message_webview_url_scheme: Line | None = None
    update_credentials: bool | None = None
    use_cases: UseCases | None = None


class WidgetRequest(WidgetOptions, frozen=True, kw_only=True):
    widget_type: Line


class WidgetBody(Request, frozen=True, kw_only=True):
    widget_url: WidgetRequest


class ConnectWidgetBody(Request, frozen=True, kw_only=True):
    config: WidgetOptions = field(default_factory=WidgetOptions)


class AuthorizationCode(Request, frozen=True, kw_only=True):
    scope: Line | None = None
    processor_guid: Guid | None = None
    """Ours: the one processor that may redeem the code."""


class AuthorizationCodeBody(Request, frozen=True, kw_only=True):
    authorization_code: AuthorizationCode


class LegacyAuthorizationCode(Request, frozen=True, kw_only=True):
    account_guid: Guid
    member_guid: Guid
    user_guid: Guid


class LegacyAuthorizationCodeBody(Request, frozen=True, kw_only=True):
    payment_processor_authorization_code: LegacyAuthorizationCode


class TokenScope(Request, frozen=True, kw_only=True):
    account_guid: Guid | None = None
    member_guid: Guid | None = None
    user_guid: Guid | None = None


class TokensBody(Request, frozen=True, kw_only=True):
    """The body of a GET, which many clients cannot send: an absent one asks for every token."""

    scope: TokenScope = field(default_factory=TokenScope)
