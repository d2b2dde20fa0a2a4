"""What the user can keep: everything as JSON, the transactions and the reads as CSV."""

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from coatcheck.http.exports import csv_chunks, json_chunks
from coatcheck.http.headers import NO_STORE
from coatcheck.model.users import User
from coatcheck.portal.request import PortalRequest

TRANSACTION_COLUMNS = (
    "date", "account_guid", "description", "amount", "currency_code", "type", "status", "category", "guid",
)  # fmt: skip
READ_COLUMNS = ("at", "reader_guid", "what", "shown", "record_guid", "token_guid", "address")


async def download_all(request: PortalRequest) -> Response:
    export, settings = request.services.user_export, request.services.settings
    user = await _user(request)
    sections = export.sections(user, actor=user.guid)
    return _file("coatcheck.json", "application/json", json_chunks(sections, settings.request_deadline))


async def download_transactions(request: PortalRequest) -> Response:
    export, settings = request.services.user_export, request.services.settings
    user = await _user(request)
    batches = export.transactions(user, actor=user.guid)
    chunks = csv_chunks(batches, TRANSACTION_COLUMNS, settings.request_deadline)
    return _file("transactions.csv", "text/csv; charset=utf-8", chunks)


async def download_reads(request: PortalRequest) -> Response:
    export, settings = request.services.user_export, request.services.settings
    user = await _user(request)
    batches = export.reads(user, actor=user.guid)
    chunks = csv_chunks(batches, READ_COLUMNS, settings.request_deadline)
    return _file("reads.csv", "text/csv; charset=utf-8", chunks)


async def _user(request: PortalRequest) -> User:
    async with request.services.db.connection() as connection:
        return await request.user(connection)


def _file(name: str, media_type: str, chunks: AsyncIterator[bytes]) -> Response:
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(chunks, 200, headers, media_type)
