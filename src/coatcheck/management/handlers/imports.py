"""Statement files: imported, previewed, listed and taken back."""

from coatcheck.connectors.statement_files.csv_mapping import CsvMapping
from coatcheck.errors import InvalidRequest
from coatcheck.http.csv_mapping import CsvMappingRequest
from coatcheck.http.decoding import parse
from coatcheck.http.encoding import encode
from coatcheck.http.multipart import Form, read_form
from coatcheck.http.query import read_flag, read_page, read_text
from coatcheck.http.request import CompleteResponse
from coatcheck.imports.imports import MAX_FILE_BYTES
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.imports import (
    ImportResponseBody,
    ImportsResponseBody,
    import_body,
    imports_body,
)
from coatcheck.model.users import find_user

FIELDS = ("mapping", "dry_run")
BOOLEANS = {"true": True, "false": False}


async def import_statement_file(request: ManagementRequest) -> CompleteResponse:
    """201, or 200 for a preview, which imports nothing."""
    services, client = request.services, request.client
    form = read_form(
        request.headers.get("content-type", ""), request.body, fields=FIELDS, max_file_bytes=MAX_FILE_BYTES
    )
    is_preview = _is_preview(request, form)
    mapping = _mapping(form)
    async with services.db.connection() as connection:
        user = await find_user(connection, client.guid, request.path["user"])
    # Outside of a transaction: a large file takes seconds.
    read = await services.imports.read(user, form.file, mapping)
    async with services.db.transaction() as connection:
        if is_preview:
            one = await services.imports.preview(connection, user, read)
        else:
            one = await services.imports.add(connection, user, read, actor=client.guid)
    return CompleteResponse(200 if is_preview else 201, encode(import_body(one, read.mapping)))


async def list_imports(request: ManagementRequest) -> ImportsResponseBody:
    user_guid = read_text(request.query, "user_guid")
    page = read_page(request.query)
    found = await request.services.imports.list(request.connection, request.client.guid, user_guid, page)
    return imports_body(found)


async def read_import(request: ManagementRequest) -> ImportResponseBody:
    one = await request.services.imports.find(
        request.connection, request.client.guid, request.path["statement_import"]
    )
    return import_body(one)


async def delete_import(request: ManagementRequest) -> None:
    imports, client = request.services.imports, request.client
    one = await imports.find(request.connection, client.guid, request.path["statement_import"])
    await imports.delete(request.connection, one, client_guid=client.guid, actor=client.guid)


def _is_preview(request: ManagementRequest, form: Form) -> bool:
    """By the field or the query parameter `dry_run`."""
    given = form.fields.get("dry_run")
    if given is None:
        return read_flag(request.query, "dry_run") or False
    if given not in BOOLEANS:
        raise InvalidRequest("The field `dry_run` must be true or false.")
    return BOOLEANS[given]


def _mapping(form: Form) -> CsvMapping | None:
    given = form.fields.get("mapping")
    return parse(given.encode(), CsvMappingRequest).mapping if given else None
