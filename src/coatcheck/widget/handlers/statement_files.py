"""Statement files: the user gives the bank's file instead of signing in."""

from itertools import islice

from coatcheck.connectors.statement_files.csv_mapping import CsvMapping
from coatcheck.connectors.statement_files.csv_table import AMBIGUOUS_DATES, NO_ACCOUNT
from coatcheck.connectors.statement_files.reading import ReadFile
from coatcheck.errors import InvalidRequest, JobNotSupported
from coatcheck.http.csv_mapping import CsvMappingRequest, mapping_response
from coatcheck.http.decoding import parse
from coatcheck.http.multipart import MAX_FIELD_BYTES, read_form
from coatcheck.imports.imports import IGNORED, MAX_FILE_BYTES
from coatcheck.imports.records import Import
from coatcheck.model.members import find_member
from coatcheck.widget import schemas
from coatcheck.widget.request import SentFile, WidgetRequest

MAX_BODY_BYTES = MAX_FILE_BYTES + 2 * MAX_FIELD_BYTES
BODY_DEADLINE = 120.0
"""Seconds: a telephone sends the largest file in less."""
MAX_ROWS = 5
WARNINGS = {AMBIGUOUS_DATES: "dates", NO_ACCOUNT: "account", IGNORED: "ignored"}


async def file_of(request: WidgetRequest) -> SentFile:
    """The file in the form, and its user."""
    request.require_consent()
    if not request.has_statement_files:
        raise JobNotSupported("This session does not offer statement files.")
    form = read_form(request.content_type, request.body, fields=("mapping",), max_file_bytes=MAX_FILE_BYTES)
    return SentFile(await request.user(), form.file, _mapping(form.fields.get("mapping")))


async def create(request: WidgetRequest) -> schemas.StatementFileAnswer:
    """Imports the file; with `dry_run=true` says what would be imported, and imports nothing."""
    read, imports, user = request.prepared.file, request.services.imports, await request.user()
    assert read is not None, "the route reads the file"
    dry_run = request.query.get("dry_run", "false")
    if dry_run not in {"true", "false"}:
        raise InvalidRequest("dry_run is true or false.")
    if dry_run == "true":
        one = await imports.preview(request.connection, user, read)
    else:
        one = await imports.add(request.connection, user, read, actor=user.guid)
        assert one.member_guid is not None, "an import has a member"
        await request.bind_consent(await find_member(request.connection, user.guid, one.member_guid))
    return schemas.StatementFileAnswer(statement_file=_present(one, read))


def _mapping(given: str | None) -> CsvMapping | None:
    return parse(given.encode(), CsvMappingRequest).mapping if given else None


def _present(one: Import, read: ReadFile) -> schemas.StatementFile:
    statement = read.statement
    currencies: list[str | None] = [each.currency_code for each in statement.accounts]
    if len(currencies) != len(one.accounts):
        # Some accounts of the file were ignored, and the import does not say which.
        currencies = [None] * len(one.accounts)
    rows = islice((each for account in statement.accounts for each in account.transactions), MAX_ROWS)
    return schemas.StatementFile(
        guid=one.guid,
        member_guid=one.member_guid,
        format=one.format,
        accounts=[
            schemas.FileAccount(
                name=each.name,
                added=each.added,
                already_known=each.already_known,
                balance=each.balance,
                currency_code=currency,
            )
            for each, currency in zip(one.accounts, currencies, strict=True)
        ],
        rows=[
            schemas.FileRow(
                date=each.date,
                description=each.description,
                amount=each.amount,
                currency_code=each.currency_code,
            )
            for each in rows
        ],
        warnings=list(dict.fromkeys(WARNINGS.get(each, "check") for each in one.warnings)),
        columns=read.header,
        mapping=mapping_response(read.mapping) if read.mapping else None,
    )
