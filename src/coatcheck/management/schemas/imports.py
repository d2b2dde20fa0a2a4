"""Imports of statement files."""

from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from coatcheck import text
from coatcheck.connectors.statement_files.csv_mapping import CsvMapping, MappedAccount
from coatcheck.connectors.statement_files.statement import FileFormat
from coatcheck.errors import InvalidRequest
from coatcheck.http.decoding import Currency, Name, StrictSchema
from coatcheck.http.doc import ACCOUNT, IMPORT, MEMBER, CreatedAt, UserGuid, doc
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.imports.records import Import, ImportedAccount
from coatcheck.model.paging import Page

Header: TypeAlias = Annotated[str, Meta(pattern=text.STORABLE, min_length=1, max_length=200)]
DIGITS = r"^[A-Za-z0-9 -]*(?!\n)$"


class CsvColumnsRequest(StrictSchema, frozen=True, kw_only=True):
    """The header of each column, or its number from 1 if the file has no header."""

    date: Annotated[Header, doc("The day of the booking.", "Date")]
    amount: Annotated[Header | None, doc("The signed amount.", "Amount")] = None
    debit: Annotated[Header | None, doc("Money out, if it has a column of its own.")] = None
    credit: Annotated[Header | None, doc("Money in, if it has a column of its own.")] = None
    description: Annotated[Header | None, doc("What the bank writes.", "Description")] = None
    memo: Annotated[Header | None, doc("Further text.")] = None
    balance: Annotated[Header | None, doc("The balance after the transaction.")] = None
    currency: Annotated[Header | None, doc("The currency of the amount.")] = None
    id: Annotated[Header | None, doc("The bank's own id of the transaction.")] = None
    account_number: Annotated[Header | None, doc("The account of the transaction.")] = None


class CsvAccountRequest(StrictSchema, frozen=True, kw_only=True):
    """What the file does not say of its account."""

    name: Annotated[Name | None, doc("A name for the account.", "Household")] = None
    number: Annotated[
        Annotated[str, Meta(pattern=DIGITS, min_length=4, max_length=34)] | None,
        doc("The account number or IBAN."),
    ] = None
    routing_number: Annotated[
        Annotated[str, Meta(pattern=r"^\d{9}(?!\n)$")] | None, doc("The ABA routing number.")
    ] = None
    currency_code: Annotated[Currency | None, doc("The currency of the account.", "USD")] = None
    type: Annotated[
        Literal["CHECKING", "SAVINGS", "CREDIT_CARD", "LINE_OF_CREDIT", "LOAN", "INVESTMENT"] | None,
        doc("The type of the account.", "CHECKING"),
    ] = None


class CsvMappingRequest(StrictSchema, frozen=True, kw_only=True):
    """How a CSV file is read. It is remembered for the user's next file with the same header."""

    columns: Annotated[CsvColumnsRequest, doc("The columns.")]
    delimiter: Annotated[Literal[",", ";", "\t", "|"], doc("What separates two columns.", ",")] = ","
    decimal_mark: Annotated[
        Literal[".", ","] | None, doc("What stands before the decimals. Absent: guessed.", ".")
    ] = None
    date_format: Annotated[
        Annotated[str, Meta(pattern=text.STORABLE, min_length=2, max_length=40)] | None,
        doc("The format of dates, in the directives of C's `strptime`. Absent: guessed.", "%m/%d/%Y"),
    ] = None
    has_header: Annotated[bool, doc("Whether a row has the names of the columns.", True)] = True
    is_inverted: Annotated[bool, doc("Whether a positive amount is money out.", False)] = False
    account: Annotated[CsvAccountRequest | None, doc("The account.")] = None

    @property
    def mapping(self) -> CsvMapping:
        """The mapping.

        Raises:
            InvalidRequest: there is no column with the amount, or a number of a column is not one.
        """
        columns = {
            name: header.strip()
            for name in CsvColumnsRequest.__struct_fields__
            if (header := getattr(self.columns, name)) is not None
        }
        if not columns.keys() & {"amount", "debit", "credit"}:
            raise InvalidRequest("mapping.columns must name `amount`, or `debit` and `credit`.")
        if not self.has_header and not all(_is_position(each) for each in columns.values()):
            raise InvalidRequest(
                "Without a header, mapping.columns must have the numbers of the columns, from 1."
            )
        described = self.account or CsvAccountRequest()
        return CsvMapping(
            columns=columns,
            delimiter=self.delimiter,
            decimal_mark=self.decimal_mark,
            date_format=self.date_format,
            has_header=self.has_header,
            is_inverted=self.is_inverted,
            account=MappedAccount(
                described.name,
                described.number,
                described.routing_number,
                described.currency_code,
                described.type,
            ),
        )


def _is_position(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 1 <= int(text[:4]) <= 999


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


class CsvMappingResponse(Struct, frozen=True):
    columns: Annotated[
        dict[str, str], doc("The header or the number of each column.", {"date": "Date", "amount": "Amount"})
    ]
    delimiter: Annotated[str, doc("What separates two columns.", ",")]
    decimal_mark: Annotated[str | None, doc("What stands before the decimals. Null: either.", ".")]
    date_format: Annotated[str | None, doc("The format of dates.", "%m/%d/%Y")]
    has_header: Annotated[bool, doc("Whether a row has the names of the columns.", True)]
    is_inverted: Annotated[bool, doc("Whether a positive amount is money out.", False)]


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
        mapping=_mapping(mapping) if mapping else None,
    )


def _account(account: ImportedAccount) -> ImportedAccountResponse:
    return ImportedAccountResponse(
        account.account_guid, account.name, account.added, account.already_known, account.balance
    )


def _mapping(mapping: CsvMapping) -> CsvMappingResponse:
    return CsvMappingResponse(
        columns=dict(mapping.columns),
        delimiter=mapping.delimiter,
        decimal_mark=mapping.decimal_mark,
        date_format=mapping.date_format,
        has_header=mapping.has_header,
        is_inverted=mapping.is_inverted,
    )
