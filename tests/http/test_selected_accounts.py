"""A client asks that the user selects one or several accounts: the consent names them, and only they can have codes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.directory.apps import NewSetupToken
from coatcheck.errors import NotSelected
from coatcheck.grants.authorization_disclosures import CONSENT_COUNTS, delete_old_disclosures
from coatcheck.grants.revocation import Selector
from coatcheck.model.users import find_user
from coatcheck.vault.signing_keys import DOCUMENTS_KEPT
from tests.api_client import Api, refusal
from tests.factories import Keyed, make_processor
from tests.http.test_authorization_disclosures import claims_of, disclosure_of_member, disclosures
from tests.widget_client import Page, open_page

REFUSED = (422, "unprocessable_entity_error")


async def opened(api: Api, user: str, **options: Any) -> Page:
    return await open_page(api, user, mode="verification", select_several_accounts=True, **options)


async def accounts_of(page: Page, member: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await page.get(f"/members/{member}/accounts"))["accounts"]
    return found


async def select(page: Page, member: str, *guids: str) -> dict[str, Any]:
    body = {"account_guids": guids}
    selected: dict[str, Any] = (await page.send("POST", f"/members/{member}/account_selection", body))[
        "member"
    ]
    return selected


async def code_for(api: Api, user: str, member: str, account: str) -> tuple[int, str]:
    """The status of a request for a code, and the type of the error."""
    scope = f"user-guid:{user} member-guid:{member} account-guid:{account} read-protected"
    answer = await api.post("/authorization_code", json={"authorization_code": {"scope": scope}})
    return (200, "") if answer.status_code == 200 else refusal(answer)


async def codes(api: Api, user: str, member: str, accounts: Sequence[dict[str, Any]]) -> list[bool]:
    """Whether each account can have a code."""
    answers = [await code_for(api, user, member, each["guid"]) for each in accounts]
    assert {*answers} <= {(200, ""), REFUSED}
    return [status == 200 for status, _ in answers]


async def test_only_the_selected_accounts_can_have_codes(api: Api, user: str) -> None:
    page = await opened(api, user)
    member = await page.connect()
    assert (member["step"], member["selected_account_guids"]) == ("accountSelect", [])
    accounts = await accounts_of(page, member["guid"])
    assert [each["is_selected"] for each in accounts] == [False, False]
    assert not any(await codes(api, user, member["guid"], accounts))
    first, second = [each["guid"] for each in accounts]
    selected = await select(page, member["guid"], second)
    assert (selected["step"], selected["selected_account_guid"]) == ("connected", second)
    assert await codes(api, user, member["guid"], accounts) == [False, True]
    selected = await select(page, member["guid"], second, first)
    assert (selected["step"], selected["selected_account_guid"]) == ("connected", None)
    assert selected["selected_account_guids"] == [first, second]
    assert await codes(api, user, member["guid"], accounts) == [True, True]


@pytest.mark.own_database
async def test_a_selection_outlives_the_time_for_which_documents_are_kept(
    api: Api, services: Services, clock: MovableClock, user: str
) -> None:
    page = await opened(api, user)
    member = await page.connect()
    accounts = await accounts_of(page, member["guid"])
    await select(page, member["guid"], accounts[1]["guid"])
    ttl = services.settings.token_ttl
    clock.advance(DOCUMENTS_KEPT + ttl + timedelta(days=2))
    async with services.db.connection() as connection:
        await delete_old_disclosures(connection, clock.now(), ttl)
    assert await codes(api, user, member["guid"], accounts) == [False, True]


async def test_the_signed_disclosure_of_the_member_names_the_selected_accounts(
    api: Api, services: Services, user: str
) -> None:
    page = await opened(api, user)
    assert page.boot["config"]["select_several_accounts"] is True
    assert page.boot["start"]["consent"]["selects_accounts"] is True
    ((agreed, text, statement),) = await disclosures(services, user)
    assert "You select the accounts after you sign in. Acme can use only those." in text.splitlines()
    member = await page.connect()
    first, second = [each["guid"] for each in await accounts_of(page, member["guid"])]
    await select(page, member["guid"], first, second)
    of_member = await disclosure_of_member(services, member["guid"])
    signed = {guid: document for guid, _, document in await disclosures(services, user)}
    assert of_member is not None
    assert of_member.startswith("DSC-")
    assert of_member != agreed
    before, claims = await claims_of(services, statement), await claims_of(services, signed[of_member])
    named = {"jti": of_member, "member_guid": member["guid"], "account_guids": [first, second]}
    assert claims == {**before, "iat": claims["iat"], **named}


async def test_a_single_account_is_not_selected_without_the_user(api: Api, user: str) -> None:
    page = await opened(api, user)
    member = await page.connect("ann+persona=thin_file")
    (only,) = await accounts_of(page, member["guid"])
    assert member["step"] == "accountSelect"
    selected = await select(page, member["guid"], only["guid"])
    assert (selected["selected_account_guid"], selected["selected_account_guids"]) == (
        only["guid"],
        [only["guid"]],
    )


async def test_without_the_option_the_choice_of_one_account_limits_no_code(api: Api, user: str) -> None:
    """MX does not limit codes by the choice in its widget either."""
    page = await open_page(api, user, mode="verification")
    member = await page.connect()
    accounts = await accounts_of(page, member["guid"])
    path, chosen = f"/members/{member['guid']}/account_selection", accounts[0]["guid"]
    selected = (await page.send("POST", path, {"account_guid": chosen}))["member"]
    assert selected["selected_account_guids"] == [chosen]
    assert all(await codes(api, user, member["guid"], accounts))


@pytest.mark.parametrize(
    "body",
    [
        {"account_guids": []},
        {"account_guids": ["ACT-none"]},
        {"account_guid": "ACT-none"},
        {"account_guids": "ACT-none"},
    ],
)
async def test_a_selection_that_is_not_of_verified_accounts_is_refused(
    api: Api, user: str, body: dict[str, Any]
) -> None:
    page = await opened(api, user)
    member = await page.connect()
    path = f"/members/{member['guid']}/account_selection"
    assert await page.refused("POST", path, body) == (400, "invalid_request")
    assert not any(await codes(api, user, member["guid"], await accounts_of(page, member["guid"])))


async def test_accounts_of_another_user_cannot_be_selected(api: Api, user: str) -> None:
    other = await opened(api, await api.create_user())
    foreign = (await accounts_of(other, (await other.connect())["guid"]))[0]["guid"]
    page = await opened(api, user)
    member = await page.connect()
    own = (await accounts_of(page, member["guid"]))[0]["guid"]
    path = f"/members/{member['guid']}/account_selection"
    assert await page.refused("POST", path, {"account_guids": [own, foreign]}) == (400, "invalid_request")


async def test_the_option_needs_verification(api: Api, user: str) -> None:
    for options in ({}, {"mode": "aggregation"}, {"data_request": {"products": ["transactions"]}}):
        body = {"widget_type": "connect_widget", "select_several_accounts": True, **options}
        answer = await api.post(f"/users/{user}/widget_urls", json={"widget_url": body})
        assert refusal(answer) == (400, "invalid_request")
        assert "select_several_accounts" in answer.json()["error"]["message"]


async def test_a_member_of_before_keeps_its_codes_until_the_user_consents_and_selects(
    api: Api, user: str
) -> None:
    guid = await api.connect(user, password="correct")
    await api.work()
    await api.post(f"/users/{user}/members/{guid}/verify")
    await api.work()
    page = await opened(api, user, consented=False, current_member_guid=guid)
    assert page.boot["start"]["step"] == "consent"
    accounts = await accounts_of(page, guid)
    chosen = accounts[0]["guid"]
    path, body = f"/members/{guid}/account_selection", {"account_guids": [chosen]}
    assert await page.refused("POST", path, body) == (403, "consent_required")
    await page.consent()
    assert (await page.get("/start"))["step"] == "accountSelect"
    assert all(await codes(api, user, guid, accounts))
    await select(page, guid, chosen)
    assert await codes(api, user, guid, accounts) == [True, False]


async def test_a_consent_for_all_accounts_undoes_a_selection_only_if_the_user_gives_it_now(
    api: Api, user: str
) -> None:
    page = await open_page(api, user, mode="verification")
    member, _ = [(await page.connect(login))["guid"] for login in ("ann", "ben")]
    accounts = await accounts_of(page, member)
    selecting = await opened(api, user, current_member_guid=member)
    await select(selecting, member, accounts[0]["guid"])
    # The consent of the other member counts again, without being asked for.
    returned = await open_page(api, user, mode="verification", consented=False)
    assert returned.boot["start"]["consent_needed"] is False
    await returned.send("POST", f"/members/{member}/jobs", {})
    assert await codes(api, user, member, accounts) == [True, False]
    await api.work()
    asked = await open_page(api, user, mode="verification", include_identity=True)
    await asked.send("POST", f"/members/{member}/jobs", {})
    assert await codes(api, user, member, accounts) == [True, True]


async def test_a_user_who_returns_selects_again_without_a_second_consent(
    api: Api, user: str, clock: MovableClock
) -> None:
    page = await opened(api, user)
    member = (await page.connect())["guid"]
    accounts = await accounts_of(page, member)
    first, second = [each["guid"] for each in accounts]
    await select(page, member, first)
    clock.advance(CONSENT_COUNTS - timedelta(hours=1))
    again = await opened(api, user, consented=False, current_member_guid=member)
    assert (again.boot["start"]["consent_needed"], again.boot["start"]["step"]) == (False, "accountSelect")
    assert [each["guid"] for each in await accounts_of(again, member) if each["is_selected"]] == [first]
    await select(again, member, second)
    assert await codes(api, user, member, accounts) == [False, True]
    # The selection has not prolonged the consent.
    clock.advance(timedelta(hours=1))
    later = await opened(api, user, consented=False, current_member_guid=member)
    assert later.boot["start"]["consent_needed"] is True


async def test_a_user_who_stopped_a_reader_of_one_selection_is_asked_again(
    api: Api, services: Services, client: Keyed, user: str
) -> None:
    processor = await make_processor(services, client, name="Acme Pay")
    page = await opened(api, user)
    members = [(await page.connect(login))["guid"] for login in ("ann", "ben")]
    for member in members:
        await select(page, member, (await accounts_of(page, member))[0]["guid"])
    scope = f"user-guid:{user} member-guid:{members[0]} account-guid:"
    scope += f"{(await accounts_of(page, members[0]))[0]['guid']} read-protected"
    answer = await api.post("/authorization_code", json={"authorization_code": {"scope": scope}})
    query = {"grant_type": "authorization_code", "code": answer.json()["authorization_code"]["code"]}
    assert (await api.http.post("/token", params=query, auth=processor.auth)).status_code == 200
    assert (await opened(api, user, consented=False)).boot["start"]["consent_needed"] is False
    await services.revocations.revoke_all(
        client_guid=client.guid, selector=Selector(user_guid=user), actor=user
    )
    assert (await opened(api, user, consented=False)).boot["start"]["consent_needed"] is True


async def test_a_grant_of_an_account_that_is_no_longer_selected_is_not_renewed(
    api: Api, services: Services, client: Keyed, user: str
) -> None:
    processor = await make_processor(services, client, name="Acme Pay")
    page = await opened(api, user)
    member = (await page.connect())["guid"]
    first, second = [each["guid"] for each in await accounts_of(page, member)]
    await select(page, member, first)
    scope = f"user-guid:{user} member-guid:{member} account-guid:{first} read-protected"
    answer = await api.post("/authorization_code", json={"authorization_code": {"scope": scope}})
    query = {"grant_type": "authorization_code", "code": answer.json()["authorization_code"]["code"]}
    assert (await api.http.post("/token", params=query, auth=processor.auth)).status_code == 200
    await select(page, member, second)
    grant = (await api.get("/coatcheck/grants")).json()["grants"][0]["guid"]
    answer = await api.post(f"/coatcheck/grants/{grant}/renewal", json={"renewal": {}})
    assert refusal(answer) == REFUSED


async def test_a_setup_token_of_the_client_is_for_selected_accounts_and_that_of_the_user_for_any(
    api: Api, services: Services, client: Keyed, user: str
) -> None:
    page = await opened(api, user)
    member = (await page.connect())["guid"]
    first, second = [each["guid"] for each in await accounts_of(page, member)]
    await select(page, member, first)
    path = f"/coatcheck/users/{user}/setup_tokens"
    for guids, status in (([first], 201), ([first, second], 422)):
        body = {"setup_token": {"app_name": "Budget", "account_guids": guids}}
        assert (await api.post(path, json=body)).status_code == status
    wanted = NewSetupToken(account_guids=[second], app_name="Budget")
    async with services.db.transaction() as connection:
        owner = await find_user(connection, client.guid, user)
        with pytest.raises(NotSelected):
            await services.apps.create_setup_token(connection, owner, wanted, actor=client.guid)
        await services.apps.create_setup_token(connection, owner, wanted, actor=user)


async def test_a_session_that_selects_accounts_offers_no_statement_files(api: Api, user: str) -> None:
    page = await opened(api, user, include_transactions=True)
    assert (await page.get("/start"))["statement_files_enabled"] is False


async def test_the_audit_log_has_an_entry_for_each_selected_account(
    api: Api, services: Services, user: str
) -> None:
    page = await opened(api, user)
    member = (await page.connect())["guid"]
    first, second = [each["guid"] for each in await accounts_of(page, member)]
    await select(page, member, first, second, first)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::jsonb ->> 'subject' FROM audit_entry
               WHERE client_guid = %s AND body::jsonb ->> 'action' = 'widget.account_selected' ORDER BY guid""",
            (api.caller.guid,),
        )
        assert await cursor.fetchall() == [(first,), (second,)]


@pytest.mark.parametrize("value", [False, None])
async def test_a_link_without_the_option_asks_for_one_account(
    api: Api, user: str, value: bool | None
) -> None:
    page = await open_page(api, user, mode="verification", select_several_accounts=value)
    assert page.boot["config"]["select_several_accounts"] is False
    assert page.boot["start"]["consent"]["selects_accounts"] is False
