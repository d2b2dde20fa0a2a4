"""A client's end users."""

from dataclasses import replace

from coatcheck.api.paging import read_flag, read_page, read_text
from coatcheck.api.request import Call, Reply
from coatcheck.api.schemas.requests import UserBody, given, parse
from coatcheck.events import catalogue
from coatcheck.events.catalogue import Action
from coatcheck.ids import new
from coatcheck.model.users import User, add_user, change_user, list_users, remove_user

SAYABLE = ("email", "id", "is_disabled", "metadata")


async def create(call: Call) -> bytes:
    nobody = User(
        guid=new("USR"),
        client_guid=call.client.guid,
        id=None,
        email=None,
        metadata=None,
        is_disabled=False,
        created_at=call.house.clock.now(),
    )
    fields = parse(call.body, UserBody).user
    user = replace(nobody, **given(fields, *SAYABLE))
    await add_user(call.connection, user)
    await _tell(call, user, Action.CREATED, skip=fields.skip_webhook is True)
    return call.wire.show_user(user)


async def list_(call: Call) -> bytes:
    users = await list_users(
        call.connection,
        call.client.guid,
        read_page(call.query),
        id=read_text(call.query, "id"),
        email=read_text(call.query, "email"),
        is_disabled=read_flag(call.query, "is_disabled"),
    )
    return call.wire.show_users(users)


async def read(call: Call) -> bytes:
    return call.wire.show_user(await call.user())


async def update(call: Call) -> bytes:
    """Disabling ends every token on the user's data at once; enabling wakes those that have not expired."""
    fields = parse(call.body, UserBody).user
    user = replace(await call.user(hold=True), **given(fields, *SAYABLE))
    await change_user(call.connection, user)
    await _tell(call, user, Action.UPDATED, skip=fields.skip_webhook is True)
    return call.wire.show_user(user)


async def delete(call: Call) -> Reply:
    """For good, with the user's data key: nothing sealed opens again, wherever a copy of it lies.

    The user goes before the key, in the order in which a job that is saving locks them.
    """
    user = await call.user()
    await remove_user(call.connection, user.guid)
    await call.house.vault.forget(call.connection, owner_guid=user.guid)
    await _tell(call, user, Action.DELETED)
    return Reply(204)


async def _tell(call: Call, user: User, action: Action, *, skip: bool = False) -> None:
    await call.record(f"user.{action}", user.guid)
    await call.house.announcer.announce(
        call.connection,
        client_guid=call.client.guid,
        event=catalogue.user(action, user, call.house.clock.now()),
        skip=skip or call.skips_webhook,
    )
