"""Reads how a processor authenticates (RFC 6749 2.3, RFC 7523 2.2, RFC 8705 2). Nothing is verified here."""

from collections.abc import Mapping

from coatcheck.errors import InvalidClient, InvalidRequest
from coatcheck.grants.client_assertions import TYPE, claimed_issuer
from coatcheck.grants.client_certificates import ClientCertificate
from coatcheck.grants.jwt_verification import InvalidJwt
from coatcheck.grants.processor_authentication import (
    Presented,
    PresentedAssertion,
    PresentedCertificate,
    PresentedKey,
)
from coatcheck.grants.secrets import Kind
from coatcheck.http.authentication import basic


def read_presented(
    authorization: list[str], form: Mapping[str, str], certificate: ClientCertificate | None
) -> Presented:
    """What the processor presents.

    Args:
        authorization: the values of the Authorization header.
        form: the parameters of the body.
        certificate: that of the TLS connection. It authenticates only where the request contains no other credentials.

    Raises:
        InvalidRequest: the request authenticates in two ways (RFC 6749 2.3), or names two processors.
        InvalidClient: it does not authenticate, or what it contains cannot be read.
    """
    # The certificate is no way of its own: a proxy sends it with every request of the connection.
    ways = [bool(authorization), "client_secret" in form, "client_assertion" in form]
    if sum(ways) > 1:
        raise InvalidRequest("Authenticate in one way only: Basic, client_secret or client_assertion.")
    presented = _read(authorization, form, certificate)
    if form.get("client_id", presented.processor_guid) != presented.processor_guid:
        raise InvalidRequest("client_id names another processor than the credentials.")
    return presented


def _read(
    authorization: list[str], form: Mapping[str, str], certificate: ClientCertificate | None
) -> Presented:
    if authorization:
        credentials = basic(authorization, Kind.PROCESSOR_KEY)
        return PresentedKey(credentials.id, credentials.api_key)
    if "client_assertion" in form:
        return _read_assertion(form)
    guid = form.get("client_id", "")
    if not guid or "\0" in guid:  # PostgreSQL text cannot contain NUL
        raise InvalidClient("The processor did not authenticate. Send its id and API key with HTTP Basic.")
    if "client_secret" in form:
        return PresentedKey(guid, form["client_secret"])
    if certificate is not None:
        return PresentedCertificate(guid, certificate)
    raise InvalidClient(
        "The processor did not authenticate. Send its API key, an assertion or a certificate."
    )


def _read_assertion(form: Mapping[str, str]) -> PresentedAssertion:
    if form.get("client_assertion_type") != TYPE:
        raise InvalidRequest(f"client_assertion_type must be {TYPE}.")
    assertion = form["client_assertion"]
    try:
        return PresentedAssertion(claimed_issuer(assertion), assertion)
    except InvalidJwt as error:
        # No InvalidRequest, although it is malformed: RFC 7521 4.2.1 has invalid_client for every assertion that is
        # not valid.
        raise InvalidClient(detail=f"The client assertion is refused: {error}.") from error
