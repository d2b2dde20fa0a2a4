"""Grants: each access token and what it may read."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from coatcheck import text
from coatcheck.grants.fdx import fdx_consent_id
from coatcheck.grants.narrowing import Changes
from coatcheck.grants.receipts import RevocationReceipt
from coatcheck.grants.restrictions import Permission as GrantPermission
from coatcheck.grants.revocation import Selector
from coatcheck.http.decoding import ChangeSchema, StrictSchema, given_fields
from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.paging import Page
from coatcheck.model.tokens import Grant
from coatcheck.vault.grant_reads import GrantRead

Status: TypeAlias = Annotated[
    Literal["active", "expired", "exhausted", "suspended", "revoked"],
    Meta(
        description="`exhausted`: `max_reads` is used up. `suspended`: the connection is broken, or the user, the "
        "processor or the client is disabled; it reads again when that ends. `revoked`: for good."
    ),
]
Permission: TypeAlias = Literal["numbers", "owners", "transactions", "balances", "statements"]
WHAT = ["ACCOUNT_NUMBERS", "ACCOUNT_OWNERS", "BALANCES", "BALANCES_AND_ACCOUNT_NUMBERS", "TRANSACTIONS"]

Limit: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]
GuidInBody: TypeAlias = Annotated[str, Meta(pattern=text.STORABLE, min_length=1, max_length=64)]
Reason: TypeAlias = Annotated[
    str,
    Meta(
        pattern=text.STORABLE,
        min_length=1,
        max_length=1000,
        description="Why, for your own records. It stands in the receipt and in the grant.",
        examples=["the end user asked for it"],
    ),
]


class GrantChangeRequest(ChangeSchema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the grant becomes. An absent field stays. Null takes a limit away, which is refused if there is one."""

    permissions: Annotated[tuple[GrantPermission, ...], Meta(max_length=20)] | UnsetType = UNSET
    max_reads: Limit | UnsetType | None = UNSET
    lookback_days: Limit | UnsetType | None = UNSET
    expires_at: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET

    @property
    def changes(self) -> Changes:
        return Changes(**given_fields(self))


class GrantChangeRequestBody(StrictSchema, frozen=True, kw_only=True):
    grant: GrantChangeRequest


class RenewalRequest(StrictSchema, frozen=True, kw_only=True):
    scope: (
        Annotated[
            str,
            Meta(
                pattern=text.STORABLE,
                min_length=1,
                max_length=1024,
                description="What the new grant may read, of the same account. Absent: the same as the old one.",
            ),
        ]
        | None
    ) = None


class RenewalRequestBody(StrictSchema, frozen=True, kw_only=True):
    """May be absent."""

    renewal: RenewalRequest = field(default_factory=RenewalRequest)


class RenewalCodeResponse(Struct, frozen=True):
    code: Annotated[str, Meta(description="Give it to the processor of the grant, which redeems it.")]


class RenewalResponseBody(Struct, frozen=True):
    authorization_code: RenewalCodeResponse


class RevokeRequestBody(StrictSchema, frozen=True, kw_only=True):
    """May be absent."""

    reason: Reason | None = None


class RevocationRequest(StrictSchema, frozen=True, kw_only=True):
    """A grant is revoked if it satisfies every given field. One field besides `reason` is required."""

    processor_guid: GuidInBody | None = None
    account_guid: GuidInBody | None = None
    member_guid: GuidInBody | None = None
    user_guid: GuidInBody | None = None
    issued_before: Annotated[datetime, Meta(tz=True, description="Only grants issued before it.")] | None = (
        None
    )
    reason: Reason | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.selector.given:
            raise ValueError(
                "it must contain processor_guid, account_guid, member_guid, user_guid or issued_before"
            )

    @property
    def selector(self) -> Selector:
        return Selector(
            processor_guid=self.processor_guid,
            account_guid=self.account_guid,
            member_guid=self.member_guid,
            user_guid=self.user_guid,
            issued_before=self.issued_before,
        )


class RevocationRequestBody(StrictSchema, frozen=True, kw_only=True):
    revocation: RevocationRequest


class GrantProcessorResponse(Struct, frozen=True):
    guid: str
    name: str


class GrantDisclosureResponse(Struct, frozen=True):
    """What the end user agreed to in the widget, if the text names the processor.

    Null otherwise: the client obtained the authorization itself. `GET /coatcheck/users/{user}/disclosures` has the
    signed statement.
    """

    text: Annotated[str, Meta(description="Every line as the user saw it.")]
    signed_at: Timestamp


