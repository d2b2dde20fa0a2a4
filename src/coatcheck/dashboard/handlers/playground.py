"""A sandbox's playground: a token for the processor in one press, as the sandbox API gives it."""

from starlette.responses import Response

from coatcheck.connectors.sandbox.personas import PERSONAS
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.emulator.connections import NewConnection, NewToken, grant
from coatcheck.errors import InvalidRequest, Unprocessable
from coatcheck.model.clients import clients_of_processor


async def show_form(request: DashboardRequest) -> Response:
    return request.page("playground", personas=list(PERSONAS), granted=None)


async def give_token(request: DashboardRequest) -> Response:
    """Connects an account at the sandbox bank for a client of the processor, and shows a token that reads it.

    Raises:
        InvalidRequest: the persona is unknown.
        Unprocessable: the processor works for no client.
    """
    persona = request.field("persona") or None
    if persona is not None and persona not in PERSONAS:
        raise InvalidRequest
    processor = request.processor_guid
    async with request.services.db.connection() as connection:
        clients = await clients_of_processor(connection, processor)
    client = next((each for each in clients if not each.is_disabled), None)
    if client is None:
        raise Unprocessable("No client has enabled this processor. Ask the operator.")
    granted = await grant(
        request.services, client, NewToken(processor, connection=NewConnection(persona=persona))
    )
    return request.page(
        "playground",
        personas=list(PERSONAS),
        granted=granted,
        base_url=request.services.settings.base_url,
    )
