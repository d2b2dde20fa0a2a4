"""The deliveries to every endpoint of an organisation: found by the filters of the URL, and made again."""

import re
from collections.abc import Mapping
from datetime import timedelta

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.events.endpoints import EndpointStatus
from coatcheck.events.history import REDELIVERED_AT_ONCE
from coatcheck.events.mx_events import Event
from coatcheck.staff.roles import Role
from tests.factories import Keyed, make_client, make_processor
from tests.portal_client import text_of
from tests.staff import Window, signed_in

PAGE = "/dashboard/deliveries"
AGAIN = f"{PAGE}/redeliver"


@pytest.fixture
async def client(services: Services) -> Keyed:
    return await make_client(services, webhook_url="https://hooks.example/mx")


@pytest.fixture
async def window(services: Services, http: httpx.AsyncClient, client: Keyed) -> Window:
    return await signed_in(services, http, Role.CLIENT_DEVELOPER, client, name="Devi Rao")


async def add_endpoint(services: Services, owner: Owner, name: str) -> str:
    async with services.db.transaction() as connection:
        new = EndpointChanges(url=f"https://{name}.example/hooks")
        return (await services.webhook_endpoints.create(connection, owner, new)).endpoint.guid


async def deliver(
    services: Services, owner: Owner, endpoint: str, status: str = "failed", type_: str = "token.revoked"
) -> str:
    """A delivery of an example that was attempted now, with this result."""
    async with services.db.transaction() as connection:
        made = await services.webhook_endpoints.test(connection, owner, endpoint, type_)
    await attempt(services, made.guid, status)
    return made.guid


async def attempt(services: Services, guid: str, status: str) -> None:
    async with services.db.transaction() as connection:
        await connection.execute(
            """UPDATE delivery SET status = %s, last_attempt_at = %s, attempts = attempts + 1,
                                   next_attempt_at = CASE %s WHEN 'pending' THEN next_attempt_at END
               WHERE guid = %s""",
            (status, services.clock.instant(), status, guid),
        )


@pytest.fixture
def owner(client: Keyed) -> Owner:
    return Owner(client.guid, is_processor=False)


@pytest.fixture
async def made(services: Services, clock: MovableClock, owner: Owner) -> Mapping[str, str]:
    """Deliveries to two endpoints and to MX's URL, two days ago and now, by a name. Before anyone signs in."""
    first, second = [await add_endpoint(services, owner, name) for name in ("first", "second")]
    found = {"first": first, "second": second, "old": await deliver(services, owner, first)}
    clock.advance(timedelta(days=2))
    found["failed 1"] = await deliver(services, owner, first, type_="member.created")
    found["failed 2"] = await deliver(services, owner, second)
    found["delivered"] = await deliver(services, owner, second, "delivered")
    found["pending"] = await deliver(services, owner, second, "pending", "user.created")
    async with services.db.transaction() as connection:
        await services.publisher.publish(
            connection, client_guid=owner.guid, event=Event("USER", '{"user":{}}')
        )
        cursor = await connection.execute("SELECT guid FROM delivery WHERE receiver_guid = %s", (owner.guid,))
        ((found["mx"],),) = await cursor.fetchall()
    return found


def listed(page: httpx.Response, made: Mapping[str, str]) -> set[str]:
    assert page.status_code == 200, page.text
    guids = re.findall(r"/deliveries/(DLV-[0-9a-f-]{36})", page.text)
    return {name for name, guid in made.items() if guid in guids}


async def test_deliveries_to_all_endpoints_are_found_by_endpoint_type_state_and_day(
    services: Services, made: Mapping[str, str], window: Window, client: Keyed
) -> None:
    now = services.clock.now()
    today, yesterday = (f"{now - timedelta(days=days):%Y-%m-%d}" for days in (0, 1))
    everything = {"old", "failed 1", "failed 2", "delivered", "pending", "mx"}
    for query, found in (
        ("", everything),
        ("?status=failed", {"old", "failed 1", "failed 2"}),
        (f"?status=failed&since={today}", {"failed 1", "failed 2"}),
        (f"?until={yesterday}", {"old"}),
        (f"?since={today}&until={today}", everything - {"old"}),
        ("?until=9999-12-31", everything),
        (f"?endpoint={made['first']}", {"old", "failed 1"}),
        (f"?endpoint={client.guid}", {"mx"}),
        ("?type=token.*", {"old", "failed 2", "delivered"}),
        ("?type=user.created", {"pending"}),
        ("?type=USER&status=pending", {"mx"}),
        (f"?type=token.revoked&status=failed&endpoint={made['second']}", {"failed 2"}),
        ("?endpoint=WHE-unknown", set()),
    ):
        assert listed(await window.get(PAGE + query), made) == found, query
    page = await window.get(f"{PAGE}?status=failed")
    assert "https://first.example/hooks" in text_of(page)
    assert f"?status=failed&amp;since={today}" in page.text
    assert "3 entries" in text_of(page)


