"""Statements of a member's accounts, and the documents themselves."""

from coatcheck.api.paging import read_page
from coatcheck.api.request import Call, Reply
from coatcheck.errors import NotFound
from coatcheck.model.members import find_member
from coatcheck.model.statements import Statement, find_statement, list_statements
from coatcheck.vault.vault import ClientReader, SecretKind

VENDOR_PDF = "application/vnd.mx.api.v1+pdf"
PDF = "application/pdf"
POLICY = ("Content-Security-Policy", "default-src 'none'; sandbox")
"""A bank's document is a stranger's: opened in a browser, it runs nothing and loads nothing."""


async def list_(call: Call) -> bytes:
    user = await call.readable_user()
    member = await find_member(call.connection, user.guid, call.path["member"])
    statements = await list_statements(call.connection, user.guid, member.guid, read_page(call.query))
    return call.wire.show_statements(statements)


async def read(call: Call) -> bytes:
    return call.wire.show_statement(await _find(call))


async def download(call: Call) -> Reply:
    """The PDF, under MX's media type, or under the registered one where that alone is accepted."""
    statement = await _find(call)
    document = await call.house.vault.show_secret(
        call.connection,
        owner_guid=statement.user_guid,
        record_guid=statement.guid,
        kind=SecretKind.STATEMENT,
        reader=ClientReader(
            call.client.guid, statement.user_guid, statement.member_guid, statement.account_guid
        ),
    )
    if document is None:
        raise NotFound
    accept = call.headers.get("accept", "").lower()
    media_type = PDF if PDF in accept and VENDOR_PDF not in accept else VENDOR_PDF
    name = ("Content-Disposition", f'attachment; filename="{statement.guid}.pdf"')
    return Reply(200, document, media_type, (name, POLICY))


async def _find(call: Call) -> Statement:
    user = await call.readable_user()
    member = await find_member(call.connection, user.guid, call.path["member"])
    return await find_statement(call.connection, user.guid, member.guid, call.path["statement"])
