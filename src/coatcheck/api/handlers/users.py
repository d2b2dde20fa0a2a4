"""Users."""

from dataclasses import replace

from coatcheck.api.query import read_flag, read_page, read_text
from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.decoding import given_fields, parse
from coatcheck.api.schemas.users import (
    UserRequestBody,
    UserResponseBody,
    UsersResponseBody,
    user_body,
    users_body,
)
from coatcheck.events import catalogue
from coatcheck.events.catalogue import Action
from coatcheck.ids import new
from coatcheck.model.users import User, add_user, change_user, list_users, remove_user

WRITABLE = ("email", "id", "is_disabled", "metadata")


async def create(request: ApiRequest) -> UserResponseBody:
    empty = User(
        guid=new("USR"),
        client_guid=request.client.guid,
        id=None,
        email=None,
        metadata=None,
        is_disabled=False,
        created_at=request.services.clock.now(),
    )
    fields = parse(request.body, UserRequestBody).user
    user = replace(empty, **given_fields(fields, *WRITABLE))
    await add_user(request.connection, user)
    await _record(request, user, Action.CREATED, skip=fields.skip_webhook is True)
    return user_body(user)


async def list_(request: ApiRequest) -> UsersResponseBody:
    users = await list_users(
        request.connection,
        request.client.guid,
        read_page(request.query),
        id=read_text(request.query, "id"),
        email=read_text(request.query, "email"),
        is_disabled=read_flag(request.query, "is_disabled"),
    )
    return users_body(users)


async def read(request: ApiRequest) -> UserResponseBody:
    return user_body(await request.user())


async def update(request: ApiRequest) -> UserResponseBody:
    """While a user is disabled, no token reads its data; unexpired tokens work again when it is enabled."""
    fields = parse(request.body, UserRequestBody).user
    user = replace(await request.user(lock=True), **given_fields(fields, *WRITABLE))
    await change_user(request.connection, user)
    await _record(request, user, Action.UPDATED, skip=fields.skip_webhook is True)
    return user_body(user)


async def delete(request: ApiRequest) -> None:
    """Deletes the user and its data key, without which no copy of its sealed records can be decrypted.

    The user is deleted before the key: a job that saves results locks them in this order.
    """
    user = await request.user()
    await remove_user(request.connection, user.guid)
    await request.services.vault.delete_owner(request.connection, user.guid)
    await _record(request, user, Action.DELETED)


async def _record(request: ApiRequest, user: User, action: Action, *, skip: bool = False) -> None:
    event = catalogue.user(action, user, request.services.clock.now())
    await request.record(f"user.{action}", user.guid, event, notify=not skip)
