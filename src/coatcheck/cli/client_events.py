"""`coatcheck client events` and `deliveries`: what was announced to a client, and what its receivers answered.

They list what the API lists at /coatcheck/events and /coatcheck/deliveries: the last 30 days, newest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from coatcheck import app
from coatcheck.cli.clients import command_group
from coatcheck.cli.console import AsJson, print_rows
from coatcheck.cli.lookups import PAGE_SIZE, ClientGuid, PageNumber, named_client
from coatcheck.cli.runtime import read
from coatcheck.db import database
from coatcheck.errors import InvalidRequest, NotFound
from coatcheck.events import catalogue, delivery, endpoints, history
from coatcheck.model import paging

__all__ = ["command_group"]


@command_group.command("events")
def events(
    client: ClientGuid,
    event_type: Annotated[
        str | None, typer.Option("--type", help="Only this type, or a group such as 'token.*'.")
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", help="Only what came after this event, EVT-..., oldest first.")
    ] = None,
    page: PageNumber = 1,
    as_json: AsJson = False,
) -> None:
    """Lists the events of a client in the last 30 days, newest first, 100 at a time. JSON includes their data.

    Example: coatcheck client events CLT-... --type 'token.*'
    """
    allowed = catalogue.patterns(is_processor=False)
    if event_type is not None and event_type not in allowed:
        raise InvalidRequest(f"--type must be one of {', '.join(allowed)}.")

    async def find(
        services: app.Services, connection: database.Connection
    ) -> paging.Page[catalogue.StoredEvent]:
        await named_client(connection, client)
        try:
            return await history.list_events(
                connection,
                client,
                history.EventFilter(type=event_type, after=after),
                paging.PageRequest(page, PAGE_SIZE),
                services.clock.instant(),
            )
        except NotFound:
            raise NotFound(f"The client has no event {after} of the last 30 days.") from None

    rows = [_event(each, as_json=as_json) for each in read(find).items]
    print_rows(rows, as_json=as_json, empty="There is no such event of the last 30 days.")


@command_group.command("deliveries")
def deliveries(
    client: ClientGuid,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", help="Only deliveries to this webhook endpoint, WHE-...")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only deliveries that are pending, delivered or failed.")
    ] = None,
    page: PageNumber = 1,
    as_json: AsJson = False,
) -> None:
    """Lists the deliveries to a client in the last 30 days, newest first, 100 at a time. JSON includes the answers.

    Those to the URL of MX's webhooks have no endpoint.

    Example: coatcheck client deliveries CLT-... --status failed
    """
    if status is not None and status not in list(delivery.DeliveryStatus):
        raise InvalidRequest(f"--status must be one of {', '.join(delivery.DeliveryStatus)}.")

    async def find(services: app.Services, connection: database.Connection) -> paging.Page[history.Delivery]:
        await named_client(connection, client)
        if endpoint is not None:
            await _check_endpoint(connection, client, endpoint)
        return await history.list_deliveries(
            connection,
            client,
            history.DeliveryFilter(
                receiver_guid=endpoint,
                status=None if status is None else delivery.DeliveryStatus(status),
            ),
            paging.PageRequest(page, PAGE_SIZE),
            services.clock.instant(),
        )

    rows = [_delivery(client, each, as_json=as_json) for each in read(find).items]
    print_rows(rows, as_json=as_json, empty="There is no such delivery of the last 30 days.")


async def _check_endpoint(connection: database.Connection, client: str, guid: str) -> None:
    try:
        await endpoints.find_endpoint(connection, client, guid)
    except NotFound:
        raise NotFound(f"The client has no webhook endpoint {guid}.") from None


def _event(event: catalogue.StoredEvent, *, as_json: bool) -> Mapping[str, Any]:
    row = {
        "occurred_at": event.occurred_at,
        "type": event.type,
        "object": event.object,
        "sequence": event.sequence,
        "guid": event.guid,
    }
    return {**row, "due_at": event.due_at, "data": event.data} if as_json else row


def _delivery(client: str, made: history.Delivery, *, as_json: bool) -> Mapping[str, Any]:
    row = {
        "created_at": made.created_at,
        "type": made.type,
        "status": made.status,
        "attempts": made.attempts,
        "answer_status": made.last_status,
        "error": made.last_error,
        "endpoint_guid": None if made.receiver_guid == client else made.receiver_guid,
        "guid": made.guid,
    }
    if not as_json:
        return row
    return {
        **row,
        "event_guid": made.event_guid,
        "last_attempt_at": made.last_attempt_at,
        "next_attempt_at": made.next_attempt_at,
        "answer": made.last_answer,
    }
