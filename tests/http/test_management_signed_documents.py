"""The key set, disclosures, attestations, the export of a user, and the FDX view, over HTTP."""

import json
from base64 import b64decode
from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.db.partitions import ensure_list_partition
from coatcheck.directory import export
from coatcheck.errors import NotGenuine
from coatcheck.grants.secrets import week_of
from coatcheck.model.accounts import find_account
from coatcheck.signatures import DocumentType, verify
from coatcheck.vault import user_reads
from coatcheck.vault.signing_keys import DOCUMENTS_KEPT, LEAD, REFRESH
from coatcheck.worker_services import run_maintenance
from tests.api_client import Api
from tests.factories import (
    PDF,
    Keyed,
    make_client,
    make_code,
    make_disclosure,
    make_processor,
    make_transaction,
    make_user,
)
from tests.http.owned_objects import Owner, make_owner
from tests.widget_client import open_page


@pytest.fixture
async def owner(services: Services, http: httpx.AsyncClient) -> Owner:
    return await make_owner(services, http)


async def key_set_of(http: httpx.AsyncClient) -> list[dict[str, str]]:
    answer = await http.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    keys: list[dict[str, str]] = answer.json()["keys"]
    return keys


async def code_for(services: Services, owner: Owner) -> str:
    async with services.db.connection() as connection:
        account = await find_account(connection, owner.guids["user"], owner.guids["account"])
    return await make_code(services, account)


async def test_the_key_set_needs_no_key_and_can_be_kept_for_five_minutes(http: httpx.AsyncClient) -> None:
    answer = await http.get("/.well-known/jwks.json")
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert {each["alg"] for each in answer.json()["keys"]} == {"EdDSA"}
    assert all({*each} == {"kty", "crv", "x", "kid", "use", "alg"} for each in answer.json()["keys"])


async def test_the_receipt_of_each_exchange_verifies_with_the_key_set(
    http: httpx.AsyncClient, services: Services, owner: Owner
) -> None:
    for path in ("/token", "/payment_processor_token"):
        body = {"grant_type": "authorization_code", "code": await code_for(services, owner)}
        answer = await http.post(path, data=body, auth=owner.processor.auth)
        document = verify(answer.headers["coatcheck-grant-receipt"], await key_set_of(http))
        assert document.type is DocumentType.GRANT
        assert document.claims["account_guid"] == owner.guids["account"]
        assert document.claims["iss"] == services.settings.base_url


async def test_a_refused_exchange_gives_no_receipt(http: httpx.AsyncClient, owner: Owner) -> None:
    body = {"grant_type": "authorization_code", "code": "cca_unknown"}
    answer = await http.post("/token", data=body, auth=owner.processor.auth)
    assert answer.status_code == 400
    assert "coatcheck-grant-receipt" not in answer.headers


@pytest.mark.own_database
async def test_old_keys_stay_in_the_key_set_and_their_receipts_verify(
    http: httpx.AsyncClient, services: Services, clock: MovableClock, owner: Owner
) -> None:
    answer = await http.post(f"/coatcheck/grants/{owner.guids['grant']}/revoke", auth=owner.client.auth)
    before = await key_set_of(http)
    async with services.db.transaction() as connection:
        await services.signing_keys.rotate(connection, documents_kept=DOCUMENTS_KEPT)
    clock.advance(LEAD + timedelta(days=2))
    after = await key_set_of(http)
    assert after[1:] == before
    assert verify(answer.json()["receipt"], after).kid == before[0]["kid"]


