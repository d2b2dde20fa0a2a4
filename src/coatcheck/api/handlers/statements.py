"""Statements, and their PDF documents."""

from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.statements import (
    StatementResponseBody,
    StatementsResponseBody,
    statement_body,
    statements_body,
)
from coatcheck.errors import NotFound
from coatcheck.http.headers import Policy
from coatcheck.http.negotiation import accepted
from coatcheck.http.query import read_page
from coatcheck.http.request import CompleteResponse
from coatcheck.model.members import find_member
from coatcheck.model.statements import Statement, find_statement, list_statements
from coatcheck.vault.vault import ClientReader, SecretKind

VENDOR_PDF = "application/vnd.mx.api.v1+pdf"
PDF = "application/pdf"
POLICY = ("Content-Security-Policy", Policy.FOREIGN_DOCUMENT.value)


async def list_(request: ApiRequest) -> StatementsResponseBody:
    user = await request.readable_user()
    member = await find_member(request.connection, user.guid, request.path["member"])
    return statements_body(
        await list_statements(request.connection, user.guid, member.guid, read_page(request.query))
    )


async def read(request: ApiRequest) -> StatementResponseBody:
    return statement_body(await _find(request))


async def download(request: ApiRequest) -> CompleteResponse:
    """The PDF as MX's media type, or as `application/pdf` if only that is accepted."""
    statement = await _find(request)
    document = await request.services.vault.disclose_secret(
        request.connection,
        owner_guid=statement.user_guid,
        record_guid=statement.guid,
        kind=SecretKind.STATEMENT,
        reader=ClientReader(
            request.client.guid, statement.user_guid, statement.member_guid, statement.account_guid
        ),
    )
    if document is None:
        raise NotFound
    media_types = accepted(request.headers.get("accept"))
    media_type = PDF if PDF in media_types and VENDOR_PDF not in media_types else VENDOR_PDF
    name = ("Content-Disposition", f'attachment; filename="{statement.guid}.pdf"')
    return CompleteResponse(200, document, media_type, (name, POLICY))


async def _find(request: ApiRequest) -> Statement:
    user = await request.readable_user()
    member = await find_member(request.connection, user.guid, request.path["member"])
    return await find_statement(request.connection, user.guid, member.guid, request.path["statement"])
