"""Members, their status, their challenges and the OAuth window."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from coatcheck.api.products import Product
from coatcheck.api.schemas.choices import ReferralSource, UseCases
from coatcheck.api.versions import ByVersion, Version
from coatcheck.http.decoding import (
    ChangeSchema,
    Guid,
    Line,
    OwnId,
    RequestSchema,
    Text,
)
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.members.records import Challenge
from coatcheck.model.members import Member
from coatcheck.model.mx_codes import NEEDS_CREDENTIALS, status_message
from coatcheck.model.paging import Page
from coatcheck.model.statuses import ConnectionStatus

# --- requests ---


class CredentialRequest(RequestSchema, frozen=True, kw_only=True):
    """The value of a credential field, or the answer to a challenge."""

    guid: Guid
    value: Text


CredentialRequests = Annotated[tuple[CredentialRequest, ...], Meta(max_length=100)]


class DataRequest(RequestSchema, frozen=True, kw_only=True):
    """A v20250224 field that is accepted in both versions."""

    products: Annotated[tuple[Product, ...], Meta(max_length=10)]


class MemberCreateRequest(RequestSchema, frozen=True, kw_only=True):
    institution_code: Line
    credentials: CredentialRequests = ()
    id: OwnId | None = None
    metadata: Text | None = None
    is_oauth: bool = False
    skip_aggregation: bool = False
    skip_webhook: bool = False
    background_aggregation_is_disabled: bool = False
    use_cases: UseCases | None = None


class MemberCreateRequestBody(RequestSchema, frozen=True, kw_only=True):
    member: MemberCreateRequest
    client_redirect_url: Line | None = None
    enable_app2app: bool | None = None
    referral_source: ReferralSource | None = None
    ui_message_webview_url_scheme: Line | None = None
    data_request: DataRequest | None = None


class MemberUpdateRequest(ChangeSchema, frozen=True, kw_only=True):
    background_aggregation_is_disabled: bool | UnsetType = UNSET
    credentials: CredentialRequests | UnsetType = UNSET
    id: OwnId | UnsetType | None = UNSET
    metadata: Text | UnsetType | None = UNSET
    skip_aggregation: bool | UnsetType = UNSET
    skip_webhook: bool | UnsetType = UNSET
    use_cases: UseCases | UnsetType | None = UNSET


class MemberUpdateRequestBody(RequestSchema, frozen=True, kw_only=True):
    member: MemberUpdateRequest


class MemberResumeRequest(RequestSchema, frozen=True, kw_only=True):
    challenges: Annotated[tuple[CredentialRequest, ...], Meta(min_length=1, max_length=100)]


class MemberResumeRequestBody(RequestSchema, frozen=True, kw_only=True):
    member: MemberResumeRequest


# --- answers ---


class MemberFields(Struct, frozen=True, kw_only=True):
    """The keys that both versions have. Both specs type `most_recent_job_detail_text` as a boolean."""

    aggregated_at: Timestamp | None
    background_aggregation_is_disabled: bool
    connection_status: str | None
    connection_status_message: str | None
    guid: str
    id: str | None
    institution_code: str
    institution_guid: str
    is_being_aggregated: bool
    is_managed_by_user: bool = True
    is_manual: bool
    is_oauth: bool
    metadata: str | None
    most_recent_job_detail_code: int | None = None
    most_recent_job_detail_text: bool | None = None
    name: str
    needs_updated_credentials: bool
    oauth_window_uri: str | None
    successfully_aggregated_at: Timestamp | None
    use_cases: list[str]
    user_guid: str
    user_id: str | None


class MemberResponse(MemberFields, frozen=True, kw_only=True):
    most_recent_job_guid: None = None
    """MX's v20111101 spec types this guid as a boolean, and its SDKs refuse a string."""


class MemberResponseV20250224(MemberFields, frozen=True, kw_only=True):
    most_recent_job_guid: str | None


class MemberResponseBody(Struct, frozen=True):
    member: MemberResponse


class MemberResponseBodyV20250224(Struct, frozen=True):
    member: MemberResponseV20250224


class MembersResponseBody(Struct, frozen=True):
    members: list[MemberResponse]
    pagination: PaginationResponse


