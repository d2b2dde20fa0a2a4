"""Reads an authorization request of the FDX bank (RFC 6749 4.1.1, RFC 7636, RFC 9396). No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from coatcheck.emulator.fdx_bank.answers import OAuthRefusal
from coatcheck.emulator.fdx_bank.store import FdxClient

CLUSTER_OF_SCOPE = {
    "fdx:customerpersonal:read": "CUSTOMER_PERSONAL",
    "fdx:customercontact:read": "CUSTOMER_CONTACT",
    "fdx:accountbasic:read": "ACCOUNT_BASIC",
    "fdx:accountdetailed:read": "ACCOUNT_DETAILED",
    "fdx:paymentsupport:read": "PAYMENT_SUPPORT",
    "fdx:transactions:read": "TRANSACTIONS",
    "fdx:statements:read": "STATEMENTS",
}
SCOPE_OF_CLUSTER = {cluster: scope for scope, cluster in CLUSTER_OF_SCOPE.items()}
CONSENT_TYPE = "FDX_CONSENT"
"""The type of an authorization detail that asks for a consent (RFC 9396 2.1)."""
LONGEST = 365
"""Days: 12 CFR 1033.421(b) limits an authorization to one year."""
CHALLENGE_LENGTH = 43
"""Characters of a SHA-256 in base64url (RFC 7636 4.2)."""

Cluster = Literal[
    "CUSTOMER_PERSONAL",
    "CUSTOMER_CONTACT",
    "ACCOUNT_BASIC",
    "ACCOUNT_DETAILED",
    "PAYMENT_SUPPORT",
    "TRANSACTIONS",
    "STATEMENTS",
]


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    client: FdxClient
    redirect_uri: str
    state: str | None = field(repr=False)
    code_challenge: str
    clusters: Sequence[str]
    lookback_days: int | None
    duration_days: int
    authorization_details: str | None


class _Resource(msgspec.Struct, rename="camel"):
    data_clusters: list[Cluster]
    resource_type: str = "ACCOUNT"


class _ConsentRequest(msgspec.Struct, rename="camel"):
    resources: Annotated[list[_Resource], msgspec.Meta(min_length=1)]
    duration_type: Literal["ONE_TIME", "TIME_BOUND", "PERSISTENT"] = "TIME_BOUND"
    duration_period: Annotated[int, msgspec.Meta(ge=1, le=LONGEST)] = LONGEST
    lookback_period: Annotated[int, msgspec.Meta(ge=1, le=36500)] | None = None


class _Detail(msgspec.Struct, rename="camel"):
    consent_request: _ConsentRequest
    type: str = ""


def redirect_uri_of(client: FdxClient, given: Mapping[str, str]) -> str:
    """Where the answer goes.

    Raises:
        OAuthRefusal: it is not one that the client registered. The user must not be sent there (RFC 6749 4.1.2.1).
    """
    redirect_uri = given.get("redirect_uri", "")
    if redirect_uri not in client.redirect_uris:
        raise OAuthRefusal("invalid_request", "redirect_uri is not one that the client registered.")
    return redirect_uri


def read_request(client: FdxClient, given: Mapping[str, str]) -> AuthorizationRequest:
    """The request, checked.

    Raises:
        OAuthRefusal: a parameter is missing or wrong. `error` is the one for the redirect (RFC 6749 4.1.2.1).
    """
    redirect_uri = redirect_uri_of(client, given)
    if given.get("response_type") != "code":
        raise OAuthRefusal("unsupported_response_type", "response_type must be code.")
    challenge = given.get("code_challenge", "")
    if given.get("code_challenge_method") != "S256" or len(challenge) != CHALLENGE_LENGTH:
        raise OAuthRefusal("invalid_request", "PKCE with S256 is required (RFC 7636).")
    details = given.get("authorization_details")
    consent = _consent_request(details) if details else _of_scope(given.get("scope", ""))
    clusters = dict.fromkeys(cluster for each in consent.resources for cluster in each.data_clusters)
    return AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        state=given.get("state"),
        code_challenge=challenge,
        clusters=tuple(clusters),
        lookback_days=consent.lookback_period,
        duration_days=1 if consent.duration_type == "ONE_TIME" else consent.duration_period,
        authorization_details=details,
    )


def scope_of(clusters: Sequence[str]) -> str:
    return " ".join(SCOPE_OF_CLUSTER[each] for each in clusters)


def _of_scope(scope: str) -> _ConsentRequest:
    """What the scope asks for. Scopes that the bank does not have are ignored (RFC 6749 3.3)."""
    clusters = [CLUSTER_OF_SCOPE[each] for each in scope.split() if each in CLUSTER_OF_SCOPE]
    if not clusters:
        raise OAuthRefusal("invalid_scope", f"Ask for one of {', '.join(CLUSTER_OF_SCOPE)}.")
    return _ConsentRequest([_Resource(clusters)])  # type: ignore[arg-type]  # the clusters are those of the type


def _consent_request(details: str) -> _ConsentRequest:
    try:
        found = msgspec.json.decode(details, type=list[_Detail])
    except msgspec.DecodeError as error:
        raise OAuthRefusal("invalid_authorization_details", str(error)) from error
    requests = [each.consent_request for each in found if each.type == CONSENT_TYPE]
    if len(requests) != 1:
        raise OAuthRefusal(
            "invalid_authorization_details", f"There must be one detail of the type {CONSENT_TYPE}."
        )
    return requests[0]
