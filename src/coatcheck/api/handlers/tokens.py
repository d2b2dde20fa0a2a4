"""Authorization codes and access tokens, for clients."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence

from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.tokens import (
    AuthorizationCodeRequestBody,
    AuthorizationCodeResponseBody,
    PaymentProcessorAuthorizationCodeRequestBody,
    PaymentProcessorAuthorizationCodeResponseBody,
    TokenRequestBody,
    TokenResponseBody,
    authorization_code_body,
    legacy_authorization_code_body,
    tokens_body,
)
from coatcheck.app import Services
from coatcheck.grants.restrictions import ReadProtected
from coatcheck.grants.scope import Scope, parse_scope
from coatcheck.grants.tokens import BATCH
from coatcheck.http.decoding import parse
from coatcheck.http.encoding import encode
from coatcheck.http.request import CompleteResponse
from coatcheck.model.tokens import TokenRow


async def request_code(request: ApiRequest) -> AuthorizationCodeResponseBody:
    fields = parse(request.body, AuthorizationCodeRequestBody).authorization_code
    code = await request.services.issuer.issue(
        client_guid=request.basic.id,
        api_key=request.basic.api_key,
        scope=parse_scope(fields.scope),
        processor_guid=fields.processor_guid,
        code_challenge=fields.code_challenge,
    )
    return authorization_code_body(code)


async def request_code_legacy(request: ApiRequest) -> PaymentProcessorAuthorizationCodeResponseBody:
    """The legacy request has no `read-protected`; its codes always include it."""
    fields = parse(
        request.body, PaymentProcessorAuthorizationCodeRequestBody
    ).payment_processor_authorization_code
    code = await request.services.issuer.issue(
        client_guid=request.basic.id,
        api_key=request.basic.api_key,
        scope=Scope(
            fields.user_guid, fields.member_guid, fields.account_guid, [ReadProtected(is_given=True)]
        ),
    )
    return legacy_authorization_code_body(code)


async def list_tokens(request: ApiRequest) -> TokenResponseBody | CompleteResponse:
    """Filters by the JSON body, as MX does, or by query parameters: some proxies drop the body of a GET.

    MX's list has no pages. A long one is streamed.
    """
    scope = parse(request.body, TokenRequestBody).scope if request.body else None
    parameters = dict(request.query)
    guids = {
        name: (getattr(scope, name) if scope else None) or parameters.get(name)
        for name in ("user_guid", "member_guid", "account_guid")
    }
    first = await request.services.tokens.list(request.connection, request.client.guid, **guids)
    if len(first) < BATCH:
        return tokens_body(first)
    return CompleteResponse(200, chunks=_stream(request.services, request.client.guid, guids, first))


async def _stream(
    services: Services, client_guid: str, guids: Mapping[str, str | None], first: Sequence[TokenRow]
) -> AsyncIterator[bytes]:
    batch, start = first, b'{"tokens":['
    while batch:
        yield start + encode(tokens_body(batch).tokens)[1:-1]
        start, started = b",", time.perf_counter()
        # A connection for each batch: a caller that reads slowly does not keep one from the others.
        async with services.db.connection() as connection:
            batch = await services.tokens.list(connection, client_guid, **guids, before=batch[-1].guid)
        # As long as the batch took: the list of a million tokens takes half of a core of the database from others.
        await asyncio.sleep(time.perf_counter() - started)
    yield b"]}"
