"""Endpoints for members and for the jobs that read from their institutions."""

from coatcheck import errors
from coatcheck.api.handlers import jobs, members
from coatcheck.api.routes.parameters import CALLBACK_PAYLOAD, MEMBER, SKIP_WEBHOOK, USE_CASE, USER
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.institutions import CredentialsResponseBody
from coatcheck.api.schemas.jobs import JobResponseBody
from coatcheck.api.schemas.members import (
    MEMBER_BODY,
    MEMBERS_BODY,
    ChallengesResponseBody,
    MemberCreateRequestBody,
    MemberResponseWithJobErrorBody,
    MemberResumeRequestBody,
    MemberStatusResponseBody,
    MemberUpdateRequestBody,
    OAuthWindowResponseBody,
)
from coatcheck.api.versions import Version
from coatcheck.http import doc
from coatcheck.http.route import PAGE, Group, Parameter
from coatcheck.members.members import MAX_MEMBERS

REFUSED_AT_INSTITUTION = (
    errors.InstitutionInMaintenance(),
    errors.InstitutionUnavailable(),
    errors.InstitutionPrevented(),
)
REFUSED_JOBS = (
    *REFUSED_AT_INSTITUTION,
    errors.ConstraintNotMet("A manual member has no institution to read from."),
    errors.JobRunning(),
    errors.JobNotSupported(),
)

MEMBERS = Group(
    "Members",
    "A member is the connection of a user to an institution.",
    (
        Route(
            "POST",
            f"{USER}/members",
            members.create,
            "createMember",
            "Create a member",
            "202 if a job was started, otherwise 200. In v20250224, 201 if a product of `data_request` cannot be "
            "read: the member is created, the jobs of the other products are started, and `error` names the reason.",
            body=MemberCreateRequestBody,
            headers=(CALLBACK_PAYLOAD, SKIP_WEBHOOK),
            answer=MEMBER_BODY,
            other_statuses=(202,),
            own_answers={201: MemberResponseWithJobErrorBody},
            signs_in_at=members.signs_in_at,
            refusals=(
                *REFUSED_AT_INSTITUTION,
                errors.InstitutionPreventsNew(),
                errors.InstitutionPreventsVerification(),
                errors.DuplicateMember(doc.MEMBER),
                errors.JobNotSupported(),
                errors.ConstraintNotMet(f"A user can have at most {MAX_MEMBERS} members."),
            ),
        ),
        Route(
            "GET",
            f"{USER}/members",
            members.list_,
            "listMembers",
            "List the members of a user",
            query=(*PAGE, USE_CASE),
            answer=MEMBERS_BODY,
        ),
        # Before the path of a member, which it would match.
        Route(
            "POST",
            f"{USER}/members/aggregate_all",
            jobs.aggregate_all,
            "aggregateAllMembers",
            "Aggregate all members of a user",
            "Passes over manual members, members on which another job is running, and those whose "
            "connection status "
            "needs the user. Answers with the members.",
            versions=(Version.V20250224,),
            query=PAGE,
            headers=(CALLBACK_PAYLOAD,),
            answer=MEMBERS_BODY,
            status=202,
            is_in_spec=False,
        ),
        Route("GET", MEMBER, members.read, "readMember", "Read a member", answer=MEMBER_BODY),
        Route(
            "PUT",
            MEMBER,
            members.update,
            "updateMember",
            "Update a member",
            "New credentials start an aggregation.",
            body=MemberUpdateRequestBody,
            headers=(CALLBACK_PAYLOAD, SKIP_WEBHOOK),
            answer=MEMBER_BODY,
            refusals=(*REFUSED_AT_INSTITUTION, errors.DuplicateMember(doc.MEMBER), errors.ConstraintNotMet()),
        ),
        Route(
            "DELETE",
            MEMBER,
            members.delete,
            "deleteMember",
            "Delete a member",
            "Deletes its accounts and revokes all tokens for them.",
            headers=(SKIP_WEBHOOK,),
            status=204,
        ),
        Route(
            "GET",
            f"{MEMBER}/credentials",
            members.credentials,
            "listMemberCredentials",
            "List the credential fields of a member",
            "The fields of the institution's sign-in form, without values.",
            query=PAGE,
            answer=CredentialsResponseBody,
        ),
        Route(
            "GET",
            f"{MEMBER}/status",
            members.status,
            "readMemberStatus",
            "Read the status of a member",
            answer=MemberStatusResponseBody,
        ),
        Route(
            "GET",
            f"{MEMBER}/challenges",
            members.challenges,
            "listMemberChallenges",
            "List the challenges of a member",
            "204 unless the member is CHALLENGED.",
            query=PAGE,
            answer=ChallengesResponseBody,
            other_statuses=(204,),
        ),
        Route(
            "PUT",
            f"{MEMBER}/resume",
            members.resume,
            "resumeAggregation",
            "Answer the challenges of a member",
            "For a challenge with options, send the value or the guid of an option.",
            body=MemberResumeRequestBody,
            answer=MEMBER_BODY,
            status=202,
            refusals=(
                *REFUSED_AT_INSTITUTION,
                errors.ConstraintNotMet("The member has no open challenges."),
            ),
        ),
        Route(
            "GET",
            f"{MEMBER}/oauth_window_uri",
            members.oauth_window_uri,
            "requestOAuthWindowURI",
            "Request the URL of the institution's sign-in page",
            "The URL can be opened once.",
            query=(
                Parameter("referral_source", "`BROWSER` (default) or `APP`."),
                Parameter("client_redirect_url", "The URL to which an app's user is redirected at the end."),
                Parameter("ui_message_webview_url_scheme", "The URL scheme of an app without such a URL."),
                Parameter("skip_aggregation", "`true` starts no aggregation afterwards.", "boolean"),
            ),
            answer=OAuthWindowResponseBody,
            in_transaction=True,
            signs_in_at=members.signs_in_again_at,
            refusals=(*REFUSED_AT_INSTITUTION, errors.ConstraintNotMet()),
        ),
    ),
)

