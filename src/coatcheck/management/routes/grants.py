"""Endpoints for grants: each access token and what it may read."""

from coatcheck import errors
from coatcheck.http.route import PAGE, Caller, Group, Parameter
from coatcheck.management.handlers import grants
from coatcheck.management.routes.route import Route
from coatcheck.management.schemas.fdx import FdxConsentResponse
from coatcheck.management.schemas.grants import (
    GrantChangeRequestBody,
    GrantResponseBody,
    GrantsResponseBody,
    ReadsResponseBody,
    RenewalRequestBody,
    RenewalResponseBody,
    RevocationRequestBody,
    RevocationResponseBody,
    RevokedGrantResponseBody,
    RevokeRequestBody,
)
from coatcheck.model.tokens import GrantStatus

GRANT = "/coatcheck/grants/{grant}"
FILTERS = (
    Parameter("status", "Only grants with this status.", choices=tuple(GrantStatus)),
    Parameter("processor_guid", "Only grants of this processor."),
    Parameter("user_guid", "Only grants for this user."),
    Parameter("member_guid", "Only grants for this member."),
    Parameter("account_guid", "Only grants for this account."),
)

GRANTS = Group(
    "Grants",
    "A grant is one access token and what it may read. A client sees the grants for its users, a processor "
    "its own.",
    (
        Route(
            "GET",
            "/coatcheck/grants",
            grants.list_grants,
            "listGrants",
            "List grants",
            "Newest first. Expired and revoked grants are included. Filters are combined with AND.",
            caller=Caller.CLIENT_OR_PROCESSOR,
            query=(*FILTERS, *PAGE),
            answer=GrantsResponseBody,
        ),
        Route(
            "GET",
            GRANT,
            grants.read_grant,
            "readGrant",
            "Read a grant",
            "`reads` counts the requests for data that were answered. With `view=fdx` the answer is the "
            "grant as a "
            "consent of the Financial Data Exchange (FDX 6.3, ConsentGrant), in FDX's names.",
            caller=Caller.CLIENT_OR_PROCESSOR,
            query=(Parameter("view", "Another form of the grant.", choices=tuple(grants.View)),),
            answer=GrantResponseBody,
            other_answers=(FdxConsentResponse,),
        ),
        Route(
            "PATCH",
            GRANT,
            grants.narrow_grant,
            "narrowGrant",
            "Narrow a grant",
            "Makes a new `version` that reads less: fewer permissions, fewer reads, fewer days back, an "
            "earlier end. "
            "Widening is refused with 422; it needs a renewal.",
            body=GrantChangeRequestBody,
            answer=GrantResponseBody,
            refusals=(errors.GrantWidened(), errors.GrantEnded()),
        ),
        Route(
            "POST",
            f"{GRANT}/renewal",
            grants.renew_grant,
            "renewGrant",
            "Renew a grant",
            "A code for the same account and processor. When it is redeemed, the new grant supersedes this "
            "one, "
            "without an instant at which neither reads.",
            body=RenewalRequestBody,
            answer=RenewalResponseBody,
            in_transaction=False,
            refusals=(
                errors.InvalidScope(),
                errors.UserDisabled(),
                errors.NotVerified(),
                errors.NotSelected(),
                errors.GrantEnded(),
            ),
        ),
        Route(
            "GET",
            f"{GRANT}/reads",
            grants.list_reads,
            "listGrantReads",
            "List the reads of a grant",
            "Newest first. Every answered request for data is one read, even if there were no records.",
            query=PAGE,
            answer=ReadsResponseBody,
        ),
        Route(
            "POST",
            f"{GRANT}/revoke",
            grants.revoke_grant,
            "revokeGrant",
            "Revoke a grant",
            "Takes effect at once and cannot be undone. The receipt proves it: no read committed after its "
            "claim `at`. "
            "A repetition of the request gives the same receipt.",
            body=RevokeRequestBody,
            answer=RevokedGrantResponseBody,
            in_transaction=False,
        ),
        Route(
            "POST",
            "/coatcheck/revocations",
            grants.revoke_grants,
            "revokeGrants",
            "Revoke many grants",
            "Revokes every grant for your users that satisfies all given fields, and that is not revoked yet. Codes "
            "that satisfy them and were not redeemed end too; `revoked` does not count them.",
            body=RevocationRequestBody,
            answer=RevocationResponseBody,
            in_transaction=False,
        ),
    ),
)