@pytest.mark.own_database
async def test_after_the_withdrawal_of_a_leaked_key_the_documents_come_with_another_signature(
    http: httpx.AsyncClient, services: Services, clock: MovableClock, owner: Owner
) -> None:
    user, auth = owner.guids["user"], owner.client.auth
    guid = (await http.delete(f"/users/{user}", auth=auth)).headers["coatcheck-attestation"]

    async def documents() -> list[str]:
        revoked = await http.post(f"/coatcheck/grants/{owner.guids['grant']}/revoke", auth=auth)
        listed = await http.get(f"/coatcheck/users/{user}/disclosures", auth=auth)
        found = await http.get(f"/coatcheck/disclosures/{owner.guids['disclosure']}", auth=auth)
        attested = await http.get(f"/coatcheck/attestations/{guid}", auth=auth)
        by_user = await http.get(f"/coatcheck/users/{user}/attestation", auth=auth)
        return [
            revoked.json()["receipt"],
            *(each["statement"] for each in listed.json()["disclosures"]),
            found.json()["disclosure"]["statement"],
            attested.json()["attestation"]["statement"],
            by_user.json()["attestation"]["statement"],
        ]

    before, (leaked,) = await documents(), await key_set_of(http)
    clock.advance(timedelta(days=1))
    async with services.db.transaction() as connection:
        await services.signing_keys.withdraw(connection, leaked["kid"], documents_kept=DOCUMENTS_KEPT)
    answer = await http.get("/.well-known/jwks.json")
    assert [each["kid"] for each in answer.json()["withdrawn"]] == [leaked["kid"]]
    clock.advance(REFRESH)
    after, keys = await documents(), await key_set_of(http)
    assert leaked["kid"] not in {each["kid"] for each in keys}
    for old, new in zip(before, after, strict=True):
        with pytest.raises(NotGenuine):
            verify(old, keys)
        assert verify(new, keys).claims == verify(old, [leaked]).claims


@pytest.mark.own_database
async def test_a_revocation_that_is_repeated_gives_the_receipt_for_three_years_although_the_grant_is_deleted(
    http: httpx.AsyncClient, services: Services, clock: MovableClock
) -> None:
    week = week_of(clock.instant() + services.settings.token_ttl)
    async with services.db.connection() as connection:
        await ensure_list_partition(connection, "access_token", f"access_token_{week}", week)
    owner = await make_owner(services, http)
    path = f"/coatcheck/grants/{owner.guids['grant']}/revoke"
    first = (await http.post(path, auth=owner.client.auth)).json()
    assert first["grant"]["status"] == "revoked"
    clock.advance(timedelta(days=120))
    await run_maintenance(services)
    assert (await http.get(path.removesuffix("/revoke"), auth=owner.client.auth)).status_code == 404
    again = await http.post(path, auth=owner.client.auth)
    assert (again.status_code, again.json()) == (200, {"grant": None, "receipt": first["receipt"]})
    stranger = await make_client(services)
    for auth, status in ((stranger.auth, 404), (owner.processor.auth, 401)):
        refused = await http.post(path, auth=auth)
        assert refused.status_code == status, refused.text
        assert "receipt" not in refused.json()
    clock.advance(DOCUMENTS_KEPT)
    await run_maintenance(services)
    assert (await http.post(path, auth=owner.client.auth)).status_code == 404


async def test_a_grant_shows_the_text_that_names_its_processor(
    http: httpx.AsyncClient, api: Api, services: Services, client: Keyed
) -> None:
    processor = await make_processor(services, client, name="Acme Pay")
    user = await api.create_user()
    page = await open_page(api, user, mode="verification")
    member = await page.connect()
    unnamed = await make_processor(services, client, name="Later Pay")
    for reader, is_shown in ((processor, True), (unnamed, False)):
        account = (await api.get(f"/users/{user}/members/{member['guid']}/accounts")).json()["accounts"][0]
        scope = f"user-guid:{user} member-guid:{member['guid']} account-guid:{account['guid']}"
        code = await api.post("/authorization_code", json={"authorization_code": {"scope": scope}})
        body = {
            "grant_type": "authorization_code",
            "code": code.json()["authorization_code"]["code"],
        }
        await http.post("/token", data=body, auth=reader.auth)
        (grant,) = (await http.get("/coatcheck/grants", auth=reader.auth)).json()["grants"]
        if is_shown:
            assert "Acme Pay" in grant["disclosure"]["text"]
            assert grant["disclosure"].keys() == {"text", "signed_at"}
        else:
            assert grant["disclosure"] is None
    listed = (await api.get(f"/coatcheck/users/{user}/disclosures")).json()["disclosures"]
    (statement,) = (each["statement"] for each in listed)
    assert verify(statement, await key_set_of(http)).claims["processors"][0]["guid"] == processor.guid