JOBS = Group(
    "Jobs",
    "Requests to a member's institution. Each returns at once; read the member's status for the result.",
    (
        Route(
            "GET",
            f"{USER}/jobs/{{job}}",
            jobs.read,
            "readJob",
            "Read a job",
            "`most_recent_job_guid` of a member names its last job.",
            versions=(Version.V20250224,),
            answer=JobResponseBody,
            is_in_spec=False,
        ),
        Route(
            "POST",
            f"{MEMBER}/aggregate",
            jobs.aggregate,
            "aggregateMember",
            "Aggregate accounts and transactions",
            "Starts nothing within three hours of the last aggregation.",
            query=(
                Parameter(
                    "include_transactions", "`false` reads accounts only. The default is `true`.", "boolean"
                ),
            ),
            headers=(CALLBACK_PAYLOAD,),
            answer=MEMBER_BODY,
            status=202,
            refusals=REFUSED_JOBS,
        ),
        Route(
            "POST",
            f"{MEMBER}/verify",
            jobs.verify,
            "verifyMember",
            "Verify: read account numbers",
            headers=(CALLBACK_PAYLOAD,),
            answer=MEMBER_BODY,
            refusals=(*REFUSED_JOBS, errors.InstitutionPreventsVerification()),
        ),
        Route(
            "POST",
            f"{MEMBER}/identify",
            jobs.identify,
            "identifyMember",
            "Identify: read account owners",
            answer=MEMBER_BODY,
            status=202,
            refusals=REFUSED_JOBS,
        ),
        Route(
            "POST",
            f"{MEMBER}/check_balance",
            jobs.check_balance,
            "checkBalances",
            "Read balances only",
            answer=MEMBER_BODY,
            status=202,
            refusals=REFUSED_JOBS,
        ),
        Route(
            "POST",
            f"{MEMBER}/extend_history",
            jobs.extend_history,
            "extendHistory",
            "Read 24 months of transactions",
            answer=MEMBER_BODY,
            status=202,
            refusals=REFUSED_JOBS,
        ),
        Route(
            "POST",
            f"{MEMBER}/fetch_statements",
            jobs.fetch_statements,
            "fetchStatements",
            "Read statements",
            answer=MEMBER_BODY,
            status=202,
            refusals=REFUSED_JOBS,
        ),
    ),
)
