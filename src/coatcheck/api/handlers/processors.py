"""What a processor may do: exchange a code, once, and read what its token opens."""

from urllib.parse import parse_qsl

from coatcheck.api.handlers.transactions import show as show_transactions
from coatcheck.api.paging import read_page, read_transaction_filter
from coatcheck.api.request import ApiRequest
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import InvalidRequest, UnsupportedGrantType
from coatcheck.grants.issuer import IssuedToken
from coatcheck.members.records import JobRequest
from coatcheck.model.accounts import find_account
from coatcheck.model.members import find_member
from coatcheck.model.tokens import LiveToken
from coatcheck.model.transactions import list_transactions
from coatcheck.vault.vault import AccountOwner, Disclosed, TokenReader

MAX_IDEMPOTENCY_KEY = 255


async def exchange(request: ApiRequest) -> bytes:
    return request.presenter.show_token(await _exchange(request))


async def exchange_legacy(request: ApiRequest) -> bytes:
    return request.presenter.show_legacy_token(await _exchange(request))


async def _exchange(request: ApiRequest) -> IssuedToken:
    given = _parameters(request)
    if not given.get("grant_type") or not given.get("code"):
        raise InvalidRequest("grant_type and code are required, in the query or as a form.")
    if given["grant_type"] != "authorization_code":
        raise UnsupportedGrantType
    idempotency_key = request.headers.get("idempotency-key")
    if idempotency_key is not None and len(idempotency_key) > MAX_IDEMPOTENCY_KEY:
        raise InvalidRequest("Idempotency-Key is at most 255 characters.")
    return await request.services.issuer.exchange(
        request.connection,
        processor_guid=request.basic.id,
        api_key=request.basic.api_key,
        code=given["code"],
        idempotency_key=idempotency_key or None,
    )


def _parameters(request: ApiRequest) -> dict[str, str]:
    """From the query, where MX has them, or a form body, where RFC 6749 4.1.3 has them; never from both.

    A parameter that stands twice spends nothing (RFC 6749 3.2), nor do a secret beside Basic (2.3).
    """
    form: list[tuple[str, str]] = []
    if request.body and request.headers.get("content-type", "").startswith(
        "application/x-www-form-urlencoded"
    ):
        try:
            form = parse_qsl(
                request.body.decode(), keep_blank_values=True, errors="strict", max_num_fields=100
            )
        except ValueError as error:
            raise InvalidRequest("The form cannot be read.") from error
    given: dict[str, str] = {}
    for name, value in [*request.query, *form]:
        if name in given:
            raise InvalidRequest(f"{name} stands more than once." if name.isidentifier() else None)
        given[name] = value
    if "client_secret" in given:
        raise InvalidRequest("The API key belongs into the Authorization header alone.")
    return given


async def account_numbers(request: ApiRequest) -> bytes:
    shown = await request.services.vault.disclose_numbers(
        request.connection, _reader(request), read_page(request.query)
    )
    return request.presenter.show_processor_numbers(shown.items, as_strings=shown.token.numbers_as_strings)


async def account_owners(request: ApiRequest) -> bytes:
    return request.presenter.show_processor_owners(await _owners(request))


async def transactions(request: ApiRequest) -> bytes:
    """Transactions, as the path says; or owners, as MX's OpenAPI says, for a processor registered so."""
    token = await _authenticate(request)
    if token.owners_at_transactions:
        return request.presenter.show_processor_owners(await _owners(request))
    wanted = read_transaction_filter(
        request.query, request.services.clock.now(), account_guid=token.account_guid
    )
    listing = await list_transactions(request.connection, token.user_guid, read_page(request.query), wanted)
    return show_transactions(request, listing)


async def payment_account(request: ApiRequest) -> bytes:
    """Balances for any token; the numbers beside them in full only where the token reads protected data."""
    token = await _authenticate(request)
    account = await find_account(request.connection, token.user_guid, token.account_guid)
    numbers = None
    if token.reads_protected:
        shown = await request.services.vault.disclose_numbers(request.connection, _reader(request))
        numbers = shown.items[0] if shown.items else None
    return request.presenter.show_payment_account(account, numbers)


async def check_balance(request: ApiRequest) -> bytes:
    """Starts a balance job; one that runs already is answered alike (mx-contract Q20)."""
    token = await _authenticate(request)
    member = await find_member(request.connection, token.user_guid, token.member_guid)
    member = await request.services.members.start(
        request.connection,
        member,
        JobRequest(kinds=(JobKind.BALANCE,), requested_by=token.processor_guid),
    )
    return request.presenter.show_member(member)


def _reader(request: ApiRequest) -> TokenReader:
    return TokenReader(request.bearer.period, request.bearer.hash, request.services.clock.now())


async def _authenticate(request: ApiRequest) -> LiveToken:
    return await request.services.issuer.authenticate(request.connection, request.bearer)


async def _owners(request: ApiRequest) -> Disclosed[AccountOwner]:
    return await request.services.vault.disclose_owners(
        request.connection, _reader(request), read_page(request.query)
    )