@pytest.mark.parametrize(
    "query", ["status=king", "type=king", "type=*", "since=yesterday", "until=x", "endpoint=%00"]
)
async def test_a_filter_that_cannot_be_is_refused(window: Window, query: str) -> None:
    for path in (PAGE, AGAIN):
        assert (await window.get(f"{path}?{query}")).status_code == 400
    answer = await window.post(f"{AGAIN}?{query}", on=PAGE)
    assert answer.status_code == 400


async def test_the_list_has_pages_that_keep_the_filters(
    services: Services, window: Window, owner: Owner
) -> None:
    endpoint = await add_endpoint(services, owner, "first")
    for _ in range(26):
        await deliver(services, owner, endpoint)
    first = await window.get(f"{PAGE}?status=failed")
    assert "?status=failed&amp;page=2" in first.text
    second = await window.get(f"{PAGE}?status=failed&page=2")
    assert len(re.findall(r"/deliveries/DLV-", second.text)) == 1


async def test_each_organisation_sees_and_repeats_its_own_deliveries_alone(
    services: Services, http: httpx.AsyncClient, client: Keyed, made: Mapping[str, str]
) -> None:
    processor = await make_processor(services, client)
    own = Owner(processor.guid, is_processor=True)
    guid = await deliver(services, own, await add_endpoint(services, own, "own"))
    for role, organisation, found in (
        (Role.PROCESSOR_DEVELOPER, processor, {"own"}),
        (Role.CLIENT_ADMIN, await make_client(services), set()),
    ):
        stranger = await signed_in(services, http, role, organisation)
        assert listed(await stranger.get(PAGE), {**made, "own": guid}) == found
        assert listed(await stranger.get(f"{PAGE}?endpoint={made['first']}"), made) == set()
        again = await stranger.post(f"{AGAIN}?status=failed&endpoint={made['first']}", on=PAGE)
        assert "0 deliveries" in text_of(again)
    processors = await signed_in(services, http, Role.PROCESSOR_DEVELOPER, processor)
    assert (await processors.get(f"{PAGE}?type=user.created")).status_code == 400
    assert "Webhook URL (format of MX)" not in text_of(await processors.get(PAGE))


async def pending(services: Services, owner: Owner) -> list[str]:
    """The types of the events that wait to be delivered, in their order."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT e.type FROM delivery d JOIN event e ON e.guid = d.event_guid
               WHERE d.owner_guid = %s AND d.next_attempt_at IS NOT NULL ORDER BY d.position""",
            (owner.guid,),
        )
        return [type_ for (type_,) in await cursor.fetchall()]


async def test_the_failed_ones_of_today_are_delivered_again_once(
    services: Services, clock: MovableClock, made: Mapping[str, str], window: Window, owner: Owner
) -> None:
    before = await pending(services, owner)
    query = f"?status=failed&since={services.clock.now():%Y-%m-%d}"
    page = await window.get(PAGE + query)
    assert f"{AGAIN}{query.replace('&', '&amp;')}" in page.text
    assert "2 deliveries can be made again" in text_of(await window.get(AGAIN + query))
    assert await pending(services, owner) == before
    assert "2 deliveries are made again" in text_of(await window.post(AGAIN + query))
    assert sorted(await pending(services, owner)) == sorted([*before, "member.created", "token.revoked"])
    assert "Nothing of this list" in text_of(await window.get(AGAIN + query))
    clock.advance(timedelta(minutes=1))
    # The delivery of the first is made; the second fails again, and can be made again.
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT a.guid FROM delivery d JOIN delivery a USING (event_guid, receiver_guid)
               WHERE d.guid = ANY (%s) AND a.guid <> d.guid ORDER BY d.position""",
            ([made["failed 1"], made["failed 2"]],),
        )
        (first,), (second,) = await cursor.fetchall()
    await attempt(services, first, "delivered")
    await attempt(services, second, "failed")
    assert "1 delivery is made again" in text_of(await window.post(AGAIN + query))
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::json -> 'detail' ->> 'deliveries', body::json -> 'detail' ->> 'actor_name'
               FROM audit_entry WHERE body::json ->> 'action' = 'deliveries.redelivered'
                 AND body::json ->> 'subject' = %s ORDER BY number""",
            (owner.guid,),
        )
        assert await cursor.fetchall() == [("2", "Devi Rao"), ("1", "Devi Rao")]