async def test_what_a_user_agreed_to_is_listed_by_pages_newest_first(
    http: httpx.AsyncClient, services: Services, client: Keyed
) -> None:
    user = await make_user(services, client)
    guids = [await make_disclosure(services, user) for _ in range(12)]
    path = f"/coatcheck/users/{user.guid}/disclosures"
    for query, listed, page in (
        ("", guids[::-1], (1, 25, 1)),
        ("?records_per_page=10", guids[:1:-1], (1, 10, 2)),
        ("?records_per_page=10&page=2", guids[1::-1], (2, 10, 2)),
        ("?records_per_page=10&page=3", [], (3, 10, 2)),
    ):
        answer = (await http.get(path + query, auth=client.auth)).json()
        assert [each["guid"] for each in answer["disclosures"]] == listed, query
        number, size, pages = page
        assert answer["pagination"] == {
            "current_page": number,
            "per_page": size,
            "total_entries": 12,
            "total_pages": pages,
        }


async def test_the_signed_disclosure_can_be_read_after_the_deletion_of_the_user(
    http: httpx.AsyncClient, services: Services, owner: Owner
) -> None:
    user, auth = owner.guids["user"], owner.client.auth
    before = (await http.get(f"/coatcheck/users/{user}/disclosures", auth=auth)).json()
    assert len(before["disclosures"]) == 1
    assert (await http.delete(f"/users/{user}", auth=auth)).status_code == 204
    assert (await http.get(f"/coatcheck/users/{user}/disclosures", auth=auth)).json() == before
    stranger = await make_client(services)
    for path in (
        f"/coatcheck/users/{user}/disclosures",
        f"/coatcheck/users/{user}/attestation",
        f"/coatcheck/disclosures/{owner.guids['disclosure']}",
    ):
        assert (await http.get(path, auth=stranger.auth)).status_code == 404


async def test_the_answer_of_a_deletion_names_the_attestation(http: httpx.AsyncClient, owner: Owner) -> None:
    user, auth = owner.guids["user"], owner.client.auth
    found = await http.get(f"/coatcheck/users/{user}/attestation", auth=auth)
    assert found.json() == {"attestation": None}
    deleted = await http.delete(f"/users/{user}", auth=auth)
    guid = deleted.headers["coatcheck-attestation"]
    attestation = (await http.get(f"/coatcheck/attestations/{guid}", auth=auth)).json()["attestation"]
    assert (await http.get(f"/coatcheck/users/{user}/attestation", auth=auth)).json() == {
        "attestation": attestation
    }
    document = verify(attestation["statement"], await key_set_of(http))
    assert document.type is DocumentType.ATTESTATION
    assert (document.claims["user_guid"], document.claims["destroyed"]["members"]) == (user, 2)


# --- the export ---------------------------------------------------------------------------------------


async def exported(http: httpx.AsyncClient, owner: Owner) -> dict[str, list[dict[str, Any]]]:
    answer = await http.get(f"/coatcheck/users/{owner.guids['user']}/export", auth=owner.client.auth)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    sections: dict[str, list[dict[str, Any]]] = answer.json()
    return sections


