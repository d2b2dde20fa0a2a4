"""Signed documents and the keys that verify them."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from coatcheck.directory.attestations import Attestation
from coatcheck.grants.authorization_disclosures import StoredDisclosure
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas

Record: TypeAlias = dict[str, Any]
JWS = "A compact JWS, `header.payload.signature`. How to verify it: docs/how-to/verify-a-receipt.md."


class JwkResponse(Struct, frozen=True):
    """An Ed25519 public key (RFC 8037)."""

    kty: Annotated[str, Meta(examples=["OKP"])]
    crv: Annotated[str, Meta(examples=["Ed25519"])]
    x: Annotated[str, Meta(examples=["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"])]
    kid: Annotated[
        str,
        Meta(
            description="The RFC 7638 thumbprint of the key.",
            examples=["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"],
        ),
    ]
    use: Annotated[str, Meta(examples=["sig"])]
    alg: Annotated[str, Meta(examples=["EdDSA"])]


class JwksResponse(Struct, frozen=True):
    """A JWK set (RFC 7517). The newest key is first."""

    keys: list[JwkResponse]


class DisclosureResponse(Struct, frozen=True, kw_only=True):
    guid: Annotated[str, Meta(examples=["DSC-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d11"])]
    user_guid: str
    text: Annotated[str, Meta(description="Every line as the user saw it.")]
    signed_at: Timestamp
    statement: Annotated[str, Meta(description=JWS)]


class DisclosureResponseBody(Struct, frozen=True):
    disclosure: DisclosureResponse


class DisclosuresResponseBody(Struct, frozen=True):
    disclosures: list[DisclosureResponse]


class AttestationResponse(Struct, frozen=True, kw_only=True):
    guid: Annotated[str, Meta(examples=["ATT-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d11"])]
    user_guid: str
    at: Annotated[Timestamp, Meta(description="When the data was destroyed.")]
    statement: Annotated[str, Meta(description=JWS)]


class AttestationResponseBody(Struct, frozen=True):
    attestation: AttestationResponse


class UserAttestationResponseBody(Struct, frozen=True):
    attestation: Annotated[AttestationResponse | None, Meta(description="Null if the user was not deleted.")]


class UserExportResponse(Struct, frozen=True):
    """The sections of an export, each with its records as they are kept."""

    users: Annotated[list[Record], Meta(description="The user alone.")]
    members: list[Record]
    jobs: list[Record]
    accounts: list[Record]
    transactions: list[Record]
    micro_deposits: list[Record]
    account_numbers: Annotated[list[Record], Meta(description="Opened. Each batch is a disclosure.")]
    account_owners: Annotated[list[Record], Meta(description="Opened. Each batch is a disclosure.")]
    statements: Annotated[list[Record], Meta(description="With the file in `pdf_base64`.")]
    sealed_secrets: Annotated[
        list[Record],
        Meta(
            description="The kinds and numbers of what only the server uses, such as the sign-in at a bank."
        ),
    ]
    grants: list[Record]
    authorization_disclosures: Annotated[list[Record], Meta(description="What the user agreed to.")]
    reads: Annotated[list[Record], Meta(description="Who read which kind of the user's data, oldest first.")]


def disclosure_body(disclosure: StoredDisclosure) -> DisclosureResponseBody:
    return DisclosureResponseBody(to_schema(disclosure, DisclosureResponse))


def disclosures_body(disclosures: Sequence[StoredDisclosure]) -> DisclosuresResponseBody:
    return DisclosuresResponseBody(to_schemas(disclosures, DisclosureResponse))


def attestation_body(attestation: Attestation) -> AttestationResponseBody:
    return AttestationResponseBody(to_schema(attestation, AttestationResponse))


def user_attestation_body(attestation: Attestation | None) -> UserAttestationResponseBody:
    found = None if attestation is None else to_schema(attestation, AttestationResponse)
    return UserAttestationResponseBody(found)
