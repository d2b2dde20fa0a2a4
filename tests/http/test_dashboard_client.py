"""The pages of a client's staff: users, connections and grants."""

import re
from datetime import timedelta
from html import unescape

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.audit.entries import Entry
from coatcheck.clock import MovableClock
from coatcheck.members.institutions import ClientAt
from coatcheck.model.accounts import Account
from coatcheck.model.institution_statuses import ClientStatus
from coatcheck.model.users import User
from coatcheck.staff.roles import CLIENT_ROLES, Role
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_job,
    make_processor,
    make_token,
    make_user,
)
from tests.portal_client import text_of
from tests.staff import Window, signed_in

NUMBER = "1234567890"
SUPPORTERS = (Role.CLIENT_ADMIN, Role.CLIENT_SUPPORT)


@pytest.fixture
async def window(services: Services, http: httpx.AsyncClient, client: Keyed) -> Window:
    return await signed_in(services, http, Role.CLIENT_SUPPORT, client, name="Sam Supporter")


@pytest.fixture
async def user(services: Services, client: Keyed) -> User:
    return await make_user(services, client, id="ann-7", email="Ann@example.com")


@pytest.fixture
async def account(services: Services, user: User) -> Account:
    return await make_account(services, user, account_number=NUMBER)


@pytest.fixture
async def token(services: Services, account: Account, processor: Keyed) -> str:
    return await make_token(services, account, processor)


async def grant_guid(http: httpx.AsyncClient, client: Keyed) -> str:
    answer = await http.get("/coatcheck/grants", auth=client.auth)
    return str(answer.json()["grants"][0]["guid"])


async def read(http: httpx.AsyncClient, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return (await http.get("/account/account_numbers", headers=headers)).status_code


async def entries_of(services: Services, subject: str) -> list[tuple[str, str, str]]:
    """The actions on an object, each with the name of who acted and the reason."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::json ->> 'action', body::json -> 'detail' ->> 'actor_name',
                      body::json -> 'detail' ->> 'reason'
               FROM audit_entry WHERE body::json ->> 'subject' = %s ORDER BY guid""",
            (subject,),
        )
        return [(action, name, reason) for action, name, reason in await cursor.fetchall()]


async def test_users_are_found_by_a_part_of_an_id_or_an_address(
    services: Services, window: Window, client: Keyed, user: User
) -> None:
    other = await make_user(services, client, id="bob", is_disabled=True)
    for search, found in (
        ("", {user.guid, other.guid}),
        ("ann@EXAMPLE", {user.guid}),
        ("NN-7", {user.guid}),
        (other.guid[8:], {other.guid}),
        ("nobody", set()),
    ):
        page = await window.get(f"/dashboard/users?search={search}")
        assert {each for each in (user.guid, other.guid) if each in page.text} == found, search
    page = await window.get("/dashboard/users?status=disabled")
    assert (other.guid in page.text, user.guid in page.text) == (True, False)


async def test_a_list_of_users_is_paged_by_its_url(services: Services, window: Window, client: Keyed) -> None:
    users = [await make_user(services, client, id=f"user {n}") for n in range(27)]
    first = await window.get("/dashboard/users?search=user")
    assert "?search=user&amp;page=2" in first.text
    assert users[-1].guid not in first.text
    second = await window.get("/dashboard/users?search=user&page=2")
    assert users[-1].guid in second.text
    assert "27 entries" in text_of(second)


async def test_a_user_leads_to_connections_accounts_and_grants(
    services: Services, window: Window, user: User, account: Account, token: str
) -> None:
    await make_job(services, account)
    page = await window.get(f"/dashboard/users/{user.guid}")
    assert "Ann@example.com" in page.text
    assert f"/dashboard/members/{account.member_guid}" in page.text
    member = await window.get(f"/dashboard/members/{account.member_guid}")
    assert "CONNECTED" in member.text
    assert "AGGREGATION" in member.text
    assert NUMBER not in member.text
    assert f"/dashboard/accounts/{account.guid}/numbers" in member.text
    grants = await window.get(f"/dashboard/grants?account={account.guid}")
    assert "Test processor" in grants.text