async def test_an_export_contains_everything_that_is_kept_of_the_user(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    sections = await exported(http, owner)
    guids = {name: [each.get("guid") for each in records] for name, records in sections.items()}
    assert guids["users"] == [owner.guids["user"]]
    assert guids["transactions"] == [owner.guids["transaction"]]
    assert guids["micro_deposits"] == [owner.guids["micro_deposit"]]
    assert guids["grants"] == [owner.guids["grant"]]
    assert guids["authorization_disclosures"] == [owner.guids["disclosure"]]
    assert {owner.guids["member"]} <= {*guids["members"]}
    assert {owner.guids["account"], owner.guids["account_2"]} == {*guids["accounts"]}
    assert [each["account_number"] for each in sections["account_numbers"]] == ["1234567890"] * 2
    assert [each["owner_name"] for each in sections["account_owners"]] == ["Ada Example"] * 2
    assert [b64decode(each["pdf_base64"]) for each in sections["statements"]] == [PDF]
    assert {each["kind"] for each in sections["sealed_secrets"]} == {"MICRO_DEPOSIT", "STATEMENT"}


async def test_an_export_contains_who_read_what_and_is_disclosed_itself(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    await http.get("/account/account_numbers", headers=owner.bearer)
    reads = (await exported(http, owner))["reads"]
    assert [(each["what"], each["token_guid"]) for each in reads if each["token_guid"]] == [
        ("ACCOUNT_NUMBERS", owner.guids["grant"])
    ]
    own = {each["what"] for each in reads if each["reader_guid"] == owner.client.guid}
    assert own >= {"ACCOUNT_NUMBERS", "ACCOUNT_OWNERS", "STATEMENT"}


async def test_an_export_is_in_the_audit_log(
    http: httpx.AsyncClient, services: Services, owner: Owner
) -> None:
    await exported(http, owner)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT body FROM audit_entry WHERE client_guid = %s AND body LIKE '%%user.exported%%'",
            (owner.client.guid,),
        )
        ((body,),) = await cursor.fetchall()
    assert json.loads(body)["subject"] == owner.guids["user"]


async def test_an_export_of_many_batches_has_every_row_once(
    http: httpx.AsyncClient, services: Services, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH", 3)
    monkeypatch.setattr(user_reads, "BATCH", 2)
    async with services.db.connection() as connection:
        account = await find_account(connection, owner.guids["user"], owner.guids["account"])
    made = {await make_transaction(services, account) for _ in range(10)} | {owner.guids["transaction"]}
    for _ in range(5):
        await http.get("/account/account_numbers", headers=owner.bearer)
    sections = await exported(http, owner)
    assert sorted(each["guid"] for each in sections["transactions"]) == sorted(made)
    assert [each["what"] for each in sections["reads"] if each["token_guid"]] == ["ACCOUNT_NUMBERS"] * 5


async def test_an_export_of_a_user_without_data_has_every_section(
    http: httpx.AsyncClient, api: Api, client: Keyed
) -> None:
    user = await api.create_user()
    sections = (await http.get(f"/coatcheck/users/{user}/export", auth=client.auth)).json()
    described = (await http.get("/openapi.json")).json()["components"]["schemas"]["UserExportResponse"]
    assert sections.keys() == described["properties"].keys()
    assert [name for name, records in sections.items() if records] == ["users", "reads"]


# --- the FDX view -------------------------------------------------------------------------------------


async def test_the_fdx_view_shows_both_callers_the_same_consent(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    path = f"/coatcheck/grants/{owner.guids['grant']}?view=fdx"
    shown = (await http.get(path, auth=owner.client.auth)).json()
    assert (await http.get(path, auth=owner.processor.auth)).json() == shown
    grant = (await http.get(path.partition("?")[0], auth=owner.client.auth)).json()["grant"]
    assert shown["id"] == grant["fdx_consent_id"]
    assert {each["type"]: each["registeredEntityId"] for each in shown["parties"]} == {
        "DATA_RECIPIENT": owner.processor.guid,
        "DATA_ACCESS_PLATFORM": owner.client.guid,
        "DATA_PROVIDER": shown["parties"][2]["registeredEntityId"],
    }


async def test_the_fdx_view_of_a_deleted_member_has_no_bank(http: httpx.AsyncClient, owner: Owner) -> None:
    await http.delete(f"/users/{owner.guids['user']}", auth=owner.client.auth)
    path = f"/coatcheck/grants/{owner.guids['grant']}?view=fdx"
    shown = (await http.get(path, auth=owner.client.auth)).json()
    assert [each["type"] for each in shown["parties"]] == ["DATA_RECIPIENT", "DATA_ACCESS_PLATFORM"]
    assert shown["status"] == "REVOKED"


async def test_another_view_is_refused(http: httpx.AsyncClient, owner: Owner) -> None:
    path = f"/coatcheck/grants/{owner.guids['grant']}?view=plaid"
    assert (await http.get(path, auth=owner.client.auth)).status_code == 400
