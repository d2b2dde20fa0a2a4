"""The world of a sandbox as YAML."""

from coatcheck.emulator.worlds.export import export_world
from coatcheck.emulator.worlds.make import make_world
from coatcheck.http.request import CompleteResponse
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.sandbox_worlds import WorldResponseBody, world_body


async def read_world(request: ManagementRequest) -> CompleteResponse:
    world = await export_world(request.services)
    return CompleteResponse(200, world.encode(), "application/yaml")


async def put_world(request: ManagementRequest) -> WorldResponseBody:
    return world_body(await make_world(request.services, request.body, actor=request.client.guid))
