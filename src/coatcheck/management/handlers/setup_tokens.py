"""SimpleFIN setup tokens."""

from coatcheck.http.decoding import parse
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.setup_tokens import (
    SetupTokenRequestBody,
    SetupTokenResponseBody,
    setup_token_body,
)
from coatcheck.model.users import find_user


async def create_setup_token(request: ManagementRequest) -> SetupTokenResponseBody:
    new = parse(request.body, SetupTokenRequestBody).setup_token.new_setup_token
    user = await find_user(request.connection, request.client.guid, request.path["user"])
    return setup_token_body(
        await request.services.apps.create_setup_token(
            request.connection, user, new, actor=request.client.guid
        )
    )
