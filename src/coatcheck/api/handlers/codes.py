"""A client's codes and tokens."""

from collections.abc import Sequence

from coatcheck.api.request import ApiRequest, ApiResponse
from coatcheck.api.schemas.requests import (
    AuthorizationCodeBody,
    LegacyAuthorizationCodeBody,
    TokensBody,
    parse,
)
from coatcheck.grants.scope import Scope, parse_scope
from coatcheck.model.tokens import TokenRow


async def request_code(request: ApiRequest) -> bytes:
    wanted = parse(request.body, AuthorizationCodeBody).authorization_code
    code = await request.services.issuer.issue_code(
        request.connection,
        client_guid=request.client.guid,
        scope=parse_scope(wanted.scope),
        processor_guid=wanted.processor_guid,
    )
    return request.presenter.show_authorization_code(code)


async def request_code_legacy(request: ApiRequest) -> bytes:
    """The older form names the guids one by one and always reads protected data (mx-contract Q13)."""
    wanted = parse(request.body, LegacyAuthorizationCodeBody).payment_processor_authorization_code
    code = await request.services.issuer.issue_code(
        request.connection,
        client_guid=request.client.guid,
        scope=Scope(wanted.user_guid, wanted.member_guid, wanted.account_guid, reads_protected=True),
    )
    return request.presenter.show_legacy_authorization_code(code)


async def list_tokens(request: ApiRequest) -> bytes:
    """The filter comes as a body on a GET, as MX has it, or as query parameters: some proxies drop such bodies."""
    return request.presenter.show_tokens(await _tokens(request))


async def list_grants(request: ApiRequest) -> bytes:
    return request.presenter.show_grants(await _tokens(request))


async def _tokens(request: ApiRequest) -> Sequence[TokenRow]:
    scope = parse(request.body, TokensBody).scope if request.body else None
    asked = dict(request.query)

    def wanted(name: str) -> str | None:
        return (getattr(scope, name) if scope else None) or asked.get(name)

    return await request.services.issuer.tokens_of(
        request.connection,
        request.client.guid,
        user_guid=wanted("user_guid"),
        member_guid=wanted("member_guid"),
        account_guid=wanted("account_guid"),
    )


async def revoke_token(request: ApiRequest) -> ApiResponse:
    await request.services.issuer.revoke(
        request.connection, client_guid=request.client.guid, token_guid=request.path["token"]
    )
    return ApiResponse(204)
