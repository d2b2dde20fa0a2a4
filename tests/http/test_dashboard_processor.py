"""The pages of a processor's staff, and those of keys and webhooks, which a client's staff have too."""

import json
import re
from dataclasses import replace
from html import unescape

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.model.accounts import Account
from coatcheck.staff.roles import Role
from tests.factories import Keyed, make_client, make_processor, make_token
from tests.portal_client import text_of
from tests.staff import Window, signed_in

RECEIVER = "https://hooks.example/coatcheck"


@pytest.fixture
async def window(services: Services, http: httpx.AsyncClient, processor: Keyed) -> Window:
    return await signed_in(services, http, Role.PROCESSOR_ADMIN, processor, name="Paula Reyes")


def secret_of(page: httpx.Response, name: str) -> str:
    found = re.search(rf'id="{name}"[^>]*>([^<]+)<', page.text)
    assert found, page.text
    return unescape(found[1])


async def test_a_processor_sees_its_own_grants_by_state(
    services: Services,
    http: httpx.AsyncClient,
    window: Window,
    account: Account,
    processor: Keyed,
    client: Keyed,
) -> None:
    await make_token(services, account, processor)
    other = await make_processor(services, client)
    await make_token(services, account, other)
    answer = await http.get("/coatcheck/grants", auth=client.auth)
    guids = {each["processor"]["guid"]: each["guid"] for each in answer.json()["grants"]}
    listed = await window.get("/dashboard/processor/grants")
    assert guids[processor.guid] in listed.text
    assert guids[other.guid] not in listed.text
    assert guids[processor.guid] in (await window.get("/dashboard/processor/grants?status=active")).text
    assert "There is no such grant" in text_of(await window.get("/dashboard/processor/grants?status=revoked"))
    assert (await window.get("/dashboard/processor/grants?status=x")).status_code == 400
    assert account.guid in (await window.get(f"/dashboard/processor/grants/{guids[processor.guid]}")).text
    assert (await window.get(f"/dashboard/processor/grants/{guids[other.guid]}")).status_code == 404


async def test_the_key_of_the_organisation_is_rotated_and_restricted_to_networks(
    services: Services, http: httpx.AsyncClient, window: Window, processor: Keyed
) -> None:
    key = secret_of(await window.post("/dashboard/api-keys/rotate"), "api-key")
    assert (await http.get("/coatcheck/grants", auth=(processor.guid, key))).status_code == 200
    page = "/dashboard/api-keys/networks"
    assert (await window.post(page, networks="203.0.113.0/24\n2001:db8::/48")).status_code == 303
    assert "203.0.113.0/24, 2001:db8::/48" in text_of(await window.get("/dashboard/api-keys"))
    assert (await http.get("/coatcheck/grants", auth=(processor.guid, key))).status_code == 401
    assert (await window.post(page, networks="nowhere")).status_code == 400
    assert (await window.post(page, networks="")).status_code == 303
    assert (await http.get("/coatcheck/grants", auth=(processor.guid, key))).status_code == 200


