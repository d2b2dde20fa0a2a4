"""The OAuth endpoints, in the order in which requests are matched and the documentation lists them."""

from dataclasses import dataclass
from typing import ClassVar

from msgspec import Struct
from starlette.responses import Response

from coatcheck import errors
from coatcheck.errors import CoatcheckError
from coatcheck.http import route
from coatcheck.http.bodies import FORM
from coatcheck.http.route import Caller, Group, Parameter
from coatcheck.oauth_server import handlers, metadata
from coatcheck.oauth_server.errors import oauth_error
from coatcheck.oauth_server.request import OAuthRequest
from coatcheck.oauth_server.schemas import (
    AuthorizationServerMetadata,
    IntrospectionResponse,
    OAuthError,
    OAuthTokenForm,
    OAuthTokenResponse,
    OwnTokenForm,
    ProtectedResourceMetadata,
)

DPOP = Parameter("DPoP", "A proof of the key that the token is bound to, a JWT (RFC 9449).")
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key", "A retry with the same key within a minute returns the same token."
)


@dataclass(frozen=True, slots=True)
class Route(route.Route[OAuthRequest]):
    """One OAuth endpoint."""

    reads_proof: bool = False
    """Whether it accepts a DPoP proof."""

    body_media_type: ClassVar[str] = FORM
    error_body: ClassVar[type[Struct]] = OAuthError

    def refuse(self, error: CoatcheckError) -> Response:
        return oauth_error(error)


OAUTH: Group[Route] = Group(
    "OAuth",
    "For processors that use a standard OAuth client library. A processor authenticates by the one method "
    "that the "
    "operator has set: its API key, a signed assertion, or a TLS certificate.",
    (
        Route(
            "POST",
            "/oauth/token",
            handlers.token,
            "oauthToken",
            "Exchange a code for an access token",
            "RFC 6749 4.1.3. With a DPoP proof or a client certificate the token is bound to it, if the "
            "operator has "
            "set so, and then works with that key only.",
            caller=Caller.PROCESSOR,
            body=OAuthTokenForm,
            headers=(DPOP, IDEMPOTENCY_KEY),
            answer=OAuthTokenResponse,
            reads_proof=True,
            refusals=(
                errors.InvalidGrant(),
                errors.UnsupportedGrantType(),
                errors.InvalidDPoPProof(),
                errors.DPoPNonceRequired("bXk..."),
            ),
        ),
        Route(
            "POST",
            "/oauth/revoke",
            handlers.revoke,
            "oauthRevoke",
            "Revoke an access token",
            "RFC 7009. Ends a token of the processor at once. The answer is 200 whatever the token is.",
            caller=Caller.PROCESSOR,
            body=OwnTokenForm,
        ),
        Route(
            "POST",
            "/oauth/introspect",
            handlers.introspect,
            "oauthIntrospect",
            "Show the state of an access token",
            'RFC 7662. A token that is not the processor\'s, or that does not read, is `{"active": false}`.',
            caller=Caller.PROCESSOR,
            body=OwnTokenForm,
            answer=IntrospectionResponse,
        ),
        Route(
            "GET",
            "/.well-known/oauth-authorization-server",
            metadata.authorization_server,
            "oauthAuthorizationServerMetadata",
            "Show what the authorization server supports",
            "RFC 8414.",
            caller=Caller.ANYONE,
            needs_connection=False,
            answer=AuthorizationServerMetadata,
        ),
        Route(
            "GET",
            "/.well-known/oauth-protected-resource",
            metadata.protected_resource,
            "oauthProtectedResourceMetadata",
            "Show how the reads are protected",
            "RFC 9728.",
            caller=Caller.ANYONE,
            needs_connection=False,
            answer=ProtectedResourceMetadata,
        ),
    ),
)
GROUPS: tuple[Group[Route], ...] = (OAUTH,)
ROUTES: tuple[Route, ...] = OAUTH.routes
