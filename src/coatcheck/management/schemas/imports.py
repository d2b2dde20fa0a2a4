"""Imports of statement files."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from coatcheck.connectors.statement_files.csv_mapping import CsvMapping
from coatcheck.connectors.statement_files.statement import FileFormat
from coatcheck.http.csv_mapping import CsvMappingRequest, CsvMappingResponse, mapping_response
from coatcheck.http.decoding import StrictSchema
from coatcheck.http.doc import ACCOUNT, IMPORT, MEMBER, CreatedAt, UserGuid, doc
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.imports.records import Import, ImportedAccount
from coatcheck.model.paging import Page


class StatementFileRequest(StrictSchema, frozen=True, kw_only=True):
    """The parts of the form."""

    file: Annotated[
        str,
        Meta(
            description="OFX, QFX, CAMT.052, CAMT.053, MT940, MT942, BAI2 or CSV, up to 20 MB. The content decides.",
            examples=["Date,Description,Amount\n10/25/2026,CORNER AND CO,-42.17\n"],
            extra_json_schema={"contentMediaType": "application/octet-stream"},
        ),
    ]
    mapping: Annotated[
        CsvMappingRequest | None,
        doc("How a CSV file is read, as JSON. Absent: as the last time, or guessed."),
    ] = None
    dry_run: Annotated[
        Literal["true", "false"], doc("`true`: say what would be imported, and import nothing.", "true")
    ] = "false"


class ImportedAccountResponse(Struct, frozen=True):
    account_guid: Annotated[
        str | None,
        doc("The guid of the account. Null in a preview, for an account that would be created.", ACCOUNT),
    ]
    name: Annotated[str | None, doc("The name of the account.", "Checking 7890")]
    added: Annotated[int, doc("How many transactions were new.", 12)]
    already_known: Annotated[int, doc("How many were imported before.", 3)]
    balance: Annotated[
        Decimal | None,
        doc("The closing balance in the file. What is owed on a card or a loan is positive.", 2357.83),
    ]


class ImportResponse(Struct, frozen=True):
    guid: Annotated[str | None, doc("The guid of the import. Null in a preview.", IMPORT)]
    format: Annotated[
        str, doc("The format that the content has.", "OFX", enum=[each.value for each in FileFormat])
    ]
    user_guid: UserGuid
    member_guid: Annotated[
        str | None,
        doc("The member of the user's statement files. Null in a preview, if it would be created.", MEMBER),
    ]
    accounts: Annotated[
        list[ImportedAccountResponse], doc("What the file has of each account that still exists.")
    ]
    warnings: Annotated[list[str], doc("What the user should check.", [])]
    created_at: CreatedAt
    mapping: Annotated[
        CsvMappingResponse | None,
        doc(
            "How a CSV file was read, in the answer to the request that sent it. Send it back to correct it."
        ),
    ] = None


class ImportResponseBody(Struct, frozen=True, rename={"import_": "import"}):
    import_: Annotated[ImportResponse, doc("The import.")]


class ImportsResponseBody(Struct, frozen=True):
    imports: Annotated[list[ImportResponse], doc("The imports on this page, the newest first.")]
    pagination: Pagination


def import_body(one: Import, mapping: CsvMapping | None = None) -> ImportResponseBody:
    return ImportResponseBody(_import(one, mapping))


def imports_body(imports: Page[Import]) -> ImportsResponseBody:
    return ImportsResponseBody([_import(each) for each in imports.items], pagination(imports))


def _import(one: Import, mapping: CsvMapping | None = None) -> ImportResponse:
    return ImportResponse(
        guid=one.guid,
        format=one.format,
        user_guid=one.user_guid,
        member_guid=one.member_guid,
        accounts=[_account(each) for each in one.accounts],
        warnings=list(one.warnings),
        created_at=one.created_at,
        mapping=mapping_response(mapping) if mapping else None,
    )


def _account(account: ImportedAccount) -> ImportedAccountResponse:
    return ImportedAccountResponse(
        account.account_guid, account.name, account.added, account.already_known, account.balance
    )
