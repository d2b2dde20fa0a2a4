"""Connections and tokens of a sandbox in one call, and the reset."""

from coatcheck.emulator import connections, reset
from coatcheck.http.decoding import parse
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.sandbox_connections import (
    ConnectionRequestBody,
    ConnectionResponseBody,
    ResetRequestBody,
    SandboxTokenRequestBody,
    SandboxTokenResponseBody,
    connection_body,
    sandbox_token_body,
)


async def create_connection(request: ManagementRequest) -> ConnectionResponseBody:
    body = parse(request.body, ConnectionRequestBody) if request.body else ConnectionRequestBody()
    new = body.connection.new_connection
    return connection_body(await connections.connect(request.services, request.client, new))


async def create_token(request: ManagementRequest) -> SandboxTokenResponseBody:
    new = parse(request.body, SandboxTokenRequestBody).token.new_token
    return sandbox_token_body(await connections.grant(request.services, request.client, new))


async def reset_users(request: ManagementRequest) -> None:
    body = parse(request.body, ResetRequestBody) if request.body else ResetRequestBody()
    await reset.reset(request.services, request.client, body.reset.user_guid)
