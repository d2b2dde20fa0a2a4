"""Users."""

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from coatcheck.http.decoding import ALLOWED, ChangeSchema, Email, RequestSchema, Text
from coatcheck.http.doc import UserGuid, UserOwnId, doc
from coatcheck.http.encoding import to_schema, to_schemas
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.model.paging import Page
from coatcheck.model.users import User

# `$` alone also matches before a trailing line break.
UserId: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]+(?!\n)$", max_length=255, extra={ALLOWED: "ASCII letters, digits, - and _"}
    ),
]
"""A client's own identifier of a user: letters, digits, `-` and `_` (MX docs: users)."""


class UserRequest(ChangeSchema, frozen=True, kw_only=True):
    email: Annotated[
        Email | UnsetType | None, doc("The user's e-mail address. Null removes it.", "ann@example.com")
    ] = UNSET
    id: Annotated[
        UserId | UnsetType | None,
        doc(
            "Your own identifier of the user: letters, digits, `-` and `_`. It is unique among your users, "
            "and paths accept it in place of the guid."
        ),
    ] = UNSET
    is_disabled: Annotated[
        bool | UnsetType,
        doc("Whether the user is disabled. Then nobody reads the user's data, and no job runs."),
    ] = UNSET
    metadata: Annotated[
        Text | UnsetType | None, doc("Text of your own, returned as it is.", '{"plan": "gold"}')
    ] = UNSET
    skip_webhook: Annotated[bool | UnsetType, doc("Whether no webhook is sent about this request.")] = UNSET


class UserRequestBody(RequestSchema, frozen=True, kw_only=True):
    """Creates or updates a user."""

    user: Annotated[UserRequest, doc("The user.")]


class UserResponse(Struct, frozen=True, kw_only=True):
    email: Annotated[str | None, doc("The user's e-mail address.", "ann@example.com")]
    guid: UserGuid
    id: UserOwnId
    is_disabled: Annotated[bool, doc("Whether the user is disabled.", False)]
    metadata: Annotated[str | None, doc("Your own text.", '{"plan": "gold"}')]


class UserResponseBody(Struct, frozen=True):
    user: Annotated[UserResponse, doc("The user.")]


class UsersResponseBody(Struct, frozen=True):
    users: Annotated[list[UserResponse], doc("The users on this page, the oldest first.")]
    pagination: Pagination


def user_body(user: User) -> UserResponseBody:
    return UserResponseBody(to_schema(user, UserResponse))


def users_body(users: Page[User]) -> UsersResponseBody:
    return UsersResponseBody(to_schemas(users.items, UserResponse), pagination(users))
