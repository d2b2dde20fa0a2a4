"""A client's codes and tokens."""

from collections.abc import Sequence

from coatcheck.api.request import Call, Reply
from coatcheck.api.schemas.requests import (
    AuthorizationCodeBody,
    LegacyAuthorizationCodeBody,
    TokensBody,
    parse,
)
from coatcheck.grants.scope import Scope, parse_scope
from coatcheck.model.tokens import IssuedToken


async def request_code(call: Call) -> bytes:
    wanted = parse(call.body, AuthorizationCodeBody).authorization_code
    code = await call.house.issuer.issue_code(
        call.connection,
        client_guid=call.client.guid,
        scope=parse_scope(wanted.scope),
        processor_guid=wanted.processor_guid,
    )
    return call.wire.show_authorization_code(code)


async def request_code_legacy(call: Call) -> bytes:
    """The older form names the guids one by one and always reads protected data (mx-contract Q13)."""
    wanted = parse(call.body, LegacyAuthorizationCodeBody).payment_processor_authorization_code
    code = await call.house.issuer.issue_code(
        call.connection,
        client_guid=call.client.guid,
        scope=Scope(wanted.user_guid, wanted.member_guid, wanted.account_guid, reads_protected=True),
    )
    return call.wire.show_legacy_authorization_code(code)


async def list_tokens(call: Call) -> bytes:
    """The filter comes as a body on a GET, as MX has it, or as query parameters: some proxies drop such bodies."""
    return call.wire.show_tokens(await _tokens(call))


async def list_grants(call: Call) -> bytes:
    return call.wire.show_grants(await _tokens(call))


async def _tokens(call: Call) -> Sequence[IssuedToken]:
    scope = parse(call.body, TokensBody).scope if call.body else None
    asked = dict(call.query)

    def wanted(name: str) -> str | None:
        return (getattr(scope, name) if scope else None) or asked.get(name)

    return await call.house.issuer.tokens_of(
        call.connection,
        call.client.guid,
        user_guid=wanted("user_guid"),
        member_guid=wanted("member_guid"),
        account_guid=wanted("account_guid"),
    )


async def revoke_token(call: Call) -> Reply:
    await call.house.issuer.revoke(
        call.connection, client_guid=call.client.guid, token_guid=call.path["token"]
    )
    return Reply(204)
