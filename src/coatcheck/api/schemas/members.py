"""Members, their status, their challenges and the OAuth window."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from coatcheck.api.products import Product
from coatcheck.api.schemas.choices import ReferralSource, UseCases
from coatcheck.api.versions import ByVersion, Version
from coatcheck.connectors.contract import ChallengeType
from coatcheck.errors import Refusal
from coatcheck.http.decoding import (
    ChangeSchema,
    Guid,
    Line,
    OwnId,
    RequestSchema,
    Text,
)
from coatcheck.http.doc import (
    CHALLENGE,
    JOB,
    LOGIN_FIELD,
    PASSWORD_FIELD,
    MemberGuid,
    UserGuid,
    UserOwnId,
    doc,
)
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.members.records import Challenge
from coatcheck.model.members import Member
from coatcheck.model.mx_codes import NEEDS_CREDENTIALS, status_message
from coatcheck.model.paging import Page
from coatcheck.model.statuses import ConnectionStatus

# --- requests ---


class CredentialRequest(RequestSchema, frozen=True, kw_only=True):
    """The value of a credential field, or the answer to a challenge."""

    guid: Annotated[Guid, doc("The guid of the field or the challenge.")]
    value: Annotated[Text, doc("What the user entered.")]


CredentialRequests = Annotated[tuple[CredentialRequest, ...], Meta(max_length=100)]


class DataRequest(RequestSchema, frozen=True, kw_only=True):
    """A v20250224 field that is accepted in both versions."""

    products: Annotated[
        Annotated[tuple[Product, ...], Meta(max_length=10)],
        doc("The products to read; a job is started for each.", ["transactions"]),
    ]


class MemberCreateRequest(RequestSchema, frozen=True, kw_only=True):
    institution_code: Annotated[Line, doc("The code of the institution.", "mxbank")]
    credentials: Annotated[
        CredentialRequests,
        doc(
            "A value for each credential field of the institution. Empty for OAuth.",
            [{"guid": LOGIN_FIELD, "value": "ann"}, {"guid": PASSWORD_FIELD, "value": "secret"}],
        ),
    ] = ()
    id: Annotated[
        OwnId | None, doc("Your own identifier of the member. It is unique among the user's members.")
    ] = None
    metadata: Annotated[Text | None, doc("Text of your own, returned as it is.")] = None
    is_oauth: Annotated[
        bool, doc("Whether the user signs in on the institution's own page: the answer has its address.")
    ] = False
    skip_aggregation: Annotated[bool, doc("Whether no job is started.")] = False
    skip_webhook: Annotated[bool, doc("Whether no webhook is sent about this request.")] = False
    background_aggregation_is_disabled: Annotated[bool, doc("Whether the member is not read daily.")] = False
    use_cases: Annotated[UseCases | None, doc("What you use the data for.", ["MONEY_MOVEMENT"])] = None


class MemberCreateRequestBody(RequestSchema, frozen=True, kw_only=True):
    member: Annotated[MemberCreateRequest, doc("The member.")]
    client_redirect_url: Annotated[
        Line | None,
        doc(
            "The URL to which an app's user is redirected after the sign-in. It must be one that the "
            "operator registered."
        ),
    ] = None
    enable_app2app: Annotated[bool | None, doc("Has no effect: no institution opens its own app.")] = None
    referral_source: Annotated[
        ReferralSource | None, doc("Whether the sign-in returns to a browser or to an app.")
    ] = None
    ui_message_webview_url_scheme: Annotated[
        Line | None, doc("The URL scheme of an app without such a URL.")
    ] = None
    data_request: Annotated[
        DataRequest | None,
        doc("The products to read, a field of v20250224. Without it the member is aggregated."),
    ] = None


class MemberUpdateRequest(ChangeSchema, frozen=True, kw_only=True):
    background_aggregation_is_disabled: Annotated[
        bool | UnsetType, doc("Whether the member is not read daily.")
    ] = UNSET
    credentials: Annotated[
        CredentialRequests | UnsetType,
        doc("New values for the credential fields. They start an aggregation."),
    ] = UNSET
    id: Annotated[OwnId | UnsetType | None, doc("Your own identifier of the member. Null removes it.")] = (
        UNSET
    )
    metadata: Annotated[
        Text | UnsetType | None,
        doc("Text of your own, returned as it is. Null removes it.", '{"colour": "blue"}'),
    ] = UNSET
    skip_aggregation: Annotated[bool | UnsetType, doc("Whether new credentials start no aggregation.")] = (
        UNSET
    )
    skip_webhook: Annotated[bool | UnsetType, doc("Whether no webhook is sent about this request.")] = UNSET
    use_cases: Annotated[UseCases | UnsetType | None, doc("What you use the data for. Null removes it.")] = (
        UNSET
    )


class MemberUpdateRequestBody(RequestSchema, frozen=True, kw_only=True):
    member: Annotated[MemberUpdateRequest, doc("The fields to change.")]


class MemberResumeRequest(RequestSchema, frozen=True, kw_only=True):
    challenges: Annotated[
        Annotated[tuple[CredentialRequest, ...], Meta(min_length=1, max_length=100)],
        doc("An answer for each challenge.", [{"guid": CHALLENGE, "value": "correct"}]),
    ]


class MemberResumeRequestBody(RequestSchema, frozen=True, kw_only=True):
    member: Annotated[MemberResumeRequest, doc("The answers.")]


# --- answers ---


class MemberFields(Struct, frozen=True, kw_only=True):
    """The keys that both versions have. Both specs type `most_recent_job_detail_text` as a boolean."""

    aggregated_at: Annotated[
        Timestamp | None, doc("When the last job began. Null before the first.", "2026-11-26T09:31:12Z")
    ]
    background_aggregation_is_disabled: Annotated[bool, doc("Whether the member is not read daily.")]
    connection_status: Annotated[
        str | None,
        doc("The state of the connection. Null for a manual member.", "CONNECTED", enum=[*ConnectionStatus]),
    ]
    connection_status_message: Annotated[
        str | None, doc("The state in words for the end user.", "Connected to MX Bank")
    ]
    guid: MemberGuid
    id: Annotated[str | None, doc("Your own identifier of the member.")]
    institution_code: Annotated[str, doc("The code of the institution.", "mxbank")]
    institution_guid: Annotated[
        str, doc("The guid of the institution.", "INS-5f427506-2d11-5233-9e70-421dc36ce106")
    ]
    is_being_aggregated: Annotated[bool, doc("Whether a job is running. Ask again until it is false.")]
    is_managed_by_user: Annotated[bool, doc("Always true: end users manage their members.", True)] = True
    is_manual: Annotated[
        bool, doc("Whether it holds the user's manual accounts and is connected to no institution.")
    ]
    is_oauth: Annotated[bool, doc("Whether the user signs in on the institution's own page.")]
    metadata: Annotated[str | None, doc("Your own text.")]
    most_recent_job_detail_code: Annotated[int | None, doc("Null. MX does not publish its values.")] = None
    most_recent_job_detail_text: Annotated[bool | None, doc("Null. MX types it as a boolean.")] = None
    name: Annotated[str, doc("The name of the institution.", "MX Bank")]
    needs_updated_credentials: Annotated[bool, doc("Whether only new credentials help.")]
    oauth_window_uri: Annotated[
        str | None,
        doc("The address of the institution's sign-in page, in the answer to the request that opened it."),
    ]
    successfully_aggregated_at: Annotated[
        Timestamp | None, doc("When the last job succeeded.", "2026-11-26T09:31:12Z")
    ]
    use_cases: Annotated[list[str], doc("What you use the data for.", ["MONEY_MOVEMENT"])]
    user_guid: UserGuid
    user_id: UserOwnId


class MemberResponse(MemberFields, frozen=True, kw_only=True):
    most_recent_job_guid: Annotated[
        None, doc("Null. The guid is in answers of v20250224: MX's SDKs for v20111101 refuse a string.")
    ] = None


class MemberResponseV20250224(MemberFields, frozen=True, kw_only=True):
    most_recent_job_guid: Annotated[str | None, doc("The guid of the last job.", JOB)]


class MemberResponseBody(Struct, frozen=True):
    member: Annotated[MemberResponse, doc("The member.")]


class MemberResponseBodyV20250224(Struct, frozen=True):
    member: Annotated[MemberResponseV20250224, doc("The member.")]


class JobErrorResponse(Struct, frozen=True, kw_only=True):
    error_code: Annotated[int, doc("Always 1002, access denied.", 1002)] = 1002
    error_message: Annotated[
        str, doc("Why the job was not started, for you.", "MX Bank does not support statement.")
    ]
    error_type: Annotated[str, doc("Always `MEMBER`.", "MEMBER")] = "MEMBER"
    user_message: Annotated[str, doc("The same for the user.", "Some of the data is not available.")] = (
        "Some of the requested data is not available from this institution."
    )


class MemberResponseWithJobErrorBody(Struct, frozen=True):
    """A member that was created without one of the jobs."""

    member: Annotated[MemberResponseV20250224, doc("The member.")]
    error: Annotated[JobErrorResponse, doc("Why a job was not started.")]


class MembersResponseBody(Struct, frozen=True):
    members: Annotated[list[MemberResponse], doc("The members on this page.")]
    pagination: Pagination


class MembersResponseBodyV20250224(Struct, frozen=True):
    members: Annotated[list[MemberResponseV20250224], doc("The members on this page.")]
    pagination: Pagination


MEMBER_BODY: ByVersion = {
    Version.V20111101: MemberResponseBody,
    Version.V20250224: MemberResponseBodyV20250224,
}
MEMBERS_BODY: ByVersion = {
    Version.V20111101: MembersResponseBody,
    Version.V20250224: MembersResponseBodyV20250224,
}


class OptionResponse(Struct, frozen=True):
    guid: Annotated[
        str,
        doc(
            "The guid of the option; it is accepted as the answer.",
            "CRD-0197c4a3-0d31-7a2b-8c3d-4e5f6a7b8c9d",
        ),
    ]
    label: Annotated[str | None, doc("What the user sees.", "Checking")]
    value: Annotated[str | None, doc("The answer that it stands for.", "checking")]


class ImageOptionResponse(Struct, frozen=True):
    data_uri: Annotated[str | None, doc("The image.", "data:image/png;base64,iVBORw0KGgo...")]
    guid: Annotated[
        str,
        doc(
            "The guid of the option; it is accepted as the answer.",
            "CRD-0197c4a3-0d32-7b3c-9d4e-5f6a7b8c9d0e",
        ),
    ]
    label: Annotated[str | None, doc("What it shows.", "A marmot")]
    value: Annotated[str | None, doc("The answer that it stands for.", "marmot")]


class ChallengeResponse(Struct, frozen=True, kw_only=True):
    field_name: Annotated[str | None, doc("The institution's name of the question.")]
    guid: Annotated[str, doc("The guid of the challenge.", CHALLENGE)]
    image_data: Annotated[str | None, doc("The image of an IMAGE_DATA challenge, as a data URI.")]
    image_options: Annotated[list[ImageOptionResponse], doc("The choices of an IMAGE_OPTIONS challenge.", [])]
    label: Annotated[str | None, doc("The question.", "What city were you born in?")]
    options: Annotated[
        list[OptionResponse],
        doc(
            "The choices of an OPTIONS challenge. Of a TOKEN challenge: what can be answered instead of the code, such "
            "as a request for another code.",
            [],
        ),
    ]
    type: Annotated[str, doc("The kind of answer.", "TEXT", enum=[*ChallengeType])]


class ChallengesResponseBody(Struct, frozen=True):
    challenges: Annotated[list[ChallengeResponse], doc("The challenges on this page.")]
    pagination: Pagination


class MemberStatusResponse(Struct, frozen=True, kw_only=True):
    aggregated_at: Annotated[
        Timestamp | None, doc("When the last job began. Null before the first.", "2026-11-26T09:31:12Z")
    ]
    challenges: Annotated[
        list[ChallengeResponse], doc("The open challenges; empty unless the member is CHALLENGED.", [])
    ]
    connection_status: Annotated[
        str | None,
        doc("The state of the connection. Null for a manual member.", "CONNECTED", enum=[*ConnectionStatus]),
    ]
    guid: MemberGuid
    has_processed_account_numbers: Annotated[bool, doc("Whether account numbers were read.", True)]
    has_processed_accounts: Annotated[bool, doc("Whether accounts were read.", True)]
    has_processed_transactions: Annotated[bool, doc("Whether transactions were read.", True)]
    is_authenticated: Annotated[bool, doc("Whether the institution accepted the credentials.", True)]
    is_being_aggregated: Annotated[bool, doc("Whether a job is running. Ask again until it is false.")]
    successfully_aggregated_at: Annotated[
        Timestamp | None, doc("When the last job succeeded.", "2026-11-26T09:31:12Z")
    ]


class MemberStatusResponseBody(Struct, frozen=True):
    member: Annotated[MemberStatusResponse, doc("The status.")]


class OAuthWindowResponse(Struct, frozen=True):
    guid: MemberGuid
    oauth_window_uri: Annotated[
        str,
        doc(
            "The address of the institution's sign-in page. It can be opened once.",
            "https://coatcheck.test/oauth/window/cos_...",
        ),
    ]


class OAuthWindowResponseBody(Struct, frozen=True):
    member: Annotated[OAuthWindowResponse, doc("The member and the address.")]


def member_body(version: Version, member: Member, oauth_window_uri: str | None = None) -> Struct:
    """`MEMBER_BODY` of the version."""
    if version is Version.V20111101:
        return MemberResponseBody(_v20111101(member, oauth_window_uri))
    return MemberResponseBodyV20250224(_v20250224(member, oauth_window_uri))


def member_with_job_error_body(
    member: Member, oauth_window_uri: str | None, refusal: Refusal
) -> MemberResponseWithJobErrorBody:
    error = JobErrorResponse(error_message=refusal.problem)
    return MemberResponseWithJobErrorBody(_v20250224(member, oauth_window_uri), error)


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
