"""The world of a sandbox, as it was made from a file."""

from typing import Annotated

from msgspec import Struct

from coatcheck.emulator.worlds.make import Made, MadeUser
from coatcheck.http.doc import (
    ACCOUNT,
    OTHER_ACCOUNT,
    PROCESSOR,
    MemberGuid,
    UserGuid,
    UserOwnId,
    doc,
)


class WorldMemberResponse(Struct, frozen=True):
    guid: MemberGuid
    institution_code: Annotated[str, doc("The code of the institution.", "mxbank")]
    connection_status: Annotated[str | None, doc("The status after its jobs, as in MX's API.", "CONNECTED")]
    account_guids: Annotated[list[str], doc("The guids of its accounts.", [ACCOUNT, OTHER_ACCOUNT])]


class WorldUserResponse(Struct, frozen=True):
    guid: UserGuid
    id: UserOwnId
    members: Annotated[list[WorldMemberResponse], doc("In the order of the file.")]


class WorldClientResponse(Struct, frozen=True):
    guid: Annotated[str, doc("The guid of the client.", "CLT-0197c49e-1a2b-7c3d-8e4f-5a6b7c8d9e0f")]
    name: Annotated[str, doc("The name by which it was found.", "Sandbox client")]
    api_key: Annotated[str | None, doc("Of a new client, this once. Null: its keys are unchanged.")]
    users: Annotated[list[WorldUserResponse], doc("In the order of the file.")]


class WorldProcessorResponse(Struct, frozen=True):
    guid: Annotated[str, doc("The guid of the processor.", PROCESSOR)]
    name: Annotated[str, doc("The name by which it was found.", "Payments Inc")]
    api_key: Annotated[str | None, doc("Of a new processor, this once. Null: its keys are unchanged.")]


class WorldResponse(Struct, frozen=True):
    processors: Annotated[list[WorldProcessorResponse], doc("In the order of the file.")]
    clients: Annotated[list[WorldClientResponse], doc("In the order of the file.")]


class WorldResponseBody(Struct, frozen=True):
    world: Annotated[WorldResponse, doc("The world as it was made.")]


def world_body(made: Made) -> WorldResponseBody:
    processors = [WorldProcessorResponse(each.guid, each.name, each.api_key) for each in made.processors]
    clients = [
        WorldClientResponse(each.guid, each.name, each.api_key, [_user(user) for user in each.users])
        for each in made.clients
    ]
    return WorldResponseBody(WorldResponse(processors, clients))


def _user(made: MadeUser) -> WorldUserResponse:
    members = [
        WorldMemberResponse(
            each.member.guid,
            each.member.institution_code,
            each.member.connection_status,
            list(each.account_guids),
        )
        for each in made.members
    ]
    return WorldUserResponse(made.user.guid, made.user.id, members)
