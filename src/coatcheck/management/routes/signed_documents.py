"""Endpoints for signed documents, the keys that verify them, and the export of a user."""

from coatcheck.http.route import PAGE, Caller, Group
from coatcheck.management.handlers import signed_documents
from coatcheck.management.routes.route import Route
from coatcheck.management.schemas.signed_documents import (
    AttestationResponseBody,
    DisclosureResponseBody,
    DisclosuresResponseBody,
    JwksResponse,
    UserAttestationResponseBody,
    UserExportResponse,
)

SIGNED_DOCUMENTS = Group(
    "Signed documents",
    "Receipts, authorization disclosures and deletion attestations are signed: whoever has the published keys can "
    "verify them offline, with any JOSE library.",
    (
        Route(
            "GET",
            "/.well-known/jwks.json",
            signed_documents.read_jwks,
            "readKeySet",
            "Read the keys that verify signed documents",
            "May be kept for five minutes. A new key is listed 15 minutes before it signs, an old one as long as "
            "something that it signed is needed. A key that leaked is withdrawn: it leaves `keys` at once.",
            caller=Caller.ANYONE,
            answer=JwksResponse,
        ),
        Route(
            "GET",
            "/coatcheck/users/{user}/disclosures",
            signed_documents.list_disclosures,
            "listDisclosures",
            "List what a user agreed to",
            "Newest first. Kept for three years after the last grant under it, past the deletion of the user. For a "
            "deleted user the path has the guid.",
            query=PAGE,
            answer=DisclosuresResponseBody,
        ),
        Route(
            "GET",
            "/coatcheck/disclosures/{disclosure}",
            signed_documents.read_disclosure,
            "readDisclosure",
            "Read what a user agreed to",
            answer=DisclosureResponseBody,
        ),
        Route(
            "GET",
            "/coatcheck/users/{user}/attestation",
            signed_documents.read_user_attestation,
            "readUserAttestation",
            "Find the attestation of a deleted user",
            "By the guid of the user. Kept for three years.",
            answer=UserAttestationResponseBody,
        ),
        Route(
            "GET",
            "/coatcheck/attestations/{attestation}",
            signed_documents.read_attestation,
            "readAttestation",
            "Read a deletion attestation",
            "The statement says what the deletion of the user destroyed, when, and what remains. The header "
            "`Coatcheck-Attestation` of the deletion has the guid.",
            answer=AttestationResponseBody,
        ),
        Route(
            "GET",
            "/coatcheck/users/{user}/export",
            signed_documents.export_user,
            "exportUser",
            "Export all that is kept of a user",
            "Streamed as one JSON object with an array for each kind: `users`, `members`, `jobs`, `accounts`, "
            "`transactions`, `micro_deposits`, `statement_imports`, `account_numbers`, "
            "`account_owners`, `statements` with their files, "
            "`sealed_secrets` (counted: nobody can read them), `grants`, `authorization_disclosures`, and `reads`: "
            "who read what. Numbers, owners and files are disclosed, and the export is in the audit log. An export "
            "that ends early is not valid JSON.",
            answer=UserExportResponse,
        ),
    ),
)
