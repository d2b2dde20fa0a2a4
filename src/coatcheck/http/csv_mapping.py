"""How a CSV statement file is read, on the wire."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from coatcheck import text
from coatcheck.connectors.statement_files.csv_mapping import CsvMapping, MappedAccount
from coatcheck.errors import InvalidRequest
from coatcheck.http.decoding import Currency, Name, StrictSchema
from coatcheck.http.doc import doc

Header: TypeAlias = Annotated[str, Meta(pattern=text.STORABLE, min_length=1, max_length=200)]
# `$` alone also matches before a trailing line break.
DIGITS = r"^[A-Za-z0-9 -]*(?!\n)$"


class CsvColumnsRequest(StrictSchema, frozen=True, kw_only=True):
    """The header of each column, or its number from 1 if the file has no header."""

    date: Annotated[Header, doc("The day of the booking.", "Date")]
    amount: Annotated[Header | None, doc("The signed amount.", "Amount")] = None
    debit: Annotated[Header | None, doc("Money out, if it has a column of its own.")] = None
    credit: Annotated[Header | None, doc("Money in, if it has a column of its own.")] = None
    direction: Annotated[
        Header | None, doc("Says debit or credit, where the amount has no sign.", "Transaction Type")
    ] = None
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
    # Only four digits are converted: Python refuses to convert numbers of more than 4,300.
    return text.isascii() and text.isdecimal() and 1 <= int(text[:4]) <= 999


class CsvMappingResponse(Struct, frozen=True):
    columns: Annotated[
        dict[str, str], doc("The header or the number of each column.", {"date": "Date", "amount": "Amount"})
    ]
    delimiter: Annotated[str, doc("What separates two columns.", ",")]
    decimal_mark: Annotated[str | None, doc("What stands before the decimals. Null: either.", ".")]
    date_format: Annotated[str | None, doc("The format of dates.", "%m/%d/%Y")]
    has_header: Annotated[bool, doc("Whether a row has the names of the columns.", True)]
    is_inverted: Annotated[bool, doc("Whether a positive amount is money out.", False)]


def mapping_response(mapping: CsvMapping) -> CsvMappingResponse:
    return CsvMappingResponse(
        columns=dict(mapping.columns),
        delimiter=mapping.delimiter,
        decimal_mark=mapping.decimal_mark,
        date_format=mapping.date_format,
        has_header=mapping.has_header,
        is_inverted=mapping.is_inverted,
    )
