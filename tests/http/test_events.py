"""What is announced to whom: clients about their users, processors about their own grants."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.events.catalogue import CATALOGUE, EventType, is_subscribed, patterns
from coatcheck.model.accounts import find_account
from coatcheck.vault.vault import AccountNumbers, AccountOwner
from tests.api_client import Api
from tests.factories import Keyed, make_code, make_processor, make_token

pytestmark = pytest.mark.own_database


@dataclass(frozen=True)
class Linked:
    """A connected member of the sandbox bank, and a grant on its first account."""

    api: Api
    processor: Keyed
    stranger: Keyed
    """A processor without a grant."""
    user: str
    member: str
    account: str
    grant: str
    token: str

    async def events(self, owner: Keyed, *types: str) -> list[dict[str, Any]]:
        """The events of the owner of these types, oldest first."""
        listed = await self.api.http.get(
            "/coatcheck/events",
            params={"after": "2026-01-01", "records_per_page": 1000},
            auth=owner.auth,
        )
        assert listed.status_code == 200
        return [each for each in listed.json()["events"] if is_subscribed(types or ("*",), each["type"])]

    async def types(self, owner: Keyed, *types: str) -> list[str]:
        return [each["type"] for each in await self.events(owner, *types)]


@pytest.fixture
async def linked(services: Services, api: Api, processor: Keyed) -> Linked:
    user = await api.create_user()
    member = await api.connect(user)
    await api.work()
    for job in ("verify", "identify"):
        await api.post(f"/users/{user}/members/{member}/{job}")
        await api.work()
    numbers = (await api.get(f"/users/{user}/members/{member}/account_numbers")).json()["account_numbers"]
    account_guid = numbers[0]["account_guid"]
    async with services.db.connection() as connection:
        account = await find_account(connection, user, account_guid)
    token = await make_token(services, account, processor)
    grants = await api.get("/coatcheck/grants")
    return Linked(
        api,
        processor,
        await make_processor(services, api.caller),
        user,
        member,
        account_guid,
        grants.json()["grants"][0]["guid"],
        token,
    )


async def test_linking_announces_the_user_the_member_and_what_the_bank_gave_to_the_client_alone(
    linked: Linked,
) -> None:
    types = await linked.types(linked.api.caller)
    assert types[:2] == ["user.created", "member.created"]
    assert {"member.status_changed", "transactions.available", "code.redeemed"} <= set(types)
    assert await linked.types(linked.processor) == []
    (redeemed,) = await linked.events(linked.api.caller, "code.redeemed")
    assert (redeemed["object"], redeemed["sequence"]) == (linked.grant, 1)
    assert redeemed["data"] == {
        "grant_guid": linked.grant,
        "processor_guid": linked.processor.guid,
        "user_guid": linked.user,
        "member_guid": linked.member,
        "account_guid": linked.account,
        "expires_at": redeemed["data"]["expires_at"],
    }
    assert redeemed["due_at"] == redeemed["occurred_at"]


async def test_a_revocation_is_announced_to_the_client_and_to_the_processor_of_the_grant(
    linked: Linked,
) -> None:
    api = linked.api
    for _ in range(2):
        await api.post(f"/coatcheck/grants/{linked.grant}/revoke", json={"reason": "private words"})
    for owner, sequence in ((api.caller, 2), (linked.processor, 1)):
        (event,) = await linked.events(owner, "token.*")
        assert (event["type"], event["object"], event["sequence"]) == (
            "token.revoked", linked.grant, sequence,
        )  # fmt: skip
        assert event["data"]["revoked_by"] == api.caller.guid
        assert "private words" not in str(event)
    assert await linked.types(linked.stranger) == []


async def test_the_revocation_of_many_grants_is_announced_for_each(
    services: Services, linked: Linked
) -> None:
    async with services.db.connection() as connection:
        account = await find_account(connection, linked.user, linked.account)
    for _ in range(4):
        await make_token(services, account, linked.processor)
    body = {"revocation": {"user_guid": linked.user}}
    assert (await linked.api.post("/coatcheck/revocations", json=body)).json()["revocation"]["revoked"] == 5
    for owner in (linked.api.caller, linked.processor):
        revoked = await linked.events(owner, "token.revoked")
        assert len({each["object"] for each in revoked}) == 5


async def test_narrowing_a_grant_changes_the_consent(linked: Linked, clock: MovableClock) -> None:
    expires_at = f"{clock.now() + timedelta(hours=1):%Y-%m-%dT%H:%M:%S.000000Z}"
    body = {"grant": {"permissions": ["balances"], "expires_at": expires_at}}
    answer = await linked.api.http.patch(
        f"/coatcheck/grants/{linked.grant}", json=body, auth=linked.api.caller.auth
    )
    assert answer.status_code == 200
    for owner in (linked.api.caller, linked.processor):
        (event,) = await linked.events(owner, "consent.changed")
        assert (event["object"], event["data"]["version"], event["data"]["cause"]) == (
            linked.grant, 2, "narrowed",
        )  # fmt: skip
        assert event["data"]["expires_at"] == expires_at


@pytest.mark.parametrize("what", ["member", "user"])
async def test_deleting_a_member_or_a_user_announces_the_end_of_its_grants(linked: Linked, what: str) -> None:
    path = f"/users/{linked.user}" + (f"/members/{linked.member}" if what == "member" else "")
    assert (await linked.api.delete(path)).status_code == 204
    (revoked,) = await linked.events(linked.processor)
    assert (revoked["type"], revoked["data"]["revoked_by"]) == ("token.revoked", None)
    assert (await linked.types(linked.api.caller))[-2:] == ["token.revoked", f"{what}.deleted"]


async def test_disabling_a_user_suspends_its_grants_and_enabling_resumes_them(linked: Linked) -> None:
    for is_disabled in (True, True, False):
        await linked.api.put(f"/users/{linked.user}", json={"user": {"is_disabled": is_disabled}})
    for owner in (linked.processor, linked.api.caller):
        assert await linked.types(owner, "token.*") == ["token.suspended", "token.resumed"]


async def test_a_connection_that_breaks_and_is_repaired_suspends_and_resumes_its_grants(
    linked: Linked,
) -> None:
    api = linked.api
    path = f"/users/{linked.user}/members/{linked.member}"
    for login in ("mxuser+consent_revoked", "mxuser"):
        credentials = await _credentials(api, login)
        await api.put(path, json={"member": {"credentials": credentials}})
        await api.work()
    assert await linked.types(linked.processor, "token.*", "consent.*") == [
        "token.suspended", "consent.changed", "token.resumed",
    ]  # fmt: skip
    broken, repaired = await linked.events(api.caller, "connection.*")
    assert (broken["type"], broken["data"]["connection_status"]) == ("connection.broken", "DISCONNECTED")
    assert (repaired["type"], repaired["data"]["connection_status"]) == ("connection.repaired", "CONNECTED")
    assert broken["data"]["grant_guids"] == [linked.grant]
    assert await linked.types(linked.processor, "connection.*", "member.*") == []


async def _credentials(api: Api, login: str) -> Sequence[dict[str, str]]:
    fields = (await api.get("/institutions/mxbank/credentials")).json()["credentials"]
    values = {"LOGIN": login, "PASSWORD": "correct"}
    return [{"guid": each["guid"], "value": values[each["field_name"]]} for each in fields]


async def test_changed_numbers_and_owners_are_announced_without_their_values_to_who_may_read_them(
    services: Services, linked: Linked
) -> None:
    async with services.db.connection() as connection:
        account = await find_account(connection, linked.user, linked.account)
    reads_only_transactions = await make_processor(services, linked.api.caller)
    await make_token(services, account, reads_only_transactions, reads_protected=False)
    async with services.db.transaction() as connection:
        numbers = AccountNumbers(account_guid=account.guid, account_number="000123456789", routing_number="1")
        await services.vault.store_numbers(
            connection, user_guid=account.user_guid, member_guid=account.member_guid, numbers=[numbers]
        )
        owners = [AccountOwner(account_guid=account.guid, owner_name="Somebody Else")]
        await services.vault.store_owners(
            connection, user_guid=account.user_guid, member_guid=account.member_guid, owners=owners
        )
    for job in ("verify", "identify", "verify", "identify"):
        await linked.api.post(f"/users/{linked.user}/members/{linked.member}/{job}")
        await linked.api.work()
    changed = ("account_numbers.*", "account_owners.*")
    for owner in (linked.api.caller, linked.processor):
        found = await linked.events(owner, *changed)
        assert [each["type"] for each in found] == ["account_numbers.changed", "account_owners.changed"]
        assert all(each["object"] == linked.account for each in found)
        assert "000123456789" not in str(found)
        assert "Somebody Else" not in str(found)
    (for_processor, _) = await linked.events(linked.processor, *changed)
    assert for_processor["data"]["grant_guids"] == [linked.grant]
    assert await linked.types(reads_only_transactions, *changed) == []


async def test_a_refused_code_is_announced_to_its_client_with_the_reason(
    services: Services, linked: Linked
) -> None:
    async with services.db.connection() as connection:
        account = await find_account(connection, linked.user, linked.account)
    code = await make_code(services, account, atoms=f"processor-guid:{linked.processor.guid}")
    body = {"grant_type": "authorization_code", "code": code}
    answer = await linked.api.http.post("/oauth/token", data=body, auth=linked.stranger.auth)
    assert answer.status_code == 400
    (refused,) = await linked.events(linked.api.caller, "code.refused")
    assert refused["data"] == {
        "account_guid": linked.account,
        "processor_guid": linked.stranger.guid,
        "reason": "other_processor",
    }
    assert await linked.types(linked.stranger) == []


async def test_a_replay_announces_the_revocation_of_the_token_that_it_bought(
    services: Services, linked: Linked, clock: MovableClock
) -> None:

    async with services.db.connection() as connection:
        account = await find_account(connection, linked.user, linked.account)
    body = {"grant_type": "authorization_code", "code": await make_code(services, account)}
    bought = await linked.api.http.post("/oauth/token", data=body, auth=linked.processor.auth)
    assert bought.status_code == 200
    clock.advance(timedelta(seconds=11))
    assert (
        await linked.api.http.post("/oauth/token", data=body, auth=linked.processor.auth)
    ).status_code == 400
    (revoked,) = await linked.events(linked.processor, "token.revoked")
    assert revoked["object"] != linked.grant
    assert revoked["data"]["revoked_by"] == linked.processor.guid


def test_the_patterns_of_a_processor_name_the_types_for_processors() -> None:
    expected = {
        "token.expiring", "token.expired", "token.revoked", "token.suspended", "token.resumed",
        "account_numbers.changed", "account.closed", "account_owners.changed", "transactions.available",
        "consent.changed",
    }  # fmt: skip
    assert {each for each in EventType if CATALOGUE[each].is_for_processors} == expected
    assert {each for each in patterns(is_processor=True) if not each.endswith("*")} == expected
    assert expected < set(patterns(is_processor=False))


def test_a_pattern_fits_its_type_its_group_and_everything_and_no_more() -> None:
    for pattern, fits in (("*", True), ("token.*", True), ("token.revoked", True), ("account.*", False)):
        assert is_subscribed([pattern], "token.revoked") is fits
    assert not is_subscribed(["account.*"], "account_numbers.changed")


async def test_an_unauthenticated_caller_and_a_token_see_no_events(
    http: httpx.AsyncClient, linked: Linked
) -> None:
    for path in ("/coatcheck/events", "/coatcheck/deliveries", "/coatcheck/webhook_endpoints"):
        for headers in ({}, {"Authorization": f"Bearer {linked.token}"}):
            assert (await http.get(path, headers=headers)).status_code == 401
    other = replace(linked.processor, api_key=linked.api.caller.api_key)
    assert (await http.get("/coatcheck/events", auth=other.auth)).status_code == 401
