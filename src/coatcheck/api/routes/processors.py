"""Endpoints for processors: the exchange of a code, and reads with an access token."""

from coatcheck import errors
from coatcheck.api.handlers import processors
from coatcheck.api.routes.parameters import TRANSACTION_FILTERS
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.members import MEMBER_BODY
from coatcheck.api.schemas.processors import (
    PAYMENT_ACCOUNT_BODY,
    PROCESSOR_NUMBERS_BODY,
    AccessTokenResponse,
    LegacyAccessTokenResponse,
    ProcessorOwnerBody,
)
from coatcheck.api.schemas.transactions import TransactionsResponseBody
from coatcheck.http import doc
from coatcheck.http.query import MAX_SECONDS
from coatcheck.http.route import PAGE, Caller, Group, Parameter

EXCHANGE_PARAMETERS = (
    Parameter(
        "grant_type",
        "The only grant type. In the query or in a form body, not in both.",
        choices=("authorization_code",),
        example="authorization_code",
    ),
    Parameter(
        "code", "The authorization code. In the query or in a form body, not in both.", example=doc.CODE
    ),
)
MAX_AGE = Parameter(
    "max_age",
    "The greatest age of the data, in seconds. If it is older, the institution is read first, for up to 8 seconds. "
    "MX has no such parameter.",
    "integer",
    minimum=0,
    maximum=MAX_SECONDS,
    example=3600,
)
NOT_FRESH = (
    errors.NotFresh(),
    errors.ConstraintNotMet(),
    errors.JobNotSupported(),
)
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key", "A retry with the same key within a minute returns the same token."
)

GRANT_RECEIPT = Parameter(
    "Coatcheck-Grant-Receipt", "A signed receipt of the grant, a compact JWS. Keep it: it is not stored."
)

PROCESSORS = Group(
    "For processors",
    "Exchange a code for an access token with the processor's id and API key, then read with the token.",
    (
        Route(
            "POST",
            "/token",
            processors.exchange,
            "exchangeCode",
            "Exchange a code for an access token",
            "A code can be exchanged once. A second exchange is refused and, more than 10 seconds after the "
            "first one, revokes the token. All "
            "failures return the same message.",
            caller=Caller.PROCESSOR,
            query=EXCHANGE_PARAMETERS,
            headers=(IDEMPOTENCY_KEY,),
            answer_headers=(GRANT_RECEIPT,),
            answer=AccessTokenResponse,
            needs_connection=False,
            is_in_spec=False,
            refusals=(errors.InvalidGrant(), errors.UnsupportedGrantType()),
        ),
        Route(
            "POST",
            "/payment_processor_token",
            processors.exchange_legacy,
            "exchangeCodeLegacy",
            "Exchange a code for an access token (legacy)",
            "The path and the answer of older versions of MX's processor guide.",
            caller=Caller.PROCESSOR,
            query=EXCHANGE_PARAMETERS,
            headers=(IDEMPOTENCY_KEY,),
            answer_headers=(GRANT_RECEIPT,),
            answer=LegacyAccessTokenResponse,
            needs_connection=False,
            is_in_spec=False,
            refusals=(errors.InvalidGrant(), errors.UnsupportedGrantType()),
        ),
        Route(
            "GET",
            "/account/account_numbers",
            processors.account_numbers,
            "requestAccountNumber",
            "Read the account numbers",
            "Requires `read-protected` in the scope. A number is a JSON integer if no digit is lost, "
            "otherwise a string.",
            caller=Caller.TOKEN,
            query=(*PAGE, MAX_AGE),
            refusals=NOT_FRESH,
            answer=PROCESSOR_NUMBERS_BODY,
            needs_connection=False,
        ),
        Route(
            "GET",
            "/account/transactions",
            processors.transactions,
            "getAccountOwnerInfo",
            "Read the transactions of the account",
            "MX's OpenAPI document declares account owners at this path. A processor that is registered "
            "with `owners_at_transactions` gets owners.",
            caller=Caller.TOKEN,
            query=(*TRANSACTION_FILTERS, MAX_AGE),
            refusals=NOT_FRESH,
            answer=TransactionsResponseBody,
            needs_connection=False,
        ),
        Route(
            "GET",
            "/account/account_owners",
            processors.account_owners,
            "readAccountOwners",
            "Read the owners of the account",
            "Requires `read-protected` in the scope.",
            caller=Caller.TOKEN,
            query=(*PAGE, MAX_AGE),
            refusals=NOT_FRESH,
            answer=ProcessorOwnerBody,
            needs_connection=False,
            is_in_spec=False,
        ),
        Route(
            "GET",
            "/account/account_owner",
            processors.account_owners,
            "readAccountOwner",
            "Read the owners of the account (other path)",
            "The same as `/account/account_owners`: MX publishes no path, and names the read in the singular.",
            caller=Caller.TOKEN,
            query=(*PAGE, MAX_AGE),
            refusals=NOT_FRESH,
            answer=ProcessorOwnerBody,
            needs_connection=False,
            is_in_spec=False,
        ),
        Route(
            "GET",
            "/payment_account",
            processors.payment_account,
            "readAccountBalance",
            "Read balances and account numbers",
            "Without `read-protected` in the scope the account number is masked.",
            caller=Caller.TOKEN,
            query=(MAX_AGE,),
            refusals=NOT_FRESH,
            answer=PAYMENT_ACCOUNT_BODY,
            needs_connection=False,
        ),
        Route(
            "POST",
            "/account/check_balance",
            processors.check_balance,
            "checkRealTimeAccountBalance",
            "Start a balance check",
            "Repeat the request until `is_being_aggregated` is false, then read the balance.",
            caller=Caller.TOKEN,
            answer=MEMBER_BODY,
            refusals=(errors.ConstraintNotMet(), errors.JobRunning(), errors.JobNotSupported()),
        ),
    ),
)
