"""The operator's pages: clients, processors, institutions, jobs, keys, and the state of the installation."""

import re
from datetime import timedelta
from html import unescape

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.model.accounts import Account
from coatcheck.model.clients import enabled_processors, find_client, find_processor
from coatcheck.model.institution_statuses import availability
from coatcheck.rate_limits.refreshes import count_refresh
from tests.factories import Keyed, make_account, make_client, make_job, make_processor, make_user
from tests.portal_client import text_of
from tests.staff import Window, signed_in


@pytest.fixture
async def window(services: Services, http: httpx.AsyncClient) -> Window:
    return await signed_in(services, http, name="Olga Perez")


def key_of(page: httpx.Response) -> str:
    found = re.search(r'id="api-key"[^>]*>([^<]+)<', page.text)
    assert found, page.text
    return unescape(found[1])


async def acts_of(services: Services, subject: str) -> list[tuple[str, str]]:
    """The actions on an object, each with the name of who acted."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::json ->> 'action', body::json -> 'detail' ->> 'actor_name' FROM audit_entry
               WHERE body::json ->> 'subject' = %s ORDER BY guid""",
            (subject,),
        )
        return [(action, name) for action, name in await cursor.fetchall()]


async def test_an_operator_adds_a_client_whose_key_works(
    services: Services, http: httpx.AsyncClient, window: Window
) -> None:
    page = await window.post("/dashboard/clients/add", name="Harbour Pay")
    key = key_of(page)
    found = re.search(r"CLT-[0-9a-f-]{36}", page.text)
    assert found
    guid = found[0]
    assert (await http.get("/coatcheck/grants", auth=(guid, key))).status_code == 200
    assert key not in (await window.get(f"/dashboard/clients/{guid}")).text
    assert await acts_of(services, guid) == [("client.added", "Olga Perez"), ("api_key.issued", "Olga Perez")]
    assert (await window.post("/dashboard/clients/add", name=" ")).status_code == 400


async def test_an_operator_rotates_a_key_and_the_old_one_works_for_a_day(
    services: Services, http: httpx.AsyncClient, window: Window, client: Keyed, processor: Keyed
) -> None:
    new = key_of(await window.post(f"/dashboard/clients/{client.guid}/rotate-key"))
    for key in (client.api_key, new):
        assert (await http.get("/coatcheck/grants", auth=(client.guid, key))).status_code == 200
    assert key_of(await window.post(f"/dashboard/processors/{processor.guid}/rotate-key")).startswith("ccp_")
    assert (await acts_of(services, processor.guid))[-1] == ("api_key.issued", "Olga Perez")


async def test_an_operator_disables_and_enables_a_client_and_a_processor(
    services: Services, http: httpx.AsyncClient, window: Window, client: Keyed, processor: Keyed
) -> None:
    for kind, organisation, find in (
        ("clients", client, find_client),
        ("processors", processor, find_processor),
    ):
        page = f"/dashboard/{kind}/{organisation.guid}/switch"
        assert "Disable" in text_of(await window.get(page))
        assert (await window.post(page, wanted="disabled")).status_code == 303
        async with services.db.connection() as connection:
            assert (await find(connection, organisation.guid)).is_disabled
        assert "Enable" in text_of(await window.get(page))
        assert (await window.post(page, wanted="enabled")).status_code == 303
        async with services.db.connection() as connection:
            assert not (await find(connection, organisation.guid)).is_disabled
        assert (await window.post(page, wanted="gone")).status_code == 400
    assert (await http.get("/coatcheck/grants", auth=client.auth)).status_code == 200


async def test_an_operator_says_who_works_for_whom(services: Services, window: Window, client: Keyed) -> None:
    other = await make_processor(services, name="Ledger Books")
    page = f"/dashboard/clients/{client.guid}/processors/{other.guid}"
    assert (await window.post(page, wanted="enabled")).status_code == 303
    async with services.db.connection() as connection:
        assert [each.guid for each in await enabled_processors(connection, client.guid)] == [other.guid]
    assert "end for Ledger Books" in text_of(await window.get(f"/dashboard/clients/{client.guid}"))
    assert "end for Acme" in text_of(await window.get(f"/dashboard/processors/{other.guid}"))
    assert (await window.post(page, wanted="disabled")).status_code == 303
    async with services.db.connection() as connection:
        assert await enabled_processors(connection, client.guid) == []


async def test_the_lists_of_clients_and_processors_are_searched(services: Services, window: Window) -> None:
    await make_client(services, name="Quince Credit")
    await make_processor(services, name="Quince Pay")
    for kind, name in (("clients", "Quince Credit"), ("processors", "Quince Pay")):
        page = text_of(await window.get(f"/dashboard/{kind}?search=quince"))
        assert name in page
        assert "1 entry" in page
        assert "is found" in text_of(await window.get(f"/dashboard/{kind}?search=zzzz"))


