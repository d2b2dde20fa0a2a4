"""A client's end users."""

from dataclasses import replace

from coatcheck.api.paging import read_flag, read_page, read_text
from coatcheck.api.request import ApiRequest, ApiResponse
from coatcheck.api.schemas.requests import UserBody, given, parse
from coatcheck.events import catalogue
from coatcheck.events.catalogue import Action
from coatcheck.ids import new
from coatcheck.model.users import User, add_user, change_user, list_users, remove_user

SAYABLE = ("email", "id", "is_disabled", "metadata")


async def create(request: ApiRequest) -> bytes:
    nobody = User(
        guid=new("USR"),
        client_guid=request.client.guid,
        id=None,
        email=None,
        metadata=None,
        is_disabled=False,
        created_at=request.services.clock.now(),
    )
    fields = parse(request.body, UserBody).user
    user = replace(nobody, **given(fields, *SAYABLE))
    await add_user(request.connection, user)
    await _tell(request, user, Action.CREATED, skip=fields.skip_webhook is True)
    return request.presenter.show_user(user)


async def list_(request: ApiRequest) -> bytes:
    users = await list_users(
        request.connection,
        request.client.guid,
        read_page(request.query),
        id=read_text(request.query, "id"),
        email=read_text(request.query, "email"),
        is_disabled=read_flag(request.query, "is_disabled"),
    )
    return request.presenter.show_users(users)


async def read(request: ApiRequest) -> bytes:
    return request.presenter.show_user(await request.user())


async def update(request: ApiRequest) -> bytes:
    """Disabling ends every token on the user's data at once; enabling wakes those that have not expired."""
    fields = parse(request.body, UserBody).user
    user = replace(await request.user(lock=True), **given(fields, *SAYABLE))
    await change_user(request.connection, user)
    await _tell(request, user, Action.UPDATED, skip=fields.skip_webhook is True)
    return request.presenter.show_user(user)


async def delete(request: ApiRequest) -> ApiResponse:
    """For good, with the user's data key: nothing sealed opens again, wherever a copy of it lies.

    The user goes before the key, in the order in which a job that is saving locks them.
    """
    user = await request.user()
    await remove_user(request.connection, user.guid)
    await request.services.vault.delete(request.connection, owner_guid=user.guid)
    await _tell(request, user, Action.DELETED)
    return ApiResponse(204)


async def _tell(request: ApiRequest, user: User, action: Action, *, skip: bool = False) -> None:
    event = catalogue.user(action, user, request.services.clock.now())
    await request.record(f"user.{action}", user.guid, event, notify=not skip)
