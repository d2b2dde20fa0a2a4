"""The forms and the answers of the OAuth endpoints. The forms are documented here and read by `request.read_form`."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from coatcheck.http.decoding import RequestSchema
from coatcheck.http.doc import ACCESS_TOKEN, CODE, GRANT, PROCESSOR, SCOPE, USER, doc


class ClientCredentials(RequestSchema, frozen=True, kw_only=True):
    """How the processor authenticates, unless it does with HTTP Basic."""

    client_id: (
        Annotated[str, Meta(description="The processor's id. Required unless another credential names it.")]
        | UnsetType
    ) = UNSET
    client_secret: (
        Annotated[str, Meta(description="The processor's API key (`client_secret_post`).")] | UnsetType
    ) = UNSET
    client_assertion_type: Annotated[
        Literal["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"] | UnsetType,
        doc("The only type of assertion."),
    ] = UNSET
    client_assertion: (
        Annotated[str, Meta(description="A JWT that the processor signed (`private_key_jwt`, RFC 7523).")]
        | UnsetType
    ) = UNSET


class OAuthTokenForm(ClientCredentials, frozen=True, kw_only=True):
    grant_type: Annotated[Literal["authorization_code"], doc("Always `authorization_code`.")]
    code: Annotated[str, Meta(description="The authorization code.", examples=[CODE])]
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
    token: Annotated[str, Meta(description="An access token of the processor.", examples=[ACCESS_TOKEN])]
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

    access_token: Annotated[str, Meta(description="The token, shown this once.", examples=[ACCESS_TOKEN])]
    token_type: Annotated[
        Literal["Bearer", "DPoP"], Meta(description="`DPoP` for a token that is bound to a key (RFC 9449).")
    ]
    expires_in: Annotated[int, Meta(description="Seconds until it expires.", ge=0, examples=[5184000])]
    scope: Annotated[str, doc("What it may read.", SCOPE)]
    grant_receipt: Annotated[
        str, Meta(description="A signed receipt of the grant, a compact JWS.", examples=["eyJhbGciOi..."])
    ]


class Confirmation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the token is bound to (RFC 7800)."""

    jkt: (
        Annotated[
            str,
            doc(
                "The thumbprint of a DPoP key (RFC 9449 6.1).", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
            ),
        ]
        | UnsetType
    ) = UNSET
    x5t_s256: (
        Annotated[
            str,
            doc(
                "The thumbprint of a TLS certificate (RFC 8705 3.1).",
                "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0",
            ),
        ]
        | UnsetType
    ) = field(default=UNSET, name="x5t#S256")


class IntrospectionResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a token (RFC 7662 2.2). Only `active` is present for a token that is not active."""

    active: Annotated[bool, doc("Whether the token reads.", True)]
    scope: Annotated[str, doc("What it may read.", SCOPE)] | UnsetType = UNSET
    client_id: Annotated[str, doc("The processor.", PROCESSOR)] | UnsetType = UNSET
    token_type: (
        Annotated[Literal["Bearer", "DPoP"], doc("`DPoP` for a token that is bound to a key.", "DPoP")]
        | UnsetType
    ) = UNSET
    exp: Annotated[int, doc("Seconds since 1970 at which it expires.", 1800869700)] | UnsetType = UNSET
    iat: Annotated[int, doc("Seconds since 1970 at which it was issued.", 1795685700)] | UnsetType = UNSET
    sub: Annotated[str, doc("The user.", USER)] | UnsetType = UNSET
    aud: Annotated[str, doc("This server.", "https://coatcheck.test")] | UnsetType = UNSET
    iss: Annotated[str, doc("This server.", "https://coatcheck.test")] | UnsetType = UNSET
    jti: Annotated[str, doc("The grant.", GRANT)] | UnsetType = UNSET
    cnf: Annotated[
        Confirmation | UnsetType,
        doc("What the token is bound to, if it is.", {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
    ] = UNSET


class AuthorizationServerMetadata(Struct, frozen=True, kw_only=True):
    """What this authorization server supports (RFC 8414)."""

    issuer: Annotated[str, doc("This server, as in the claim `iss`.", "https://coatcheck.test")]
    token_endpoint: Annotated[str, doc("Where codes are exchanged.", "https://coatcheck.test/oauth/token")]
    token_endpoint_auth_methods_supported: Annotated[
        list[str], doc("How a processor authenticates there.", ["client_secret_basic", "private_key_jwt"])
    ]
    token_endpoint_auth_signing_alg_values_supported: Annotated[
        list[str], doc("The algorithms of a signed assertion.", ["ES256"])
    ]
    revocation_endpoint: Annotated[
        str, doc("Where tokens are revoked.", "https://coatcheck.test/oauth/revoke")
    ]
    revocation_endpoint_auth_methods_supported: Annotated[
        list[str], doc("How a processor authenticates there.", ["client_secret_basic", "private_key_jwt"])
    ]
    revocation_endpoint_auth_signing_alg_values_supported: Annotated[
        list[str], doc("The algorithms of a signed assertion.", ["ES256"])
    ]
    introspection_endpoint: Annotated[
        str, doc("Where the state of a token is shown.", "https://coatcheck.test/oauth/introspect")
    ]
    introspection_endpoint_auth_methods_supported: Annotated[
        list[str], doc("How a processor authenticates there.", ["client_secret_basic", "private_key_jwt"])
    ]
    introspection_endpoint_auth_signing_alg_values_supported: Annotated[
        list[str], doc("The algorithms of a signed assertion.", ["ES256"])
    ]
    jwks_uri: Annotated[
        str, doc("The keys that sign receipts.", "https://coatcheck.test/.well-known/jwks.json")
    ]
    grant_types_supported: Annotated[list[str], doc("The grant types.", ["authorization_code"])]
    response_types_supported: Annotated[
        list[str],
        doc("A client requests codes at `POST /authorization_code`, not in a browser.", ["code"]),
    ]
    scopes_supported: Annotated[
        list[str], doc("The atoms of a scope without a value.", ["read-protected", "read:numbers"])
    ]
    code_challenge_methods_supported: Annotated[list[str], doc("The methods of RFC 7636.", ["S256"])]
    dpop_signing_alg_values_supported: Annotated[list[str], doc("The algorithms of DPoP proofs.", ["ES256"])]
    tls_client_certificate_bound_access_tokens: Annotated[
        bool, doc("Whether tokens can be bound to a certificate (RFC 8705).", True)
    ]
    service_documentation: Annotated[str, doc("The documentation.", "https://coatcheck.test/docs")]
    protected_resources: Annotated[
        list[str], doc("The resources that accept the tokens.", ["https://coatcheck.test"])
    ]


class ProtectedResourceMetadata(Struct, frozen=True, kw_only=True):
    """How this server's reads are protected (RFC 9728)."""

    resource: Annotated[str, doc("This server.", "https://coatcheck.test")]
    resource_name: Annotated[str, doc("Its name.", "Coatcheck")]
    authorization_servers: Annotated[list[str], doc("Who issues the tokens.", ["https://coatcheck.test"])]
    bearer_methods_supported: Annotated[list[str], doc("Where a token is sent.", ["header"])]
    scopes_supported: Annotated[
        list[str], doc("The atoms of a scope without a value.", ["read-protected", "read:numbers"])
    ]
    dpop_signing_alg_values_supported: Annotated[list[str], doc("The algorithms of DPoP proofs.", ["ES256"])]
    dpop_bound_access_tokens_required: Annotated[bool, doc("Whether every token must be bound by DPoP.")]
    tls_client_certificate_bound_access_tokens: Annotated[
        bool, doc("Whether tokens can be bound to a certificate (RFC 8705).", True)
    ]
    resource_documentation: Annotated[str, doc("The documentation.", "https://coatcheck.test/docs")]