async def test_the_connections_that_are_broken_are_listed(
    services: Services, window: Window, account: Account
) -> None:
    assert "No connection is broken" in text_of(await window.get("/dashboard/members"))
    async with services.db.transaction() as connection:
        await connection.execute(
            "UPDATE member SET connection_status = 'CLOSED' WHERE guid = %s", (account.member_guid,)
        )
    for query, shown in (("", True), ("?institution=mxbank", True), ("?institution=other", False)):
        page = await window.get(f"/dashboard/members{query}")
        assert (account.member_guid in page.text) is shown


async def test_numbers_are_shown_for_a_reason_that_the_audit_log_keeps(
    services: Services, window: Window, account: Account
) -> None:
    path = f"/dashboard/accounts/{account.guid}/numbers"
    assert NUMBER not in (await window.get(path)).text
    for reason in ("", "   "):
        answer = await window.post(path, reason=reason)
        assert (answer.status_code, "Give a reason" in text_of(answer)) == (400, True)
    assert await entries_of(services, account.guid) == []
    page = await window.post(path, reason="Case 4711: the payout failed")
    assert NUMBER in text_of(page)
    assert await entries_of(services, account.guid) == [
        ("account_numbers.revealed", "Sam Supporter", "Case 4711: the payout failed")
    ]
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT reader_guid, what FROM disclosure WHERE record_guid = %s", (account.guid,)
        )
        ((reader, what),) = await cursor.fetchall()
    assert (reader[:4], what) == ("STF-", "ACCOUNT_NUMBERS")


@pytest.mark.parametrize("role", CLIENT_ROLES)
async def test_only_those_who_support_users_read_numbers_and_revoke(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account, token: str, role: Role
) -> None:
    window = await signed_in(services, http, role, client)
    member = await window.get(f"/dashboard/members/{account.member_guid}")
    assert ("/numbers" in member.text) is (role in SUPPORTERS)
    guid = await grant_guid(http, client)
    grant = await window.get(f"/dashboard/grants/{guid}")
    assert ("/revoke" in grant.text) is (role in SUPPORTERS)
    for path in (f"/accounts/{account.guid}/numbers", f"/grants/{guid}/revoke"):
        assert (await window.get(f"/dashboard{path}")).status_code == (200 if role in SUPPORTERS else 403)
    assert await read(http, token) == 200


async def test_a_grant_shows_its_reads(
    http: httpx.AsyncClient, window: Window, client: Keyed, token: str
) -> None:
    path = f"/dashboard/grants/{await grant_guid(http, client)}"
    assert "has read nothing" in text_of(await window.get(path))
    assert await read(http, token) == 200
    page = text_of(await window.get(path))
    assert "ACCOUNT_NUMBERS" in page
    assert "1 entry" in page


async def test_a_revoked_grant_reads_no_more_and_the_receipt_is_shown(
    services: Services, http: httpx.AsyncClient, window: Window, client: Keyed, token: str
) -> None:
    guid = await grant_guid(http, client)
    path = f"/dashboard/grants/{guid}/revoke"
    assert (await window.post(path, reason="")).status_code == 400
    assert await read(http, token) == 200
    page = await window.post(path, reason="The user asked us to")
    assert "The grant is revoked" in text_of(page)
    assert 'id="receipt"' in page.text
    assert await read(http, token) == 401
    assert ("token.revoked", "Sam Supporter") in [each[:2] for each in await entries_of(services, guid)]
    shown = text_of(await window.get(f"/dashboard/grants/{guid}"))
    assert "The user asked us to" in shown
    assert "/revoke" not in shown


async def test_grants_are_listed_by_state_processor_and_user(
    services: Services, window: Window, client: Keyed, processor: Keyed, account: Account, token: str
) -> None:
    other = await make_processor(services, client, name="Ledger Books")
    await make_token(services, account, other)
    for query, names in (
        ("", {"Test processor", "Ledger Books"}),
        (f"?processor={other.guid}&status=active", {"Ledger Books"}),
        (f"?user={account.user_guid}&status=revoked", set()),
        ("?member=MBR-unknown", set()),
    ):
        rows = (await window.get(f"/dashboard/grants{query}")).text.partition("<tbody>")[2]
        assert {name for name in ("Test processor", "Ledger Books") if name in rows} == names, query
    page = (await window.get(f"/dashboard/grants?user={account.user_guid}")).text
    assert f"?user={account.user_guid}&amp;status=active" in page
    assert (await window.get("/dashboard/grants?status=king")).status_code == 400
    assert 'href="/dashboard/grants">All grants' in page
    assert "All grants" not in (await window.get("/dashboard/grants?status=active")).text


