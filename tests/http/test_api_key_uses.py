"""When an API key was last used, which the pages of keys show."""

from datetime import datetime, timedelta

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.http.key_use import INTERVAL
from coatcheck.staff.roles import Role
from tests.factories import Keyed, make_client
from tests.portal_client import text_of
from tests.staff import signed_in


async def last_used(services: Services, owner: Keyed) -> list[datetime | None]:
    async with services.db.connection() as connection:
        return [key.last_used_at for key in await services.api_keys.list(connection, owner.guid)]


@pytest.mark.parametrize("owner_name", ["client", "processor"])
async def test_a_key_was_last_used_when_it_was_accepted_to_within_an_hour(
    services: Services,
    clock: MovableClock,
    http: httpx.AsyncClient,
    client: Keyed,
    processor: Keyed,
    owner_name: str,
) -> None:
    owner = {"client": client, "processor": processor}[owner_name]
    assert await last_used(services, owner) == [None]
    first = clock.now()
    for expected, wait in ((first, INTERVAL / 2), (first, INTERVAL / 2), (first + INTERVAL, timedelta())):
        assert (await http.get("/coatcheck/grants", auth=owner.auth)).status_code == 200
        (found,) = await last_used(services, owner)
        assert found is not None
        # The clock goes on by itself too.
        assert timedelta() <= found - expected < timedelta(minutes=5)
        clock.advance(wait)


async def test_the_key_in_a_form_of_an_oauth_client_counts_too(
    services: Services, http: httpx.AsyncClient, processor: Keyed
) -> None:
    guid, key = processor.auth
    form = {"client_id": guid, "client_secret": key, "token": "cct_unknown"}
    assert (await http.post("/oauth/introspect", data=form)).status_code == 200
    assert None not in await last_used(services, processor)


async def test_what_is_refused_or_needs_no_key_is_no_use_of_a_key(
    services: Services, http: httpx.AsyncClient, client: Keyed, processor: Keyed
) -> None:
    other = await make_client(services)
    for auth in ((other.guid, client.auth[1]), (client.guid, other.auth[1]), (client.guid, "cck_wrong")):
        assert (await http.get("/users", auth=auth)).status_code == 401
    assert (await http.get("/health", auth=client.auth)).status_code == 200
    assert (await http.get("/no/such/path", auth=client.auth)).status_code == 404
    wrong = {"client_id": processor.guid, "client_secret": client.auth[1], "token": "cct_unknown"}
    assert (await http.post("/oauth/introspect", data=wrong)).status_code == 401
    for each in (client, other, processor):
        assert await last_used(services, each) == [None]


async def test_the_page_of_keys_says_when_each_was_used(
    services: Services, http: httpx.AsyncClient, client: Keyed
) -> None:
    async with services.db.transaction() as connection:
        rotated = await services.clients.rotate_key(connection, client.guid)
    developer = await signed_in(services, http, Role.CLIENT_DEVELOPER, client)
    operator = await signed_in(services, http)
    for window, path in ((developer, "/dashboard/api-keys"), (operator, f"/dashboard/clients/{client.guid}")):
        assert text_of(await window.get(path)).count("not used yet") == 2
    await http.get("/users", auth=(client.guid, rotated.api_key))
    for window, path in ((developer, "/dashboard/api-keys"), (operator, f"/dashboard/clients/{client.guid}")):
        page = text_of(await window.get(path))
        assert (page.count("last used"), page.count("not used yet")) == (1, 1)