@pytest.mark.parametrize("role", [Role.PROCESSOR_DEVELOPER, Role.CLIENT_DEVELOPER])
async def test_an_endpoint_is_added_tested_switched_and_deleted(
    services: Services, http: httpx.AsyncClient, client: Keyed, processor: Keyed, role: Role
) -> None:
    organisation = client if role is Role.CLIENT_DEVELOPER else processor
    staff = await signed_in(services, http, role, organisation, name="Devi Rao")
    made = await staff.post("/dashboard/webhooks/add", url=RECEIVER, events=["token.*"])
    assert secret_of(made, "secret").startswith("whsec_")
    found = re.search(r"WHE-[0-9a-f-]{36}", made.text)
    assert found
    page = f"/dashboard/webhooks/{found[0]}"
    assert RECEIVER in (await staff.get("/dashboard/webhooks")).text
    assert (await staff.post(f"{page}/test", on=page, type="token.revoked")).status_code == 303
    listed = await staff.get(page)
    delivery = re.search(r"/dashboard/deliveries/(DLV-[0-9a-f-]{36})", listed.text)
    assert delivery
    assert delivery[1] not in (await staff.get(f"{page}?status=failed")).text
    again = await staff.post(f"/dashboard/deliveries/{delivery[1]}")
    assert again.status_code == 303
    assert delivery[1] not in again.headers["location"]
    rotated = await staff.post(f"{page}/rotate-secret")
    assert secret_of(rotated, "secret") != secret_of(made, "secret")
    assert (await staff.post(page, status="paused")).status_code == 303
    assert "paused" in text_of(await staff.get(page))
    assert (await staff.post(page, status="x")).status_code == 400
    assert (await staff.post(f"{page}/delete")).status_code == 303
    assert (await staff.get(page)).status_code == 404
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT DISTINCT body::json -> 'detail' ->> 'actor_name' FROM audit_entry
               WHERE body::json ->> 'subject' = %s""",
            (found[0],),
        )
        assert await cursor.fetchall() == [("Devi Rao",)]


async def test_the_endpoints_and_deliveries_of_others_do_not_exist(
    services: Services, window: Window
) -> None:
    other = Owner((await make_client(services)).guid, is_processor=False)
    async with services.db.transaction() as connection:
        endpoints = services.webhook_endpoints
        made = await endpoints.create(connection, other, EndpointChanges(url=RECEIVER))
        delivery = await endpoints.test(connection, other, made.endpoint.guid, "token.revoked")
    page = f"/dashboard/webhooks/{made.endpoint.guid}"
    token = services.staff.sessions.form_token(window.cookies["coatcheck_staff"])
    for path in (page, f"{page}/delete", f"{page}/rotate-secret", f"/dashboard/deliveries/{delivery.guid}"):
        assert (await window.get(path)).status_code == 404, path
        assert (await window.send(path, form_token=token, status="paused")).status_code == 404, path


async def test_a_wrong_url_or_event_is_refused(window: Window) -> None:
    page = "/dashboard/webhooks/add"
    for fields in ({}, {"url": "ftp://x"}, {"url": RECEIVER, "events": ["member.created"]}):
        assert (await window.post(page, **fields)).status_code == 400, fields


async def test_a_conformance_report_is_shown(window: Window) -> None:
    page = "/dashboard/processor/conformance"
    results = [
        {"case": "a", "title": "A lost answer", "outcome": "passed", "found": "", "seconds": 1.0},
        {
            "case": "b",
            "title": "A revoked token",
            "outcome": "failed",
            "found": "<b>It reads on</b>",
            "seconds": 1.0,
        },
    ]
    shown = await window.post(page, report=json.dumps(results))
    assert "1 of 2 cases passed" in text_of(shown)
    assert "&lt;b&gt;It reads on" in shown.text
    for text in ("", "{", "{}", "[1]", '[{"case": 1}]', "[" * 10_000):
        answer = await window.post(page, report=text)
        assert (answer.status_code, "not the output" in text_of(answer)) == (400, True), text


async def test_production_has_no_playground(window: Window) -> None:
    assert (await window.get("/dashboard/processor/playground")).status_code == 404
    assert "Playground" not in text_of(await window.get("/dashboard"))


class TestInASandbox:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, sandbox=True)

    async def test_one_press_gives_a_token_that_reads(self, http: httpx.AsyncClient, window: Window) -> None:
        page = await window.post("/dashboard/processor/playground")
        token = secret_of(page, "access-token")
        read = await http.get("/account/account_numbers", headers={"Authorization": f"Bearer {token}"})
        assert read.status_code == 200

    async def test_a_processor_that_works_for_nobody_is_told_so(
        self, services: Services, http: httpx.AsyncClient
    ) -> None:
        staff = await signed_in(services, http, Role.PROCESSOR_DEVELOPER, await make_processor(services))
        answer = await staff.post("/dashboard/processor/playground")
        assert (answer.status_code, "Ask the operator" in text_of(answer)) == (422, True)
        assert (await staff.post("/dashboard/processor/playground", persona="x")).status_code == 400