async def test_what_belongs_to_another_client_does_not_exist(
    services: Services, http: httpx.AsyncClient, client: Keyed, user: User, account: Account, token: str
) -> None:
    guid = await grant_guid(http, client)
    stranger = await signed_in(services, http, Role.CLIENT_ADMIN, await make_client(services))
    for path in (
        f"/users/{user.guid}",
        f"/users/{user.id}",
        f"/members/{account.member_guid}",
        f"/accounts/{account.guid}/numbers",
        f"/grants/{guid}",
        f"/grants/{guid}/revoke",
    ):
        assert (await stranger.get(f"/dashboard{path}")).status_code == 404, path
    for path in (f"/accounts/{account.guid}/numbers", f"/grants/{guid}/revoke"):
        answer = await stranger.post(f"/dashboard{path}", on="/dashboard/users", reason="x")
        assert answer.status_code in (403, 404), path
    for path in ("/users", "/members", "/grants"):
        assert account.user_guid not in (await stranger.get(f"/dashboard{path}")).text
    assert await read(http, token) == 200


class TestInstitutions:
    @pytest.fixture
    async def attempts(self, services: Services, client: Keyed, account: Account) -> None:
        """Of three attempts at MX Bank in the last week two succeeded; one before it failed, as did a daily job."""
        now = services.clock.now()
        for outcome, days, more in (
            ("CONNECTED", 0, {}),
            ("CONNECTED", 2, {}),
            ("DENIED", 2, {}),
            ("FAILED", 20, {}),
            ("FAILED", 0, {"is_background": True}),
            ("FAILED", 0, {"client_guid": "CLT-another"}),
            (None, 0, {}),
        ):
            values = {"client_guid": client.guid, "outcome": outcome, "ended_at": now - timedelta(days=days)}
            await make_job(services, account, **values | more)

    @pytest.mark.parametrize(
        ("period", "shown"),
        [
            ("1", "1 of 1 succeeded (100 %)"),
            ("7", "2 of 3 succeeded (66 %)"),
            ("30", "2 of 4 succeeded (50 %)"),
        ],
    )
    async def test_an_institution_shows_how_many_attempts_of_a_period_succeeded(
        self, window: Window, attempts: None, period: str, shown: str
    ) -> None:
        page = text_of(await window.get(f"/dashboard/client/institutions/mxbank?period={period}"))
        assert shown in page
        assert ("DENIED" in page) is (period != "1")

    async def test_the_list_has_the_success_at_each_institution(self, window: Window, attempts: None) -> None:
        page = await window.get("/dashboard/client/institutions?status=used")
        assert "MX Bank OPERATIONAL 3 66 %" in " ".join(text_of(page).split())
        assert page.text.count("<tr>") == 2
        assert (await window.get("/dashboard/client/institutions?status=king")).status_code == 400
        found = await window.get("/dashboard/client/institutions?search=nowhere")
        assert "No institution is found" in text_of(found)

    async def test_an_institution_at_which_nobody_tried_says_so(self, window: Window) -> None:
        for path in ("/client/institutions?status=used", "/client/institutions/mxbank"):
            assert "Nobody tried to connect" in text_of(await window.get(f"/dashboard{path}")), path

    async def test_the_status_of_an_institution_is_that_for_the_client(
        self, services: Services, window: Window, client: Keyed
    ) -> None:
        listed = "/dashboard/client/institutions?status=restricted"
        assert "No institution is found" in text_of(await window.get(listed))
        other = await make_client(services)
        for owner, status in ((client, ClientStatus.PREVENT_NEW), (other, ClientStatus.PREVENT_ALL)):
            at = ClientAt(owner.guid, "mxbank")
            await services.institutions.set_client_status(at, status, actor="operator")
        for path in (listed, "/dashboard/client/institutions/mxbank"):
            page = text_of(await window.get(path))
            assert ("PREVENT_NEW" in page, "PREVENT_ALL" in page) == (True, False), path

    async def test_an_unknown_institution_or_period_is_refused(self, window: Window) -> None:
        assert (await window.get("/dashboard/client/institutions/nowhere")).status_code == 404
        assert (await window.get("/dashboard/client/institutions?period=365")).status_code == 400


