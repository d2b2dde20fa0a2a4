"""Authorization codes and the list of access tokens, for clients."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from coatcheck.clock import whole_second
from coatcheck.http.decoding import Guid, Line, RequestSchema
from coatcheck.http.encoding import Timestamp
from coatcheck.model.tokens import TokenRow


class AuthorizationCodeRequest(RequestSchema, frozen=True, kw_only=True):
    scope: Line | None = None
    processor_guid: Guid | None = None
    """Not in MX's API: the only processor that may redeem the code."""
    # `$` alone also matches before a trailing line break.
    code_challenge: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}(?!\n)$")] | None = None
    """Not in MX's API: the exchange needs the verifier of this challenge (RFC 7636)."""
    code_challenge_method: Literal["S256"] | None = None
    """The only method, and the default."""


class AuthorizationCodeRequestBody(RequestSchema, frozen=True, kw_only=True):
    authorization_code: AuthorizationCodeRequest


class PaymentProcessorAuthorizationCodeRequest(RequestSchema, frozen=True, kw_only=True):
    account_guid: Guid
    member_guid: Guid
    user_guid: Guid


class PaymentProcessorAuthorizationCodeRequestBody(RequestSchema, frozen=True, kw_only=True):
    payment_processor_authorization_code: PaymentProcessorAuthorizationCodeRequest


class TokenFilterRequest(RequestSchema, frozen=True, kw_only=True):
    account_guid: Guid | None = None
    member_guid: Guid | None = None
    user_guid: Guid | None = None


class TokenRequestBody(RequestSchema, frozen=True, kw_only=True):
    """The body of a GET, which many HTTP clients cannot send; without it all tokens are listed."""

    scope: TokenFilterRequest = field(default_factory=TokenFilterRequest)


class AuthorizationCodeResponse(Struct, frozen=True):
    code: str


class AuthorizationCodeResponseBody(Struct, frozen=True):
    authorization_code: AuthorizationCodeResponse


class PaymentProcessorAuthorizationCodeResponse(Struct, frozen=True):
    authorization_code: str


class PaymentProcessorAuthorizationCodeResponseBody(Struct, frozen=True):
    payment_processor_authorization_code: PaymentProcessorAuthorizationCodeResponse


class TokenResponse(Struct, frozen=True):
    payment_processor_guid: str
    expires_at: Timestamp
    access_token: str
    """The first characters and an ellipsis; only a hash of the token is stored."""
    active: bool


class TokenResponseBody(Struct, frozen=True):
    tokens: list[TokenResponse]


def authorization_code_body(code: str) -> AuthorizationCodeResponseBody:
    return AuthorizationCodeResponseBody(AuthorizationCodeResponse(code))


def legacy_authorization_code_body(code: str) -> PaymentProcessorAuthorizationCodeResponseBody:
    return PaymentProcessorAuthorizationCodeResponseBody(PaymentProcessorAuthorizationCodeResponse(code))


def tokens_body(tokens: Sequence[TokenRow]) -> TokenResponseBody:
    return TokenResponseBody(
        [
            TokenResponse(each.processor_guid, whole_second(each.expires_at), _masked(each), each.active)
            for each in tokens
        ]
    )


def _masked(token: TokenRow) -> str:
    return f"{token.first_characters}..."
