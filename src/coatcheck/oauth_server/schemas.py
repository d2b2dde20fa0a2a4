"""The forms and the answers of the OAuth endpoints. The forms are documented here and read by `request.read_form`."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from coatcheck.http.decoding import RequestSchema

TOKEN_EXAMPLE = "cct_2hQ..."  # noqa: S105 (an example)
SCOPE_EXAMPLE = "user-guid:USR-... member-guid:MBR-... account-guid:ACT-... read-protected"


class ClientCredentials(RequestSchema, frozen=True, kw_only=True):
    """How the processor authenticates, unless it does with HTTP Basic."""

    client_id: (
        Annotated[str, Meta(description="The processor's id. Required unless another credential names it.")]
        | UnsetType
    ) = UNSET
    client_secret: (
        Annotated[str, Meta(description="The processor's API key (`client_secret_post`).")] | UnsetType
    ) = UNSET
    client_assertion_type: Literal["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"] | UnsetType = (
        UNSET
    )
    client_assertion: (
        Annotated[str, Meta(description="A JWT that the processor signed (`private_key_jwt`, RFC 7523).")]
        | UnsetType
    ) = UNSET


class OAuthTokenForm(ClientCredentials, frozen=True, kw_only=True):
    grant_type: Literal["authorization_code"]
    code: Annotated[str, Meta(description="The authorization code.", examples=["cca_0Gz..."])]
    code_verifier: (
        Annotated[
            str, Meta(description="Required if the code was requested with a `code_challenge` (RFC 7636).")
        ]
        | UnsetType
    ) = UNSET
    redirect_uri: (
        Annotated[str, Meta(description="Has no effect: codes are not bound to one.")] | UnsetType
    ) = UNSET


class OwnTokenForm(ClientCredentials, frozen=True, kw_only=True):
    token: Annotated[str, Meta(description="An access token of the processor.", examples=[TOKEN_EXAMPLE])]
    token_type_hint: (
        Annotated[str, Meta(description="Has no effect: there is one type of token.")] | UnsetType
    ) = UNSET


class OAuthError(Struct, frozen=True):
    """An error (RFC 6749 5.2)."""

    error: Annotated[
        str,
        Meta(
            description="For programs: `invalid_request`, `invalid_client`, `invalid_grant`, "
            "`unsupported_grant_type`, `invalid_dpop_proof`, `use_dpop_nonce`, `slow_down`, `server_error` or "
            "`temporarily_unavailable`.",
            examples=["invalid_grant"],
        ),
    ]
    error_description: Annotated[
        str,
        Meta(
            description="For people.",
            examples=["The authorization code is invalid, expired or already used."],
        ),
    ]


class OAuthTokenResponse(Struct, frozen=True, kw_only=True):
    """An access token (RFC 6749 5.1)."""

    access_token: Annotated[str, Meta(description="The token, shown this once.", examples=[TOKEN_EXAMPLE])]
    token_type: Annotated[
        Literal["Bearer", "DPoP"], Meta(description="`DPoP` for a token that is bound to a key (RFC 9449).")
    ]
    expires_in: Annotated[int, Meta(description="Seconds until it expires.", ge=0, examples=[5184000])]
    scope: Annotated[str, Meta(description="What it may read.", examples=[SCOPE_EXAMPLE])]
    grant_receipt: Annotated[
        str, Meta(description="A signed receipt of the grant, a compact JWS.", examples=["eyJhbGciOi..."])
    ]


class Confirmation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the token is bound to (RFC 7800)."""

    jkt: Annotated[str, Meta(description="The thumbprint of a DPoP key (RFC 9449 6.1).")] | UnsetType = UNSET
    x5t_s256: (
        Annotated[str, Meta(description="The thumbprint of a TLS certificate (RFC 8705 3.1).")] | UnsetType
    ) = field(default=UNSET, name="x5t#S256")


class IntrospectionResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a token (RFC 7662 2.2). Only `active` is present for a token that is not active."""

    active: bool
    scope: Annotated[str, Meta(examples=[SCOPE_EXAMPLE])] | UnsetType = UNSET
    client_id: Annotated[str, Meta(description="The processor.", examples=["PPR-..."])] | UnsetType = UNSET
    token_type: Literal["Bearer", "DPoP"] | UnsetType = UNSET
    exp: Annotated[int, Meta(description="Seconds since 1970 at which it expires.")] | UnsetType = UNSET
    iat: Annotated[int, Meta(description="Seconds since 1970 at which it was issued.")] | UnsetType = UNSET
    sub: Annotated[str, Meta(description="The user.", examples=["USR-..."])] | UnsetType = UNSET
    aud: Annotated[str, Meta(description="This server.")] | UnsetType = UNSET
    iss: Annotated[str, Meta(description="This server.")] | UnsetType = UNSET
    jti: Annotated[str, Meta(description="The grant.", examples=["TKN-..."])] | UnsetType = UNSET
    cnf: Confirmation | UnsetType = UNSET


class AuthorizationServerMetadata(Struct, frozen=True, kw_only=True):
    """What this authorization server supports (RFC 8414)."""

    issuer: str
    token_endpoint: str
    token_endpoint_auth_methods_supported: list[str]
    token_endpoint_auth_signing_alg_values_supported: list[str]
    revocation_endpoint: str
    revocation_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_signing_alg_values_supported: list[str]
    introspection_endpoint: str
    introspection_endpoint_auth_methods_supported: list[str]
    introspection_endpoint_auth_signing_alg_values_supported: list[str]
    jwks_uri: Annotated[str, Meta(description="The keys that sign receipts.")]
    grant_types_supported: list[str]
    response_types_supported: Annotated[
        list[str],
        Meta(description="A client requests codes at `POST /authorization_code`, not in a browser."),
    ]
    scopes_supported: list[str]
    code_challenge_methods_supported: list[str]
    dpop_signing_alg_values_supported: list[str]
    tls_client_certificate_bound_access_tokens: bool
    service_documentation: str
    protected_resources: list[str]


class ProtectedResourceMetadata(Struct, frozen=True, kw_only=True):
    """How this server's reads are protected (RFC 9728)."""

    resource: str
    resource_name: str
    authorization_servers: list[str]
    bearer_methods_supported: list[str]
    scopes_supported: list[str]
    dpop_signing_alg_values_supported: list[str]
    dpop_bound_access_tokens_required: bool
    tls_client_certificate_bound_access_tokens: bool
    resource_documentation: str
