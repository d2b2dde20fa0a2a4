"""Grants: each access token and what it may read."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from coatcheck import text
from coatcheck.grants.fdx import fdx_consent_id
from coatcheck.grants.narrowing import Changes
from coatcheck.grants.receipts import RevocationReceipt
from coatcheck.grants.restrictions import LookbackDays, MaxReads
from coatcheck.grants.restrictions import Permission as GrantPermission
from coatcheck.grants.revocation import Selector
from coatcheck.http.decoding import ChangeSchema, StrictSchema, given_fields
from coatcheck.http.doc import (
    ACCOUNT,
    CODE,
    GRANT,
    JWS_EXAMPLE,
    PROCESSOR,
    SCOPE,
    AccountGuid,
    MemberGuid,
    UserGuid,
    doc,
)
from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.http.pagination import Pagination, pagination
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
WHAT = [
    "ACCOUNT_NUMBERS",
    "ACCOUNT_OWNERS",
    "BALANCES",
    "BALANCES_AND_ACCOUNT_NUMBERS",
    "BALANCES_AND_TRANSACTIONS",
    "TRANSACTIONS",
]

MaxReadsLimit: TypeAlias = Annotated[int, Meta(ge=1, le=MaxReads.most)]
LookbackLimit: TypeAlias = Annotated[int, Meta(ge=1, le=LookbackDays.most)]
GuidInBody: TypeAlias = Annotated[str, Meta(pattern=text.STORABLE, min_length=1, max_length=64)]
Reason: TypeAlias = Annotated[
    str,
    Meta(
        pattern=text.STORABLE,
        min_length=1,
        max_length=1000,
        description="Why. No personal data: the receipt contains it, and the processor sees it in the grant.",
        examples=["the end user asked for it"],
    ),
]


class GrantChangeRequest(ChangeSchema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the grant becomes. An absent field stays. Null takes a limit away, which is refused if there is one."""

    permissions: Annotated[
        Annotated[tuple[GrantPermission, ...], Meta(max_length=20)] | UnsetType,
        doc("The kinds of data that remain.", ["balances"]),
    ] = UNSET
    max_reads: Annotated[MaxReadsLimit | UnsetType | None, doc("How many reads it allows in all.", 9)] = UNSET
    lookback_days: Annotated[LookbackLimit | UnsetType | None, doc("No older transaction is returned.")] = (
        UNSET
    )
    expires_at: Annotated[Annotated[datetime, Meta(tz=True)] | UnsetType, doc("When it ends.")] = UNSET

    @property
    def changes(self) -> Changes:
        return Changes(**given_fields(self))


class GrantChangeRequestBody(StrictSchema, frozen=True, kw_only=True):
    grant: Annotated[GrantChangeRequest, doc("What the grant becomes.")]


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

    renewal: Annotated[RenewalRequest, doc("What the new grant reads.")] = field(
        default_factory=RenewalRequest
    )


class RenewalCodeResponse(Struct, frozen=True):
    code: Annotated[str, doc("Give it to the processor of the grant, which redeems it.", CODE)]


class RenewalResponseBody(Struct, frozen=True):
    authorization_code: Annotated[RenewalCodeResponse, doc("The code.")]


class RevokeRequestBody(StrictSchema, frozen=True, kw_only=True):
    """May be absent."""

    reason: Reason | None = None


class RevocationRequest(StrictSchema, frozen=True, kw_only=True):
    """A grant is revoked if it satisfies every given field. One field besides `reason` is required."""

    processor_guid: Annotated[GuidInBody | None, doc("Only grants of this processor.")] = None
    account_guid: Annotated[GuidInBody | None, doc("Only grants for this account.", ACCOUNT)] = None
    member_guid: Annotated[GuidInBody | None, doc("Only grants for accounts of this member.")] = None
    user_guid: Annotated[GuidInBody | None, doc("Only grants for this user.")] = None
    issued_before: Annotated[datetime, Meta(tz=True, description="Only grants issued before it.")] | None = (
        None
    )
    reason: Reason | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        # An empty object would select every grant of the client.
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
    revocation: Annotated[RevocationRequest, doc("Which grants to revoke.")]


class GrantProcessorResponse(Struct, frozen=True):
    guid: Annotated[str, doc("The guid of the processor.", PROCESSOR)]
    name: Annotated[str, doc("The name of the processor.", "Acme Payments")]


class GrantDisclosureResponse(Struct, frozen=True):
    """What the end user agreed to in the widget, if the text names the processor.

    Null otherwise: the client obtained the authorization itself. `GET /coatcheck/users/{guid}/disclosures` has the
    signed statement.
    """

    text: Annotated[str, doc("Every line as the user saw it.", "Acme Payments reads your account number.")]
    signed_at: Annotated[Timestamp, doc("When the user agreed.", "2026-11-26T09:34:10Z")]