class GrantResponse(Struct, frozen=True, kw_only=True):
    guid: Annotated[str, Meta(examples=["TKN-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d11"])]
    status: Status
    processor: GrantProcessorResponse
    user_guid: str
    member_guid: str
    account_guid: str
    scope: Annotated[
        str, Meta(examples=["user-guid:USR-… member-guid:MBR-… account-guid:ACT-… read:transactions"])
    ]
    permissions: Annotated[list[Permission], Meta(examples=[["transactions", "balances"]])]
    created_at: Timestamp
    expires_at: Timestamp
    max_reads: Annotated[int | None, Meta(description="How many reads it allows; null: any number.")]
    reads: Annotated[int, Meta(description="How many requests for data were answered.", examples=[3])]
    lookback_days: Annotated[
        int | None, Meta(description="No older transaction is returned; null: no limit.")
    ]
    last_read_at: Timestamp | None
    version: Annotated[int, Meta(description="1, and one more for each narrowing.", examples=[1])]
    revoked_at: Timestamp | None
    revoked_by: Annotated[str | None, Meta(description="The guid of who revoked it.")]
    revocation_reason: str | None
    fdx_consent_id: Annotated[
        str,
        Meta(
            description="The id of the grant as an FDX consent: see `view=fdx`.",
            examples=["0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d11"],
        ),
    ]
    disclosure: Annotated[
        GrantDisclosureResponse | None,
        Meta(
            description="What the end user read and agreed to; null if the widget did not ask or the text does not "
            "name the processor."
        ),
    ]


class GrantResponseBody(Struct, frozen=True):
    grant: GrantResponse


class GrantsResponseBody(Struct, frozen=True):
    grants: list[GrantResponse]
    pagination: PaginationResponse


class RevokedGrantResponseBody(Struct, frozen=True):
    grant: GrantResponse
    receipt: Annotated[str, Meta(description="A compact JWS; its claim `at` is later than every read.")]


class RevocationResponse(Struct, frozen=True):
    guid: str
    revoked: Annotated[int, Meta(description="How many grants it ended.", examples=[12])]
    at: Timestamp
    receipt: Annotated[str, Meta(description="A compact JWS.")]


class RevocationResponseBody(Struct, frozen=True):
    revocation: RevocationResponse


class ReadResponse(Struct, frozen=True):
    at: Timestamp
    what: Annotated[str, Meta(description="The kind of data.", extra_json_schema={"enum": WHAT})]
    records: Annotated[int, Meta(description="How many records were returned.")]
    ip: Annotated[str | None, Meta(description="The caller's address.", examples=["203.0.113.7"])]
    request_id: Annotated[str | None, Meta(description="`X-Request-Id` of the answer.")]


class ReadsResponseBody(Struct, frozen=True):
    reads: list[ReadResponse]
    pagination: PaginationResponse


def grant_body(grant: Grant) -> GrantResponseBody:
    return GrantResponseBody(_grant(grant))


def grants_body(grants: Page[Grant]) -> GrantsResponseBody:
    return GrantsResponseBody([_grant(each) for each in grants.items], pagination(grants))


def revoked_grant_body(grant: Grant, receipt: RevocationReceipt) -> RevokedGrantResponseBody:
    return RevokedGrantResponseBody(_grant(grant), receipt.receipt)


def renewal_body(code: str) -> RenewalResponseBody:
    return RenewalResponseBody(RenewalCodeResponse(code))


def revocation_body(receipt: RevocationReceipt) -> RevocationResponseBody:
    return RevocationResponseBody(to_schema(receipt, RevocationResponse))


def reads_body(reads: Page[GrantRead]) -> ReadsResponseBody:
    return ReadsResponseBody(
        [to_schema(each, ReadResponse, ip=each.address) for each in reads.items], pagination(reads)
    )


def _grant(grant: Grant) -> GrantResponse:
    return to_schema(
        grant,
        GrantResponse,
        processor=GrantProcessorResponse(grant.processor_guid, grant.processor_name),
        revocation_reason=grant.revoked_because,
        fdx_consent_id=fdx_consent_id(grant.guid),
        disclosure=(
            GrantDisclosureResponse(grant.disclosure_text, grant.disclosed_at)
            if grant.disclosure_text is not None and grant.disclosed_at is not None
            else None
        ),
    )