async def test_what_goes_to_an_endpoint_that_is_disabled_or_deleted_is_left_out(
    services: Services, made: Mapping[str, str], window: Window, owner: Owner
) -> None:
    async with services.db.transaction() as connection:
        endpoints = services.webhook_endpoints
        await endpoints.update(
            connection, owner, made["first"], EndpointChanges(status=EndpointStatus.DISABLED)
        )
        await endpoints.delete(connection, owner, made["second"])
    await attempt(services, made["mx"], "failed")
    assert "1 delivery is made again" in text_of(await window.post(AGAIN))
    assert await pending(services, owner) == ["USER"]


async def test_more_than_a_thousand_are_delivered_again_in_parts(
    services: Services, window: Window, owner: Owner
) -> None:
    endpoint = await add_endpoint(services, owner, "first")
    async with services.db.transaction() as connection:
        await connection.execute(
            """WITH made AS (
                   INSERT INTO event (guid, owner_guid, format, type, payload, occurred_at, due_at)
                   SELECT 'EVT-' || %(endpoint)s || n, %(owner)s, 'sample', 'token.revoked', '{}', %(now)s, %(now)s
                   FROM generate_series(1, %(many)s) AS n RETURNING guid, position
               )
               INSERT INTO delivery (guid, event_guid, event_at, receiver_guid, owner_guid, position, status,
                                     last_attempt_at, created_at)
               SELECT 'DLV-' || md5(guid)::uuid, guid, %(now)s, %(endpoint)s, %(owner)s, position, 'failed',
                      %(now)s, %(now)s
               FROM made""",
            {
                "endpoint": endpoint,
                "owner": owner.guid,
                "many": REDELIVERED_AT_ONCE + 1,
                "now": services.clock.instant(),
            },
        )
    first = await window.post(f"{AGAIN}?status=failed")
    assert f"{REDELIVERED_AT_ONCE} deliveries are made again" in text_of(first)
    assert "Deliver the rest again" in text_of(first)
    second = await window.post(f"{AGAIN}?status=failed")
    assert "1 delivery is made again" in text_of(second)
    assert "the rest" not in text_of(second)
    assert len(await pending(services, owner)) == REDELIVERED_AT_ONCE + 1


async def test_a_delivery_leads_to_its_endpoint_if_it_has_one(
    services: Services, made: Mapping[str, str], window: Window, owner: Owner
) -> None:
    async with services.db.transaction() as connection:
        await services.webhook_endpoints.delete(connection, owner, made["second"])
    for name, link, text in (
        ("failed 1", True, "https://first.example/hooks"),
        ("failed 2", False, "a deleted endpoint"),
        ("mx", False, "Webhook URL (format of MX)"),
    ):
        page = await window.get(f"{PAGE}/{made[name]}")
        assert text in text_of(page)
        assert ("/dashboard/webhooks/" in page.text) is link
        assert f'href="{PAGE}"' in page.text.partition("<main")[2]


async def test_the_first_page_leads_to_the_failed_deliveries(made: Mapping[str, str], window: Window) -> None:
    page = await window.get("/dashboard")
    assert "3 deliveries of webhooks failed" in text_of(page)
    assert f'href="{PAGE}?status=failed"' in page.text


async def test_without_an_endpoint_the_list_says_what_to_do(window: Window) -> None:
    assert "There is no endpoint. Add one" in text_of(await window.get(PAGE))
