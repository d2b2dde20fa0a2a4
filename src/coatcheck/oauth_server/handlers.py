"""The token endpoint (RFC 6749 4.1.3), revocation (RFC 7009) and introspection (RFC 7662)."""

from msgspec import convert
from msgspec.structs import replace

from coatcheck.errors import UnsupportedGrantType
from coatcheck.grants.confirmations import claim, confirmation_for, is_key
from coatcheck.grants.exchange import Redeemer
from coatcheck.grants.processor_tokens import ActiveToken
from coatcheck.http.encoding import encode
from coatcheck.http.idempotency_key import read_idempotency_key
from coatcheck.http.request import CompleteResponse
from coatcheck.model.processor_security import ProcessorSecurity
from coatcheck.oauth_server.request import OAuthRequest
from coatcheck.oauth_server.schemas import (
    Confirmation,
    IntrospectionResponse,
    OAuthTokenResponse,
)


async def token(request: OAuthRequest) -> OAuthTokenResponse:
    """Exchanges a code. The code stays unredeemed unless everything about the request is right."""
    processor = await _authenticated(request)
    if request.parameter("grant_type") != "authorization_code":
        raise UnsupportedGrantType
    # Before the proof is used up: a request that lacks something can be sent again with it.
    code, idempotency_key = request.parameter("code"), read_idempotency_key(request.headers)
    confirmation = confirmation_for(processor, request.proof, request.certificate)
    # Whatever comes of the exchange, a proof that was shown is used up.
    await request.services.oauth_server.authentication.use_proof(request.connection, processor, request.proof)
    issued = await request.services.exchange.redeem_authenticated(
        request.connection,
        redeemer=Redeemer(processor.guid, confirmation),
        code=code,
        idempotency_key=idempotency_key,
        code_verifier=request.form.get("code_verifier"),
    )
    left = issued.expires_at - request.services.clock.instant()
    return OAuthTokenResponse(
        access_token=issued.access_token,
        token_type="DPoP" if is_key(confirmation) else "Bearer",
        # Rounded: the fraction that the exchange took must not shorten the lifetime by a second.
        expires_in=max(0, round(left.total_seconds())),
        scope=issued.scope,
        grant_receipt=issued.receipt,
    )


async def revoke(request: OAuthRequest) -> CompleteResponse:
    """Answers 200 whatever the token is, so that nobody learns which tokens exist (RFC 7009 2.2)."""
    processor = await _authenticated(request)
    presented = request.parameter("token")
    # The revocation and its events commit together, before the answer says 200.
    async with request.connection.transaction():
        await request.services.oauth_server.tokens.revoke(
            request.connection, processor_guid=processor.guid, token=presented
        )
    return CompleteResponse(200)


async def introspect(request: OAuthRequest) -> CompleteResponse:
    processor = await _authenticated(request)
    presented = request.parameter("token")
    found = await request.services.oauth_server.tokens.find_active(
        request.connection, processor_guid=processor.guid, token=presented
    )
    answer = (
        _active(found, processor.guid, request.services.settings.base_url)
        if found
        else IntrospectionResponse(active=False)
    )
    return CompleteResponse(200, encode(answer))


async def _authenticated(request: OAuthRequest) -> ProcessorSecurity:
    return await request.services.oauth_server.authentication.authenticate(
        request.connection, request.presented, endpoint=request.endpoint
    )


def _active(found: ActiveToken, processor_guid: str, base_url: str) -> IntrospectionResponse:
    answer = IntrospectionResponse(
        active=True,
        scope=found.scope,
        client_id=processor_guid,
        token_type="DPoP" if is_key(found.confirmation) else "Bearer",
        exp=int(found.expires_at.timestamp()),
        iat=int(found.created_at.timestamp()),
        sub=found.user_guid,
        aud=base_url,
        iss=base_url,
        jti=found.guid,
    )
    if found.confirmation is None:
        return answer
    return replace(answer, cnf=convert(claim(found.confirmation), Confirmation))
