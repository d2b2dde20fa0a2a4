"""Signed documents and the keys that verify them."""

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from coatcheck.directory.attestations import Attestation
from coatcheck.grants.authorization_disclosures import StoredDisclosure
from coatcheck.http.doc import ATTESTATION, DISCLOSURE, JWS_EXAMPLE, UserGuid, doc
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.model.paging import Page

Record: TypeAlias = dict[str, Any]
JWS = "A compact JWS, `header.payload.signature`. How to verify it: docs/how-to/verify-a-receipt.md."


class JwkResponse(Struct, frozen=True):
    """An Ed25519 public key (RFC 8037)."""

    kty: Annotated[str, doc("The type of the key.", "OKP")]
    crv: Annotated[str, doc("The curve.", "Ed25519")]
    x: Annotated[str, doc("The public key.", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    kid: Annotated[
        str,
        Meta(
            description="The RFC 7638 thumbprint of the key.",
            examples=["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"],
        ),
    ]
    use: Annotated[str, doc("What the key is for.", "sig")]
    alg: Annotated[str, doc("The algorithm.", "EdDSA")]


class WithdrawnKeyResponse(Struct, frozen=True):
    """A key that may have leaked. Nothing that it signed is to be believed, whatever date it bears."""

    kid: Annotated[
        str,
        Meta(
            description="The RFC 7638 thumbprint of the key.",
            examples=["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"],
        ),
    ]
    withdrawn_at: Annotated[Timestamp, doc("When it was withdrawn.", "2026-11-26T10:00:00Z")]


class JwksResponse(Struct, frozen=True):
    """A JWK set (RFC 7517). The newest key is first."""

    keys: Annotated[list[JwkResponse], doc("The keys.")]
    withdrawn: Annotated[
        list[WithdrawnKeyResponse], doc("The keys that were withdrawn. They are not among `keys`.")
    ]


class DisclosureResponse(Struct, frozen=True, kw_only=True):
    guid: Annotated[str, doc("The guid of the disclosure.", DISCLOSURE)]
    user_guid: UserGuid
    text: Annotated[str, doc("Every line as the user saw it.", "Acme Payments reads your account number.")]
    signed_at: Annotated[Timestamp, doc("When the user agreed.", "2026-11-26T09:34:10Z")]
    statement: Annotated[str, doc(JWS, JWS_EXAMPLE)]


class DisclosureResponseBody(Struct, frozen=True):
    disclosure: Annotated[DisclosureResponse, doc("The disclosure.")]


class DisclosuresResponseBody(Struct, frozen=True):
    disclosures: Annotated[list[DisclosureResponse], doc("The disclosures on this page, the newest first.")]
    pagination: Pagination


class AttestationResponse(Struct, frozen=True, kw_only=True):
    guid: Annotated[str, doc("The guid of the attestation.", ATTESTATION)]
    user_guid: UserGuid
    at: Annotated[
        Timestamp, Meta(description="When the data was destroyed.", examples=["2026-11-26T10:00:00Z"])
    ]
    statement: Annotated[str, doc(JWS, JWS_EXAMPLE)]


class AttestationResponseBody(Struct, frozen=True):
    attestation: Annotated[AttestationResponse, doc("The attestation.")]


class UserAttestationResponseBody(Struct, frozen=True):
    attestation: Annotated[AttestationResponse | None, Meta(description="Null if the user was not deleted.")]


class UserExportResponse(Struct, frozen=True):
    """The sections of an export, each with its records as they are kept."""

    users: Annotated[list[Record], Meta(description="The user alone.")]
    members: Annotated[list[Record], doc("The connections.", [])]
    jobs: Annotated[list[Record], doc("The requests to institutions.", [])]
    accounts: Annotated[list[Record], doc("The accounts.", [])]
    transactions: Annotated[list[Record], doc("The transactions.", [])]
    micro_deposits: Annotated[list[Record], doc("The micro-deposits.", [])]
    statement_imports: Annotated[list[Record], doc("The imports of statement files.", [])]
    account_numbers: Annotated[list[Record], Meta(description="Opened. Each batch is a disclosure.")]
    account_owners: Annotated[list[Record], Meta(description="Opened. Each batch is a disclosure.")]
    statements: Annotated[list[Record], Meta(description="With the file in `pdf_base64`.")]
    sealed_secrets: Annotated[
        list[Record],
        Meta(
            description="The kinds and numbers of what only the server uses, such as the sign-in at a bank."
        ),
    ]
    grants: Annotated[list[Record], doc("Who may read what.", [])]
    authorization_disclosures: Annotated[list[Record], Meta(description="What the user agreed to.")]
    reads: Annotated[list[Record], Meta(description="Who read which kind of the user's data, oldest first.")]


def disclosure_body(disclosure: StoredDisclosure) -> DisclosureResponseBody:
    return DisclosureResponseBody(to_schema(disclosure, DisclosureResponse))


def disclosures_body(disclosures: Page[StoredDisclosure]) -> DisclosuresResponseBody:
    return DisclosuresResponseBody(to_schemas(disclosures.items, DisclosureResponse), pagination(disclosures))


def attestation_body(attestation: Attestation) -> AttestationResponseBody:
    return AttestationResponseBody(to_schema(attestation, AttestationResponse))


def user_attestation_body(attestation: Attestation | None) -> UserAttestationResponseBody:
    found = None if attestation is None else to_schema(attestation, AttestationResponse)
    return UserAttestationResponseBody(found)