class TestAuditLog:
    @pytest.fixture
    async def auditor(self, services: Services, http: httpx.AsyncClient, client: Keyed) -> Window:
        return await signed_in(services, http, Role.CLIENT_AUDITOR, client, name="Ada Auditor")

    async def record(self, services: Services, client: Keyed, action: str, actor: str, **detail: str) -> None:
        entry = Entry(client_guid=client.guid, actor=actor, action=action, subject="TKN-1", detail=detail)
        async with services.db.transaction() as connection:
            await services.journal.record(connection, entry)

    async def actions(self, window: Window, query: str) -> list[str]:
        page = await window.get(f"/dashboard/audit?{query}")
        assert page.status_code == 200
        return re.findall(r"<td>([a-z_]+\.[a-z_]+)</td>", page.text)

    async def test_entries_are_listed_newest_first_by_action_actor_and_time(
        self, services: Services, http: httpx.AsyncClient, clock: MovableClock, client: Keyed
    ) -> None:
        started = clock.now().date()
        await self.record(
            services, client, "token.revoked", "STF-1", actor_name="Sam Supporter", reason="asked"
        )
        clock.advance(timedelta(days=2))
        await self.record(services, client, "token.narrowed", "USR-1")
        await self.record(services, await make_client(services), "token.other", "USR-1")
        auditor = await signed_in(services, http, Role.CLIENT_AUDITOR, client)
        assert (await self.actions(auditor, "action=token.*"))[:2] == ["token.narrowed", "token.revoked"]
        for query, found in (
            ("action=token.*", ["token.narrowed", "token.revoked"]),
            ("action=token.revoked", ["token.revoked"]),
            ("action=token", []),
            ("action=token.*&actor=supporter", ["token.revoked"]),
            ("actor=USR-1", ["token.narrowed"]),
            (f"action=token.*&until={started}", ["token.revoked"]),
            ("until=0001-01-01", []),
            (f"action=token.*&since={started + timedelta(days=1)}", ["token.narrowed"]),
        ):
            assert await self.actions(auditor, query) == found, query
        page = text_of(await auditor.get("/dashboard/audit?action=token.revoked"))
        assert "Sam Supporter" in page
        assert "reason: asked" in page

    async def test_a_long_log_is_paged_by_the_place_in_it(
        self, services: Services, client: Keyed, auditor: Window
    ) -> None:
        for number in range(30):
            await self.record(services, client, "token.revoked", f"USR-{number}")
        first = await auditor.get("/dashboard/audit?action=token.revoked")
        assert [number for number in range(30) if f"<td>USR-{number}</td>" in first.text] == [*range(5, 30)]
        following = re.search(r'href="([^"]*)" rel="next"', first.text)
        assert following
        # What is written meanwhile moves no entry to another page.
        await self.record(services, client, "token.revoked", "USR-30")
        second = await auditor.get(f"/dashboard/audit{unescape(following[1])}")
        assert [number for number in range(31) if f"<td>USR-{number}</td>" in second.text] == [*range(5)]
        assert 'rel="next"' not in second.text

    async def test_a_search_without_a_result_says_what_to_do(self, auditor: Window) -> None:
        assert "Search an earlier period" in text_of(await auditor.get("/dashboard/audit?action=none.*"))

    @pytest.mark.parametrize("query", ["since=yesterday", "before=x", "actor=%00"])
    async def test_a_wrong_filter_is_refused(self, auditor: Window, query: str) -> None:
        assert (await auditor.get(f"/dashboard/audit?{query}")).status_code == 400
