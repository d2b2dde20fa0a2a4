"""What the user can keep: everything as JSON, the transactions and the reads as CSV."""

from starlette.responses import Response

from coatcheck.http.exports import attachment, csv_file, json_chunks
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
    return attachment("coatcheck.json", "application/json", json_chunks(sections, settings.request_deadline))


async def download_transactions(request: PortalRequest) -> Response:
    export, settings = request.services.user_export, request.services.settings
    user = await _user(request)
    batches = export.transactions(user, actor=user.guid)
    return csv_file("transactions", batches, TRANSACTION_COLUMNS, settings.request_deadline)


async def download_reads(request: PortalRequest) -> Response:
    export, settings = request.services.user_export, request.services.settings
    user = await _user(request)
    batches = export.reads(user, actor=user.guid)
    return csv_file("reads", batches, READ_COLUMNS, settings.request_deadline)


async def _user(request: PortalRequest) -> User:
    async with request.services.db.connection() as connection:
        return await request.user(connection)
