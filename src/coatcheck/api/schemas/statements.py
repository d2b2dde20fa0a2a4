"""Statements."""

from typing import Annotated

from msgspec import Struct

from coatcheck.http.doc import STATEMENT, AccountGuid, CreatedAt, MemberGuid, UpdatedAt, UserGuid, doc
from coatcheck.http.encoding import to_schema
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.model.paging import Page
from coatcheck.model.statements import Statement


class StatementResponse(Struct, frozen=True, kw_only=True):
    account_guid: AccountGuid
    content_hash: Annotated[
        str,
        doc(
            "The SHA-256 of the file, in hexadecimal.",
            "ca53785b812d00ef821c3d94bfd6e5bbc0020504410589b7ea8552169f021981",
        ),
    ]
    created_at: CreatedAt
    guid: Annotated[str, doc("The guid of the statement.", STATEMENT)]
    member_guid: MemberGuid
    updated_at: UpdatedAt
    uri: Annotated[str, doc("The path of the PDF.", "/users/USR-.../members/MBR-.../statements/STA-....pdf")]
    user_guid: UserGuid


class StatementResponseBody(Struct, frozen=True):
    statement: Annotated[StatementResponse, doc("The statement.")]


class StatementsResponseBody(Struct, frozen=True):
    statements: Annotated[list[StatementResponse], doc("The statements on this page.")]
    pagination: Pagination


def statement_body(statement: Statement) -> StatementResponseBody:
    return StatementResponseBody(_statement(statement))


def statements_body(statements: Page[Statement]) -> StatementsResponseBody:
    return StatementsResponseBody([_statement(each) for each in statements.items], pagination(statements))


def _statement(statement: Statement) -> StatementResponse:
    path = f"/users/{statement.user_guid}/members/{statement.member_guid}/statements/{statement.guid}.pdf"
    return to_schema(statement, StatementResponse, uri=path)
