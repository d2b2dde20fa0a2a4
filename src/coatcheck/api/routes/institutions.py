"""Endpoints for institutions."""

from coatcheck.api.handlers import institutions
from coatcheck.api.routes.parameters import ISO_COUNTRY_CODE
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.institutions import INSTITUTION_BODY, INSTITUTIONS_BODY, CredentialsResponseBody
from coatcheck.http.route import PAGE, Group, Parameter

INSTITUTIONS = Group(
    "Institutions",
    "The banks that can be connected.",
    (
        Route(
            "GET",
            "/institutions",
            institutions.list_,
            "listInstitutions",
            "Search institutions",
            query=(
                Parameter("name", "Part of the name, case-insensitive."),
                ISO_COUNTRY_CODE,
                Parameter(
                    "supported_products",
                    "Only institutions that support all of these products.",
                    is_repeated=True,
                ),
                Parameter(
                    "supports_account_identification",
                    "`true`: only institutions that return account owners.",
                    "boolean",
                ),
                Parameter(
                    "supports_account_statement",
                    "`true`: only institutions that return statements.",
                    "boolean",
                ),
                Parameter(
                    "supports_account_verification",
                    "`true`: only institutions that return account numbers.",
                    "boolean",
                ),
                Parameter(
                    "supports_transaction_history",
                    "`true`: only institutions that return 24 months of transactions.",
                    "boolean",
                ),
                Parameter(
                    "include_blocked_institutions",
                    "`true`: also institutions to which your client can make no new connection.",
                    "boolean",
                ),
                *PAGE,
            ),
            answer=INSTITUTIONS_BODY,
        ),
        Route(
            "GET",
            "/institutions/favorites",
            institutions.favorites,
            "listFavoriteInstitutions",
            "List popular institutions",
            query=(ISO_COUNTRY_CODE, *PAGE),
            answer=INSTITUTIONS_BODY,
        ),
        Route(
            "GET",
            "/institutions/{institution}",
            institutions.read,
            "readInstitution",
            "Read an institution",
            answer=INSTITUTION_BODY,
        ),
        Route(
            "GET",
            "/institutions/{institution}/credentials",
            institutions.credentials,
            "listInstitutionCredentials",
            "List the credential fields of an institution",
            "Empty for an institution that uses OAuth.",
            query=PAGE,
            answer=CredentialsResponseBody,
        ),
    ),
)
