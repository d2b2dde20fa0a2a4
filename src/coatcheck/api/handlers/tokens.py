"""Authorization codes and access tokens, for clients."""

from collections.abc import Sequence

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
from coatcheck.grants.restrictions import ReadProtected
from coatcheck.grants.scope import Scope, parse_scope
from coatcheck.http.decoding import parse
from coatcheck.model.tokens import TokenRow


async def request_code(request: ApiRequest) -> AuthorizationCodeResponseBody:
    fields = parse(request.body, AuthorizationCodeRequestBody).authorization_code
    code = await request.services.issuer.issue(
        request.connection,
        client_guid=request.client.guid,
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
        request.connection,
        client_guid=request.client.guid,
        scope=Scope(
            fields.user_guid, fields.member_guid, fields.account_guid, [ReadProtected(is_given=True)]
        ),
    )
    return legacy_authorization_code_body(code)


async def list_tokens(request: ApiRequest) -> TokenResponseBody:
    return tokens_body(await _find_tokens(request))


async def _find_tokens(request: ApiRequest) -> Sequence[TokenRow]:
    """Filters by the JSON body, as MX does, or by query parameters: some proxies drop the body of a GET."""
    scope = parse(request.body, TokenRequestBody).scope if request.body else None
    parameters = dict(request.query)

    def guid(name: str) -> str | None:
        return (getattr(scope, name) if scope else None) or parameters.get(name)

    return await request.services.tokens.list(
        request.connection,
        request.client.guid,
        user_guid=guid("user_guid"),
        member_guid=guid("member_guid"),
        account_guid=guid("account_guid"),
    )