class MembersResponseBodyV20250224(Struct, frozen=True):
    members: list[MemberResponseV20250224]
    pagination: PaginationResponse


MEMBER_BODY: ByVersion = {
    Version.V20111101: MemberResponseBody,
    Version.V20250224: MemberResponseBodyV20250224,
}
MEMBERS_BODY: ByVersion = {
    Version.V20111101: MembersResponseBody,
    Version.V20250224: MembersResponseBodyV20250224,
}


class OptionResponse(Struct, frozen=True):
    guid: str
    label: str | None
    value: str | None


class ImageOptionResponse(Struct, frozen=True):
    data_uri: str | None
    guid: str
    label: str | None
    value: str | None


class ChallengeResponse(Struct, frozen=True, kw_only=True):
    field_name: str | None
    guid: str
    image_data: str | None
    image_options: list[ImageOptionResponse]
    label: str | None
    options: list[OptionResponse]
    type: str


class ChallengesResponseBody(Struct, frozen=True):
    challenges: list[ChallengeResponse]
    pagination: PaginationResponse


class MemberStatusResponse(Struct, frozen=True, kw_only=True):
    aggregated_at: Timestamp | None
    challenges: list[ChallengeResponse]
    connection_status: str | None
    guid: str
    has_processed_account_numbers: bool
    has_processed_accounts: bool
    has_processed_transactions: bool
    is_authenticated: bool
    is_being_aggregated: bool
    successfully_aggregated_at: Timestamp | None


class MemberStatusResponseBody(Struct, frozen=True):
    member: MemberStatusResponse


class OAuthWindowResponse(Struct, frozen=True):
    guid: str
    oauth_window_uri: str


class OAuthWindowResponseBody(Struct, frozen=True):
    member: OAuthWindowResponse


def member_body(version: Version, member: Member, oauth_window_uri: str | None = None) -> Struct:
    """`MEMBER_BODY` of the version."""
    if version is Version.V20111101:
        return MemberResponseBody(_v20111101(member, oauth_window_uri))
    return MemberResponseBodyV20250224(_v20250224(member, oauth_window_uri))


def members_body(version: Version, members: Page[Member]) -> Struct:
    """`MEMBERS_BODY` of the version."""
    if version is Version.V20111101:
        return MembersResponseBody([_v20111101(each) for each in members.items], pagination(members))
    return MembersResponseBodyV20250224([_v20250224(each) for each in members.items], pagination(members))


def member_status_body(member: Member, challenges: Sequence[Challenge]) -> MemberStatusResponseBody:
    """`challenges` is empty unless the member is CHALLENGED."""
    return MemberStatusResponseBody(
        to_schema(member, MemberStatusResponse, challenges=to_schemas(challenges, ChallengeResponse))
    )


def challenges_body(challenges: Page[Challenge]) -> ChallengesResponseBody:
    return ChallengesResponseBody(to_schemas(challenges.items, ChallengeResponse), pagination(challenges))


def oauth_window_body(member_guid: str, oauth_window_uri: str) -> OAuthWindowResponseBody:
    return OAuthWindowResponseBody(OAuthWindowResponse(member_guid, oauth_window_uri))


def _v20111101(member: Member, oauth_window_uri: str | None = None) -> MemberResponse:
    # The record has the guid of the job, which this version must not return.
    return to_schema(
        member, MemberResponse, most_recent_job_guid=None, **_derived_fields(member, oauth_window_uri)
    )


def _v20250224(member: Member, oauth_window_uri: str | None = None) -> MemberResponseV20250224:
    return to_schema(member, MemberResponseV20250224, **_derived_fields(member, oauth_window_uri))


def _derived_fields(member: Member, oauth_window_uri: str | None) -> dict[str, Any]:
    """The keys that the record does not have, or that must not be null."""
    status = ConnectionStatus(member.connection_status) if member.connection_status else None
    return {
        "connection_status_message": status and status_message(status, member.name),
        "needs_updated_credentials": status in NEEDS_CREDENTIALS,
        "oauth_window_uri": oauth_window_uri,
        "use_cases": member.use_cases or [],
    }
