"""The metadata of this server. Every address is built from `base_url`, never from the `Host` header (RFC 8414 3.3)."""

from coatcheck.grants.jwt_verification import ALGORITHMS, ASSERTION_ALGORITHMS
from coatcheck.grants.restrictions import Permission, Permissions, ReadProtected
from coatcheck.http.encoding import JSON, encode
from coatcheck.http.request import CompleteResponse
from coatcheck.oauth_server.request import OAuthRequest
from coatcheck.oauth_server.schemas import AuthorizationServerMetadata, ProtectedResourceMetadata

AUTHENTICATION_METHODS = [
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "self_signed_tls_client_auth",
]
SCOPES = [ReadProtected.atom, *(f"{Permissions.atom}:{each}" for each in Permission)]
"""The atoms without a value. Those with one, such as `account-guid:`, cannot be enumerated."""


async def authorization_server(request: OAuthRequest) -> CompleteResponse:
    base_url = request.services.settings.base_url
    return _cached(
        AuthorizationServerMetadata(
            issuer=base_url,
            token_endpoint=f"{base_url}/oauth/token",
            token_endpoint_auth_methods_supported=AUTHENTICATION_METHODS,
            token_endpoint_auth_signing_alg_values_supported=[*ASSERTION_ALGORITHMS],
            revocation_endpoint=f"{base_url}/oauth/revoke",
            revocation_endpoint_auth_methods_supported=AUTHENTICATION_METHODS,
            revocation_endpoint_auth_signing_alg_values_supported=[*ASSERTION_ALGORITHMS],
            introspection_endpoint=f"{base_url}/oauth/introspect",
            introspection_endpoint_auth_methods_supported=AUTHENTICATION_METHODS,
            introspection_endpoint_auth_signing_alg_values_supported=[*ASSERTION_ALGORITHMS],
            jwks_uri=f"{base_url}/.well-known/jwks.json",
            grant_types_supported=["authorization_code"],
            # RFC 8414 2 requires it, although this server has no authorization endpoint.
            response_types_supported=["code"],
            scopes_supported=SCOPES,
            # Not `plain`, whose challenge is the verifier (RFC 9700 2.1.1).
            code_challenge_methods_supported=["S256"],
            dpop_signing_alg_values_supported=[*ALGORITHMS],
            tls_client_certificate_bound_access_tokens=True,
            service_documentation=f"{base_url}/docs",
            protected_resources=[base_url],
        )
    )


async def protected_resource(request: OAuthRequest) -> CompleteResponse:
    base_url = request.services.settings.base_url
    return _cached(
        ProtectedResourceMetadata(
            resource=base_url,
            resource_name="Coatcheck",
            authorization_servers=[base_url],
            bearer_methods_supported=["header"],
            scopes_supported=SCOPES,
            dpop_signing_alg_values_supported=[*ALGORITHMS],
            # It is about all tokens. The operator can require it of single processors.
            dpop_bound_access_tokens_required=False,
            tls_client_certificate_bound_access_tokens=True,
            resource_documentation=f"{base_url}/docs",
        )
    )


def _cached(answer: AuthorizationServerMetadata | ProtectedResourceMetadata) -> CompleteResponse:
    return CompleteResponse(200, encode(answer), JSON, (("Cache-Control", "public, max-age=300"),))
