"""Users."""

from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.users import (
    UserRequest,
    UserRequestBody,
    UserResponseBody,
    UsersResponseBody,
    user_body,
    users_body,
)
from coatcheck.directory.users import WRITABLE
from coatcheck.http.decoding import given_fields, parse
from coatcheck.http.query import read_flag, read_page, read_text
from coatcheck.http.request import CompleteResponse
from coatcheck.model.users import list_users

ATTESTATION_HEADER = "Coatcheck-Attestation"


async def create(request: ApiRequest) -> UserResponseBody:
    fields = parse(request.body, UserRequestBody).user
    user = await request.services.users.create(
        request.connection,
        request.client.guid,
        given_fields(fields, *WRITABLE),
        actor=request.client.guid,
        notify=_notifies(request, fields),
    )
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
    fields = parse(request.body, UserRequestBody).user
    user = await request.services.users.update(
        request.connection,
        await request.user(),
        given_fields(fields, *WRITABLE),
        actor=request.client.guid,
        notify=_notifies(request, fields),
    )
    return user_body(user)


async def delete(request: ApiRequest) -> CompleteResponse:
    """The header names the attestation, because MX's answer has no body."""
    attestation = await request.services.users.delete(
        request.connection,
        await request.user(),
        actor=request.client.guid,
        notify=not request.skips_webhook,
    )
    return CompleteResponse(204, headers=((ATTESTATION_HEADER, attestation.guid),))


def _notifies(request: ApiRequest, fields: UserRequest) -> bool:
    return not request.skips_webhook and fields.skip_webhook is not True