async def test_an_operator_sees_the_calls_of_institutions_and_how_much_of_a_budget_is_used(
    services: Services, window: Window, client: Keyed, processor: Keyed
) -> None:
    account = await make_account(services, await make_user(services, client))
    now, bank = services.clock.now(), "calledbank"
    for days, requested_by in ((0, processor.guid), (0, client.guid), (3, processor.guid)):
        values = {"requested_by": requested_by, "ended_at": now - timedelta(days=days)}
        await make_job(services, account, institution_code=bank, attempt=1, **values)
    async with services.db.transaction() as connection:
        for _ in range(2):
            await count_refresh(
                connection,
                services.settings,
                now,
                processor_guid=processor.guid,
                member_guid=account.member_guid,
                institution_code=bank,
            )
    page = " ".join(text_of(await window.get(f"/dashboard/calls?search={bank}")).split())
    assert "Of one processor at one institution 10000/day" in page
    assert f"{bank} Test processor 1 1 2" in page
    assert f"{bank} none: the client, the user or the daily aggregation 1 1" in page
    week = " ".join(text_of(await window.get(f"/dashboard/calls?period=7&search={bank}")).split())
    assert f"{bank} Test processor 2 2 2" in week
    nothing = await window.get("/dashboard/calls?search=nowhere")
    assert "No institution was read in this period" in text_of(nothing)
    assert (await window.get("/dashboard/calls?period=365")).status_code == 400


async def test_an_operator_sets_the_status_of_an_institution_and_of_a_client_there(
    services: Services, window: Window, client: Keyed
) -> None:
    # Not the one whose jobs another test starts.
    code = next(each.code for each in services.registry.search() if each.code != "mxbank")
    page = f"/dashboard/institutions/{code}"
    assert (await window.post(page, status="MAINTENANCE")).status_code == 303
    assert (await window.post(f"{page}/{client.guid}", client_status="PREVENT_NEW")).status_code == 303
    async with services.db.connection() as connection:
        found = await availability(connection, client.guid, code)
    assert (found.status, found.client_status) == ("MAINTENANCE", "PREVENT_NEW")
    listed = text_of(await window.get("/dashboard/institutions?status=restricted"))
    assert f"{code} MAINTENANCE 1" in listed
    assert (await acts_of(services, code))[0] == ("institution.status_set", "Olga Perez")
    assert (await window.post(page, status="GONE")).status_code == 400
    assert (await window.post(f"{page}/{client.guid}", on=page, client_status="GONE")).status_code == 400
    assert (await window.get("/dashboard/institutions/unknown")).status_code == 404
    assert (await window.get("/dashboard/institutions?status=king")).status_code == 400


async def test_a_job_that_failed_is_found_and_started_again(
    services: Services, window: Window, account: Account
) -> None:
    job = await make_job(services, account)
    now = services.clock.now()
    async with services.db.transaction() as connection:
        await connection.execute(
            "UPDATE member_job SET outcome = 'FAILED', reason = 'No answer.', ended_at = %s WHERE guid = %s",
            (now, job),
        )
    listed = await window.get("/dashboard/jobs")
    assert job in listed.text
    for view in ("running", "stuck", "queued", "waiting"):
        assert job not in (await window.get(f"/dashboard/jobs?view={view}")).text
    assert (await window.get("/dashboard/jobs?view=other")).status_code == 400
    page = f"/dashboard/jobs/{account.user_guid}/{job}"
    assert "FAILED: No answer." in text_of(await window.get(page))
    started = await window.post(page)
    assert started.status_code == 303
    assert started.headers["location"] != page
    assert "queued" in text_of(await window.get(started.headers["location"]))
    assert (await acts_of(services, job))[-1] == ("job.retried", "Olga Perez")


async def test_an_operator_rotates_the_key_of_receipts(services: Services, window: Window) -> None:
    before = text_of(await window.get("/dashboard/keys"))
    assert "wraps new keys" in before
    assert (await window.post("/dashboard/keys/rotate-signing")).status_code == 303
    assert "signs from" in text_of(await window.get("/dashboard/keys"))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/findings", "No worker is running"),
        ("/database", "Largest tables"),
        ("/checkpoints", "There is no checkpoint"),
        ("/metrics", "Requests by duration"),
        ("/connectors", "sandbox"),
    ],
)
async def test_the_state_of_the_installation_is_shown(window: Window, path: str, text: str) -> None:
    page = await window.get(f"/dashboard{path}")
    assert page.status_code == 200
    assert text in text_of(page)


async def test_no_page_shows_a_setting_that_is_secret(services: Services, window: Window) -> None:
    for path in ("/findings", "/database", "/keys", "/connectors", "/metrics"):
        assert (
            services.settings.master_key.partition(":")[2] not in (await window.get(f"/dashboard{path}")).text
        )


async def test_no_text_breaks_a_page(window: Window) -> None:
    for query in ("search=%00", "search=%F0%9F%98%80", "page=99999999999", "page=-1", "page=x", "view=%00"):
        for path in ("/clients", "/institutions", "/jobs", "/staff"):
            assert (await window.get(f"/dashboard{path}?{query}")).status_code in {200, 400}, (path, query)
    for path in ("/clients/%00", "/jobs/%00/x", "/institutions/%00", "/staff/%00"):
        assert (await window.get(f"/dashboard{path}")).status_code in {400, 404}, path
