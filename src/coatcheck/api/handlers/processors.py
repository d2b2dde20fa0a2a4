"""What a processor may do: exchange a code, once, and read what its token opens."""

from urllib.parse import parse_qsl

from coatcheck.api.handlers.transactions import show as show_transactions
from coatcheck.api.paging import read_page, read_transaction_filter
from coatcheck.api.request import Call
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import InvalidRequest, UnsupportedGrantType
from coatcheck.grants.issuer import Bought
from coatcheck.model.accounts import find_account
from coatcheck.model.members import find_member
from coatcheck.model.tokens import LiveToken
from coatcheck.model.transactions import list_transactions
from coatcheck.vault.vault import AccountOwner, Shown, TokenReader

MAX_IDEMPOTENCY_KEY = 255


async def exchange(call: Call) -> bytes:
    return call.wire.show_token(await _exchange(call))


async def exchange_legacy(call: Call) -> bytes:
    return call.wire.show_legacy_token(await _exchange(call))


async def _exchange(call: Call) -> Bought:
    given = _parameters(call)
    if not given.get("grant_type") or not given.get("code"):
        raise InvalidRequest("grant_type and code are required, in the query or as a form.")
    if given["grant_type"] != "authorization_code":
        raise UnsupportedGrantType
    idempotency_key = call.headers.get("idempotency-key")
    if idempotency_key is not None and len(idempotency_key) > MAX_IDEMPOTENCY_KEY:
        raise InvalidRequest("Idempotency-Key is at most 255 characters.")
    return await call.house.issuer.exchange(
        call.connection,
        processor_guid=call.basic.id,
        api_key=call.basic.api_key,
        code=given["code"],
        idempotency_key=idempotency_key or None,
    )


def _parameters(call: Call) -> dict[str, str]:
    """From the query, where MX has them, or a form body, where RFC 6749 4.1.3 has them; never from both.

    A parameter that stands twice spends nothing (RFC 6749 3.2), nor do a secret beside Basic (2.3).
    """
    form: list[tuple[str, str]] = []
    if call.body and call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        try:
            form = parse_qsl(call.body.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError as error:
            raise InvalidRequest("The form cannot be read.") from error
    given: dict[str, str] = {}
    for name, value in [*call.query, *form]:
        if name in given:
            raise InvalidRequest(f"{name} stands more than once." if name.isidentifier() else None)
        given[name] = value
    if "client_secret" in given:
        raise InvalidRequest("The API key belongs into the Authorization header alone.")
    return given


async def account_numbers(call: Call) -> bytes:
    shown = await call.house.vault.show_numbers(call.connection, _reader(call), read_page(call.query))
    return call.wire.show_processor_numbers(shown.items, as_strings=shown.token.numbers_as_strings)


async def account_owners(call: Call) -> bytes:
    return call.wire.show_processor_owners(await _owners(call))


async def transactions(call: Call) -> bytes:
    """Transactions, as the path says; or owners, as MX's OpenAPI says, for a processor registered so."""
    token = await _authenticate(call)
    if token.owners_at_transactions:
        return call.wire.show_processor_owners(await _owners(call))
    wanted = read_transaction_filter(call.query, call.house.clock.now(), account_guid=token.account_guid)
    listing = await list_transactions(call.connection, token.user_guid, read_page(call.query), wanted)
    return show_transactions(call, listing)


async def payment_account(call: Call) -> bytes:
    """Balances for any token; the numbers beside them in full only where the token reads protected data."""
    token = await _authenticate(call)
    account = await find_account(call.connection, token.user_guid, token.account_guid)
    numbers = None
    if token.reads_protected:
        shown = await call.house.vault.show_numbers(call.connection, _reader(call))
        numbers = shown.items[0] if shown.items else None
    return call.wire.show_payment_account(account, numbers)


async def check_balance(call: Call) -> bytes:
    """Starts a balance job; one that runs already is answered alike (mx-contract Q20)."""
    token = await _authenticate(call)
    member = await find_member(call.connection, token.user_guid, token.member_guid)
    member = await call.house.linker.start(
        call.connection, member, JobKind.BALANCE, requested_by=token.processor_guid
    )
    return call.wire.show_member(member)


def _reader(call: Call) -> TokenReader:
    return TokenReader(call.bearer.period, call.bearer.hash, call.house.clock.now())


async def _authenticate(call: Call) -> LiveToken:
    return await call.house.issuer.authenticate(call.connection, call.bearer)


async def _owners(call: Call) -> Shown[AccountOwner]:
    return await call.house.vault.show_owners(call.connection, _reader(call), read_page(call.query))
