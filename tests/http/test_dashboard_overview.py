"""The first page of the dashboard: what needs attention in each role, and what to do first."""

import re

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.staff.roles import Role
from tests.factories import Keyed, make_account, make_client, make_job, make_processor, make_token, make_user
from tests.portal_client import text_of
from tests.staff import Window, signed_in

CALM = "Nothing needs your attention"


@pytest.mark.parametrize(
    ("role", "steps"),
    [
        (Role.CLIENT_ADMIN, ("There is no user yet", "No webhook tells you")),
        (Role.CLIENT_AUDITOR, ("There is no user yet",)),
        (Role.PROCESSOR_DEVELOPER, ("You have no grant yet", "No webhook tells you")),
    ],
)
async def test_an_organisation_without_data_is_told_what_to_do_first(
    services: Services, http: httpx.AsyncClient, role: Role, steps: tuple[str, ...]
) -> None:
    make = make_client if role.startswith("client_") else make_processor
    organisation = await make(services)
    page = text_of(await (await signed_in(services, http, role, organisation)).get("/dashboard"))
    assert CALM in page
    for step in ("There is no user yet", "You have no grant yet", "No webhook tells you"):
        assert (step in page) is (step in steps), step


async def test_broken_connections_and_an_old_key_need_the_attention_of_a_developer(
    services: Services, http: httpx.AsyncClient, client: Keyed
) -> None:
    # One of another client, which is not counted.
    owners = client, await make_client(services)
    accounts = [await make_account(services, await make_user(services, owner)) for owner in owners]
    async with services.db.transaction() as connection:
        await connection.execute(
            "UPDATE member SET connection_status = 'CLOSED' WHERE guid = ANY (%s)",
            ([each.member_guid for each in accounts],),
        )
        await services.clients.rotate_key(connection, client.guid)
    developer = await signed_in(services, http, Role.CLIENT_DEVELOPER, client)
    page = text_of(await developer.get("/dashboard"))
    assert "1 connection is broken" in page
    assert "1 API key expires soon" in page
    supporter = await signed_in(services, http, Role.CLIENT_SUPPORT, client)
    assert "API key" not in text_of(await supporter.get("/dashboard"))
    assert accounts[0].member_guid in (await supporter.get("/dashboard/members")).text


async def test_a_job_that_failed_needs_the_attention_of_the_operator_alone(
    services: Services, http: httpx.AsyncClient, client: Keyed, processor: Keyed
) -> None:
    account = await make_account(services, await make_user(services, client))
    await make_token(services, account, processor)
    await make_job(services, account, outcome="FAILED", ended_at=services.clock.now())
    page = text_of(await (await signed_in(services, http)).get("/dashboard"))
    assert re.search(r"\d+ jobs? failed in the last seven days", page)
    staff: Window = await signed_in(services, http, Role.PROCESSOR_ADMIN, processor)
    page = text_of(await staff.get("/dashboard"))
    assert CALM in page
    assert "You have no grant yet" not in page