class GrantResponse(Struct, frozen=True, kw_only=True):
    guid: Annotated[str, doc("The guid of the grant. It is not the access token.", GRANT)]
    status: Status
    processor: Annotated[GrantProcessorResponse, doc("Who holds the token.")]
    user_guid: UserGuid
    member_guid: MemberGuid
    account_guid: AccountGuid
    scope: Annotated[str, doc("What was requested.", SCOPE)]
    permissions: Annotated[
        list[Permission],
        doc("The kinds of data that it reads.", ["numbers", "owners", "transactions", "balances"]),
    ]
    created_at: Annotated[Timestamp, doc("When the code was exchanged.", "2026-11-26T09:35:00Z")]
    expires_at: Annotated[Timestamp, doc("When it ends.", "2027-01-25T09:35:00Z")]
    max_reads: Annotated[int | None, Meta(description="How many reads it allows; null: any number.")]
    reads: Annotated[int, Meta(description="How many requests for data were answered.", examples=[3])]
    lookback_days: Annotated[
        int | None, Meta(description="No older transaction is returned; null: no limit.")
    ]
    last_read_at: Annotated[
        Timestamp | None, doc("The last answered request for data.", "2026-11-26T09:40:00Z")
    ]
    version: Annotated[int, Meta(description="1, and one more for each narrowing.", examples=[1])]
    revoked_at: Annotated[Timestamp | None, doc("When it was revoked.")]
    revoked_by: Annotated[str | None, Meta(description="The guid of who revoked it.")]
    revocation_reason: Annotated[str | None, doc("Why it was revoked, in your words.")]
    fdx_consent_id: Annotated[
        str,
        Meta(
            description="The id of the grant as an FDX consent: see `view=fdx`.",
            examples=[GRANT.removeprefix("TKN-")],
        ),
    ]
    disclosure: Annotated[
        GrantDisclosureResponse | None,
        Meta(
            description="What the end user read and agreed to; null if the widget did not ask or the text does not "
            "name the processor."
        ),
    ]
    simplefin_access_guid: Annotated[
        str | None,
        doc("The grants that one SimpleFIN access URL opens have the same; null for every other grant."),
    ]


class GrantResponseBody(Struct, frozen=True):
    grant: Annotated[GrantResponse, doc("The grant.")]


class GrantsResponseBody(Struct, frozen=True):
    grants: Annotated[list[GrantResponse], doc("The grants on this page, the newest first.")]
    pagination: Pagination


class RevokedGrantResponseBody(Struct, frozen=True):
    grant: Annotated[
        GrantResponse | None,
        doc(
            "The revoked grant. Null if it was deleted, 30 days after it expired. The receipt is kept for longer."
        ),
    ]
    receipt: Annotated[str, doc("A compact JWS; its claim `at` is later than every read.", JWS_EXAMPLE)]


class RevocationResponse(Struct, frozen=True):
    guid: Annotated[str, doc("The guid of the revocation.", "REV-0197c4b1-7a20-7f9e-8d1c-2b3a4c5d6e7f")]
    revoked: Annotated[int, Meta(description="How many grants it ended.", examples=[12])]
    at: Annotated[Timestamp, doc("When the grants ended.", "2026-11-26T09:40:00Z")]
    receipt: Annotated[str, doc("A compact JWS.", JWS_EXAMPLE)]


class RevocationResponseBody(Struct, frozen=True):
    revocation: Annotated[RevocationResponse, doc("What was done.")]


class ReadResponse(Struct, frozen=True):
    at: Annotated[Timestamp, doc("When the data was answered.", "2026-11-26T09:40:00Z")]
    what: Annotated[str, Meta(description="The kind of data.", extra_json_schema={"enum": WHAT})]
    records: Annotated[int, Meta(description="How many records were returned.")]
    ip: Annotated[str | None, Meta(description="The caller's address.", examples=["203.0.113.7"])]
    request_id: Annotated[str | None, Meta(description="`X-Request-Id` of the answer.")]


class ReadsResponseBody(Struct, frozen=True):
    reads: Annotated[list[ReadResponse], doc("The reads on this page, the newest first.")]
    pagination: Pagination


def grant_body(grant: Grant) -> GrantResponseBody:
    return GrantResponseBody(_grant(grant))


def grants_body(grants: Page[Grant]) -> GrantsResponseBody:
    return GrantsResponseBody([_grant(each) for each in grants.items], pagination(grants))


def revoked_grant_body(grant: Grant | None, receipt: RevocationReceipt) -> RevokedGrantResponseBody:
    return RevokedGrantResponseBody(None if grant is None else _grant(grant), receipt.receipt)


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
        permissions=[each.value for each in GrantPermission if each in grant.permissions],
        revocation_reason=grant.revoked_because,
        fdx_consent_id=fdx_consent_id(grant.guid),
        disclosure=(
            GrantDisclosureResponse(grant.disclosure_text, grant.disclosed_at)
            if grant.disclosure_text is not None and grant.disclosed_at is not None
            else None
        ),
    )
