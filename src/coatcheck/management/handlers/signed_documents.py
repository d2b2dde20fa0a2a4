"""Signed documents, the keys that verify them, and the export of a user."""

from coatcheck.errors import NotFound
from coatcheck.http.encoding import encode
from coatcheck.http.exports import json_chunks
from coatcheck.http.query import read_page
from coatcheck.http.request import CompleteResponse
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.signed_documents import (
    AttestationResponseBody,
    DisclosureResponseBody,
    DisclosuresResponseBody,
    UserAttestationResponseBody,
    attestation_body,
    disclosure_body,
    disclosures_body,
    user_attestation_body,
)
from coatcheck.model.users import find_user
from coatcheck.vault.signing_keys import MAX_AGE, key_set, published_keys

JWK_SET = "application/jwk-set+json"
CACHEABLE = (("Cache-Control", f"public, max-age={int(MAX_AGE.total_seconds())}"),)


async def read_jwks(request: ManagementRequest) -> CompleteResponse:
    """Read from the database each time: a key that signs at once must be found at once."""
    keys = await published_keys(request.connection, request.services.clock.now())
    return CompleteResponse(200, encode(key_set(keys)), JWK_SET, CACHEABLE)


async def list_disclosures(request: ManagementRequest) -> DisclosuresResponseBody:
    guid = await _user_guid(request)
    found = await request.services.authorization_disclosures.list(
        request.connection, request.client.guid, guid, read_page(request.query)
    )
    return disclosures_body(found)


async def read_disclosure(request: ManagementRequest) -> DisclosureResponseBody:
    return disclosure_body(
        await request.services.authorization_disclosures.find(
            request.connection, request.client.guid, request.path["disclosure"]
        )
    )


async def read_user_attestation(request: ManagementRequest) -> UserAttestationResponseBody:
    guid = await _user_guid(request)
    found = await request.services.attestations.of_user(request.connection, request.client.guid, guid)
    return user_attestation_body(found)


async def read_attestation(request: ManagementRequest) -> AttestationResponseBody:
    return attestation_body(
        await request.services.attestations.find(
            request.connection, request.client.guid, request.path["attestation"]
        )
    )


async def export_user(request: ManagementRequest) -> CompleteResponse:
    user = await find_user(request.connection, request.client.guid, request.path["user"])
    sections = request.services.user_export.sections(user, actor=request.client.guid)
    return CompleteResponse(200, chunks=json_chunks(sections, request.services.settings.request_deadline))


async def _user_guid(request: ManagementRequest) -> str:
    """The guid of the user in the path, whom the client may have deleted."""
    named = request.path["user"]
    try:
        return (await find_user(request.connection, request.client.guid, named)).guid
    except NotFound:
        # The attestation proves that the user was the client's: another client's is NotFound as before.
        found = await request.services.attestations.of_user(request.connection, request.client.guid, named)
        if found is None:
            raise
        return named
