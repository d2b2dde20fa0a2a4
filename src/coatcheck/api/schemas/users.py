"""Users."""

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from coatcheck.http.decoding import ChangeSchema, Email, RequestSchema, Text
from coatcheck.http.encoding import to_schema, to_schemas
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.paging import Page
from coatcheck.model.users import User

# `$` alone also matches before a trailing line break.
UserId: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(?!\n)$", max_length=255)]
"""A client's own identifier of a user: letters, digits, `-` and `_` (MX docs: users)."""


class UserRequest(ChangeSchema, frozen=True, kw_only=True):
    email: Email | UnsetType | None = UNSET
    id: UserId | UnsetType | None = UNSET
    is_disabled: bool | UnsetType = UNSET
    metadata: Text | UnsetType | None = UNSET
    skip_webhook: bool | UnsetType = UNSET


class UserRequestBody(RequestSchema, frozen=True, kw_only=True):
    """Creates or updates a user."""

    user: UserRequest


class UserResponse(Struct, frozen=True, kw_only=True):
    email: str | None
    guid: str
    id: str | None
    is_disabled: bool
    metadata: str | None


class UserResponseBody(Struct, frozen=True):
    user: UserResponse


class UsersResponseBody(Struct, frozen=True):
    users: list[UserResponse]
    pagination: PaginationResponse


def user_body(user: User) -> UserResponseBody:
    return UserResponseBody(to_schema(user, UserResponse))


def users_body(users: Page[User]) -> UsersResponseBody:
    return UsersResponseBody(to_schemas(users.items, UserResponse), pagination(users))
