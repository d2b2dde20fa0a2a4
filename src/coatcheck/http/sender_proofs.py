"""What a request shows beside an access token or a code: a DPoP proof (RFC 9449) and the TLS certificate (RFC 8705)."""

from dataclasses import replace

from starlette.requests import Request

from coatcheck.app import Services
from coatcheck.errors import DPoPNonceRequired, InvalidDPoPProof
from coatcheck.grants.client_certificates import read_certificate
from coatcheck.grants.confirmations import UNBOUND, PresentedToken, ProofUse, of_certificate, of_key
from coatcheck.grants.dpop import DPoPProof, verify_proof
from coatcheck.grants.jwt_verification import InvalidJwt
from coatcheck.http.authentication import access_token
from coatcheck.http.client_certificates import client_certificate


def read_token(services: Services, request: Request) -> PresentedToken:
    """The access token of a request, and what it shows beside it. It does not query the database.

    Raises:
        Unauthenticated: there is no token.
        InvalidToken: the text cannot be an access token.
        InvalidDPoPProof: the token is sent with the DPoP scheme, and the proof is missing or wrong.
        InvalidRequest: the header is repeated, or the URL contains a token.
    """
    sent = access_token(request.headers.getlist("authorization"), request.scope["query_string"])
    presented = services.access.parse_token(sent.secret)
    if sent.is_dpop:
        # From the setting, because the Host header is what the caller says.
        endpoint = f"{services.settings.base_url}{request.scope['path']}"
        proof = read_proof(services, request, endpoint, sent.secret)
        if proof is None:
            raise InvalidDPoPProof
        # Not UNBOUND: a bearer token does not become one of a key by being sent with the scheme DPoP (RFC 9449 7.2).
        return replace(presented, confirmations=[of_key(proof.key_thumbprint)], proof_use=ProofUse(proof))
    pem = client_certificate(request.scope)
    certificate = read_certificate(pem) if pem else None
    if certificate is None:
        return presented
    # Both: a proxy sends the certificate with every request, also with one whose token is not bound to it.
    return replace(presented, confirmations=[UNBOUND, of_certificate(certificate.thumbprint)])


def read_proof(
    services: Services, request: Request, endpoint: str, access_token: str | None = None
) -> DPoPProof | None:
    """The proof of a request, without a check whether it was used before; None if the request has none.

    Args:
        services: the services.
        request: the request.
        endpoint: its address as the processor knows it.
        access_token: the token that it presents, if any.

    Raises:
        InvalidDPoPProof: there is more than one, or it is wrong.
        DPoPNonceRequired: the setting `dpop_nonces` requires a nonce, and the proof has none that is valid.
    """
    proofs = request.headers.getlist("dpop")
    if not proofs:
        return None
    if len(proofs) > 1:
        raise InvalidDPoPProof(detail="There is more than one DPoP header.")
    now = services.clock.instant()
    try:
        proof = verify_proof(
            proofs[0], method=request.method, url=endpoint, now=now, access_token=access_token
        )
    except InvalidJwt as error:
        raise InvalidDPoPProof(detail=f"The DPoP proof is refused: {error}.") from error
    nonces = services.oauth_server.nonces
    if services.settings.dpop_nonces and not (proof.nonce and nonces.is_valid(proof.nonce, now)):
        raise DPoPNonceRequired(nonces.current(now))
    return proof
