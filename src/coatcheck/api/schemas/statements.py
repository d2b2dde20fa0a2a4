"""Statements."""

from msgspec import Struct

from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.paging import Page
from coatcheck.model.statements import Statement


class StatementResponse(Struct, frozen=True, kw_only=True):
    account_guid: str
    content_hash: str
    created_at: Timestamp
    guid: str
    member_guid: str
    updated_at: Timestamp
    uri: str
    user_guid: str


class StatementResponseBody(Struct, frozen=True):
    statement: StatementResponse


class StatementsResponseBody(Struct, frozen=True):
    statements: list[StatementResponse]
    pagination: PaginationResponse


def statement_body(statement: Statement) -> StatementResponseBody:
    return StatementResponseBody(_statement(statement))


def statements_body(statements: Page[Statement]) -> StatementsResponseBody:
    return StatementsResponseBody([_statement(each) for each in statements.items], pagination(statements))


def _statement(statement: Statement) -> StatementResponse:
    path = f"/users/{statement.user_guid}/members/{statement.member_guid}/statements/{statement.guid}.pdf"
    return to_schema(statement, StatementResponse, uri=path)
