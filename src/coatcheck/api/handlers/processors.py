"""The exchange of a code for an access token, and what a processor reads with the token."""

from urllib.parse import parse_qsl

from msgspec import Struct

from coatcheck.api.handlers.transactions import page_with_includes
from coatcheck.api.query import read_includes, read_transaction_filter
from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.members import member_body
from coatcheck.api.schemas.processors import (
    ProcessorOwnerBody,
    access_token_body,
    legacy_access_token_body,
    payment_account_body,
    processor_numbers_body,
    processor_owners_body,
)
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import InvalidRequest, UnsupportedGrantType
from coatcheck.grants.exchange import IssuedToken
from coatcheck.grants.restrictions import ReadKind
from coatcheck.http.bodies import is_form
from coatcheck.http.encoding import encode
from coatcheck.http.idempotency_key import read_idempotency_key
from coatcheck.http.query import read_page, read_seconds
from coatcheck.http.request import CompleteResponse
from coatcheck.members.records import JobRequest
from coatcheck.model.members import find_member

RECEIPT_HEADER = "Coatcheck-Grant-Receipt"


async def exchange(request: ApiRequest) -> CompleteResponse:
    issued = await _exchange(request)
    return _with_receipt(access_token_body(issued), issued)


async def exchange_legacy(request: ApiRequest) -> CompleteResponse:
    issued = await _exchange(request)
    return _with_receipt(legacy_access_token_body(issued), issued)


def _with_receipt(body: Struct, issued: IssuedToken) -> CompleteResponse:
    return CompleteResponse(200, encode(body), headers=((RECEIPT_HEADER, issued.receipt),))


async def _exchange(request: ApiRequest) -> IssuedToken:
    parameters = _exchange_parameters(request)
    grant_type = parameters.get("grant_type")
    # A wrong type is told apart from a missing one (RFC 6749 5.2).
    if grant_type and grant_type != "authorization_code":
        raise UnsupportedGrantType
    if not grant_type or not parameters.get("code"):
        raise InvalidRequest("grant_type and code are required, in the query or in a form body.")
    return await request.services.exchange.redeem(
        processor_guid=request.basic.id,
        api_key=request.basic.api_key,
        code=parameters["code"],
        idempotency_key=read_idempotency_key(request.headers),
        code_verifier=parameters.get("code_verifier") or None,
    )


def _exchange_parameters(request: ApiRequest) -> dict[str, str]:
    """The parameters of the query (MX) and of a form body (RFC 6749 4.1.3).

    Raises:
        InvalidRequest: a parameter is repeated (RFC 6749 3.2), or `client_secret` is sent in addition to Basic
            (RFC 6749 2.3). The code is not consumed.
    """
    form: list[tuple[str, str]] = []
    if request.body and is_form(request.headers):
        try:
            form = parse_qsl(
                request.body.decode(), keep_blank_values=True, errors="strict", max_num_fields=100
            )
        except ValueError as error:
            raise InvalidRequest("The form body cannot be parsed.") from error
    parameters: dict[str, str] = {}
    for name, value in [*request.query, *form]:
        if name in parameters:
            raise InvalidRequest(f"{name} is repeated." if name.isidentifier() else None)
        parameters[name] = value
    # MX has Basic alone. A key in the query would be in the log of every proxy.
    if "client_secret" in parameters:
        raise InvalidRequest("Send the API key in the Authorization header only.")
    return parameters


async def account_numbers(request: ApiRequest) -> Struct:
    await _ensure_fresh(request, ReadKind.NUMBERS)
    numbers = await request.services.access.numbers(request.bearer, read_page(request.query))
    return processor_numbers_body(request.version, numbers.items, as_strings=numbers.token.numbers_as_strings)


async def account_owners(request: ApiRequest) -> ProcessorOwnerBody:
    await _ensure_fresh(request, ReadKind.OWNERS)
    owners = await request.services.access.owners(request.bearer, read_page(request.query))
    return processor_owners_body(owners)


async def transactions(request: ApiRequest) -> Struct:
    """Transactions; for a processor with `owners_at_transactions` owners, as MX's OpenAPI document declares."""
    access = request.services.access
    try:
        # Parsed before the read, because a refusal must not leave a disclosure.
        includes = read_includes(request.query)
        filters = read_transaction_filter(request.query, request.services.clock.now())
    except InvalidRequest:
        # The token comes first: without a valid one the answer is 401, and owners have no filter.
        await access.mark_proof(request.bearer)
        async with request.services.db.connection() as connection:
            token = await access.authorize(connection, request.bearer, ReadKind.TRANSACTIONS)
        if token.owners_at_transactions:
            return await account_owners(request)
        raise
    await _ensure_fresh(request, ReadKind.TRANSACTIONS)
    page = await access.transactions(request.bearer, filters, read_page(request.query))
    if page is None:
        return await account_owners(request)
    return page_with_includes(request, page, includes)


async def payment_account(request: ApiRequest) -> Struct:
    """Balances; also the full numbers if the token's scope includes `read-protected`."""
    await _ensure_fresh(request, ReadKind.BALANCES)
    read = await request.services.access.payment_account(request.bearer)
    return payment_account_body(request.version, read.account, read.numbers)


async def _ensure_fresh(request: ApiRequest, kind: ReadKind) -> None:
    """Has the institution read if the data is older than `max_age` allows."""
    max_age = read_seconds(request.query, "max_age")
    if max_age is not None:
        await request.services.freshness.ensure(request.bearer, kind, max_age)


async def check_balance(request: ApiRequest) -> Struct:
    """Starts a balance job. If one is already running, the answer is the same.

    This is a command, not a read: the answer has the member's status and no data of the account, so nothing is
    disclosed. The token must be permitted to read balances.
    """
    token = await request.services.access.authorize(request.connection, request.bearer, ReadKind.BALANCES)
    member = await request.services.members.start(
        request.connection,
        await find_member(request.connection, token.user_guid, token.member_guid),
        JobRequest(kinds=(JobKind.BALANCE,), requested_by=token.processor_guid, is_budgeted=True),
    )
    return member_body(request.version, member)
