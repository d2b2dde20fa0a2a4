"""Endpoints for a client's authorization codes and access tokens."""

from coatcheck import errors
from coatcheck.api.handlers import tokens
from coatcheck.api.routes.parameters import TOKEN_FILTERS
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.tokens import (
    AuthorizationCodeRequestBody,
    AuthorizationCodeResponseBody,
    PaymentProcessorAuthorizationCodeRequestBody,
    PaymentProcessorAuthorizationCodeResponseBody,
    TokenRequestBody,
    TokenResponseBody,
)
from coatcheck.api.versions import Version
from coatcheck.http.route import Group

TOKENS = Group(
    "Codes and tokens",
    "A code is for one account and is given to a processor, which exchanges it for an access token.",
    (
        Route(
            "POST",
            "/authorization_code",
            tokens.request_code,
            "requestAuthorizationCode",
            "Request an authorization code",
            "The scope names a user, a member and a verified account; add `read-protected` for full account "
            "numbers and owners. `read:numbers`, `read:owners`, `read:transactions`, `read:balances` and "
            "`read:statements` limit the kinds of data, `processor-guid:` who may redeem the code, "
            "`expires-in:` "
            "the lifetime of the token in seconds, `lookback-days:` the age of transactions, and `max-reads:` "
            "the number of reads. An account has a limited number of codes that were not redeemed; one "
            "more is 429.",
            body=AuthorizationCodeRequestBody,
            answer=AuthorizationCodeResponseBody,
            needs_connection=False,
            refusals=(
                errors.InvalidScope(),
                errors.NotFound(),
                errors.UserDisabled(),
                errors.NotVerified(),
                errors.NotSelected(),
                errors.Unprocessable("The processor does not exist or is not enabled for this client."),
            ),
        ),
        Route(
            "POST",
            "/payment_processor_authorization_code",
            tokens.request_code_legacy,
            "deprecatedRequestPaymentProcessorAuthorizationCode",
            "Request an authorization code (legacy)",
            "The code always includes `read-protected`.",
            versions=(Version.V20111101,),
            body=PaymentProcessorAuthorizationCodeRequestBody,
            answer=PaymentProcessorAuthorizationCodeResponseBody,
            needs_connection=False,
            refusals=(
                errors.InvalidScope(),
                errors.UserDisabled(),
                errors.NotVerified(),
                errors.NotSelected(),
            ),
        ),
        Route(
            "GET",
            "/tokens",
            tokens.list_tokens,
            "listTokens",
            "List access tokens",
            "The filter is a JSON body, as in MX's API, or query parameters. Expired and revoked tokens are "
            "included.",
            body=TokenRequestBody,
            query=TOKEN_FILTERS,
            answer=TokenResponseBody,
        ),
    ),
)
