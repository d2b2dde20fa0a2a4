"""Authorization codes and the list of access tokens, for clients."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from coatcheck.clock import whole_second
from coatcheck.http.decoding import Guid, Line, RequestSchema
from coatcheck.http.doc import ACCOUNT, CODE, MEMBER, PROCESSOR, SCOPE, USER, doc
from coatcheck.http.encoding import Timestamp
from coatcheck.model.tokens import TokenRow


class AuthorizationCodeRequest(RequestSchema, frozen=True, kw_only=True):
    scope: Annotated[
        Line | None,
        doc(
            "What the token will read: `user-guid:`, `member-guid:` and `account-guid:`, and atoms that "
            "limit or extend it. Required.",
            SCOPE,
        ),
    ] = None
    processor_guid: Annotated[
        Guid | None, doc("Not in MX's API: the only processor that may redeem the code.")
    ] = None
    # `$` alone also matches before a trailing line break.
    code_challenge: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}(?!\n)$")] | None,
        doc("Not in MX's API: the exchange needs the verifier of this challenge (RFC 7636)."),
    ] = None
    code_challenge_method: Annotated[
        Literal["S256"] | None, doc("Not in MX's API: the only method, and the default.")
    ] = None


class AuthorizationCodeRequestBody(RequestSchema, frozen=True, kw_only=True):
    authorization_code: Annotated[AuthorizationCodeRequest, doc("What the code is for.")]


class PaymentProcessorAuthorizationCodeRequest(RequestSchema, frozen=True, kw_only=True):
    account_guid: Annotated[Guid, doc("The account.", ACCOUNT)]
    member_guid: Annotated[Guid, doc("The member of the account.", MEMBER)]
    user_guid: Annotated[Guid, doc("The user of the account.", USER)]


class PaymentProcessorAuthorizationCodeRequestBody(RequestSchema, frozen=True, kw_only=True):
    payment_processor_authorization_code: Annotated[
        PaymentProcessorAuthorizationCodeRequest, doc("What the code is for.")
    ]


class TokenFilterRequest(RequestSchema, frozen=True, kw_only=True):
    account_guid: Annotated[Guid | None, doc("Only tokens for this account.", ACCOUNT)] = None
    member_guid: Annotated[Guid | None, doc("Only tokens for this member.")] = None
    user_guid: Annotated[Guid | None, doc("Only tokens for this user.", USER)] = None


class TokenRequestBody(RequestSchema, frozen=True, kw_only=True):
    """The body of a GET, which many HTTP clients cannot send; without it all tokens are listed."""

    scope: Annotated[TokenFilterRequest, doc("The filters, which are combined with AND.")] = field(
        default_factory=TokenFilterRequest
    )


class AuthorizationCodeResponse(Struct, frozen=True):
    code: Annotated[str, doc("The code. Give it to the processor, which exchanges it once.", CODE)]


class AuthorizationCodeResponseBody(Struct, frozen=True):
    authorization_code: Annotated[AuthorizationCodeResponse, doc("The code.")]


class PaymentProcessorAuthorizationCodeResponse(Struct, frozen=True):
    authorization_code: Annotated[
        str, doc("The code. Give it to the processor, which exchanges it once.", CODE)
    ]


class PaymentProcessorAuthorizationCodeResponseBody(Struct, frozen=True):
    payment_processor_authorization_code: Annotated[
        PaymentProcessorAuthorizationCodeResponse, doc("The code.")
    ]


class TokenResponse(Struct, frozen=True):
    payment_processor_guid: Annotated[str, doc("The guid of the processor that holds the token.", PROCESSOR)]
    expires_at: Annotated[Timestamp, doc("When the token expires.", "2027-01-25T09:35:00Z")]
    access_token: Annotated[
        str,
        doc(
            "The first characters of the token and an ellipsis: only a hash of the token is stored.",
            "cct_2hQ9f...",
        ),
    ]
    active: Annotated[bool, doc("Whether the token reads: it is neither expired nor revoked.", True)]


class TokenResponseBody(Struct, frozen=True):
    tokens: Annotated[list[TokenResponse], doc("The tokens, the newest first.")]


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
