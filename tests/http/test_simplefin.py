"""The SimpleFIN server: setup tokens, access URLs, and what an app reads with one."""

import asyncio
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.grants.setup_tokens import SETUP_TOKEN_TTL
from coatcheck.model.accounts import Account
from coatcheck.model.users import User
from coatcheck.simplefin import account_sets
from tests.factories import Keyed, make_account, make_client, make_transaction, make_user
from tests.identity_provider import Provider
from tests.portal_sign_in import window_of, with_claim
from tests.sandbox_members import by_login, sandbox_api

ROOT = "http://coatcheck.test/simplefin"


@dataclass(frozen=True)
class App:
    """An app with its access URL."""

    http: httpx.AsyncClient
    url: str

    @property
    def auth(self) -> tuple[str, str]:
        parts = urlsplit(self.url)
        return parts.username or "", parts.password or ""

    async def read(self, **query: Any) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in query.items()}
        return await self.http.get("/simplefin/accounts", params=given, auth=self.auth)

    async def accounts(self, **query: Any) -> dict[str, Any]:
        answer = await self.read(**query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


async def create(
    http: httpx.AsyncClient, client: Keyed, user_guid: str, *accounts: Account, **more: Any
) -> httpx.Response:
    setup_token = {"account_guids": [each.guid for each in accounts], "app_name": "Actual", **more}
    return await http.post(
        f"/coatcheck/users/{user_guid}/setup_tokens", json={"setup_token": setup_token}, auth=client.auth
    )


def claim_url(created: httpx.Response) -> str:
    assert created.status_code == 201, created.text
    return b64decode(created.json()["setup_token"]["token"], validate=True).decode()


async def claimed(http: httpx.AsyncClient, client: Keyed, *accounts: Account, **more: Any) -> App:
    url = claim_url(await create(http, client, accounts[0].user_guid, *accounts, **more))
    answer = await http.post(url)
    assert answer.status_code == 200, answer.text
    return App(http, answer.text)


@pytest.fixture
async def user(services: Services, client: Keyed) -> User:
    return await make_user(services, client)


@pytest.fixture
async def app(http: httpx.AsyncClient, client: Keyed, account: Account) -> App:
    """An app with access to the account."""
    return await claimed(http, client, account)


async def grants(http: httpx.AsyncClient, client: Keyed, **filters: str) -> list[dict[str, Any]]:
    answer = await http.get("/coatcheck/grants", params=filters, auth=client.auth)
    found: list[dict[str, Any]] = answer.json()["grants"]
    return found


async def revoke(http: httpx.AsyncClient, client: Keyed, grant: dict[str, Any], **body: str) -> None:
    answer = await http.post(f"/coatcheck/grants/{grant['guid']}/revoke", json=body, auth=client.auth)
    assert answer.status_code == 200, answer.text


# --- setup tokens ---


async def test_a_setup_token_is_the_claim_url_in_base64(
    http: httpx.AsyncClient, client: Keyed, account: Account, clock: MovableClock
) -> None:
    created = await create(http, client, account.user_guid, account)
    given = created.json()["setup_token"]
    assert set(given) == {"guid", "token", "expires_at", "app_name", "account_guids"}
    assert (given["app_name"], given["account_guids"]) == ("Actual", [account.guid])
    assert given["guid"].startswith("SUT-")
    expires_at = datetime.fromisoformat(given["expires_at"])
    assert abs(expires_at - clock.now() - timedelta(hours=24)) < timedelta(seconds=5)
    url = claim_url(created)
    assert url.startswith(f"{ROOT}/claim/ccf_")
    assert set(url.rpartition("/")[2]) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"account_guids": []}, "length >= 1"),
        ({"account_guids": ["ACT-1"] * 101}, "length <= 100"),
        ({"app_name": ""}, "length >= 1"),
        ({"app_name": "   "}, "must not be empty"),
        ({"app_name": "x" * 101}, "length <= 100"),
        ({"expires_in": 0}, ">= 1"),
        ({"lookback_days": 0}, ">= 1"),
        ({"max_reads": 0}, ">= 1"),
        ({"permissions": ["numbers"]}, "unknown field `permissions`"),
    ],
)
async def test_a_malformed_request_for_a_setup_token_is_refused_by_name(
    http: httpx.AsyncClient, client: Keyed, account: Account, changes: dict[str, Any], problem: str
) -> None:
    answer = await create(http, client, account.user_guid, account, **changes)
    assert answer.status_code == 400
    assert problem in answer.json()["error"]["message"]


async def test_an_account_of_another_user_is_not_found(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    of_same_client = await make_account(services, await make_user(services, client))
    of_another = await make_account(services, await make_user(services, await make_client(services)))
    for foreign in (of_same_client, of_another):
        answer = await create(http, client, account.user_guid, account, foreign)
        assert answer.status_code == 404


async def test_another_clients_user_is_answered_like_an_unknown_one(
    services: Services, http: httpx.AsyncClient, account: Account
) -> None:
    stranger = await make_client(services)
    answers = [await create(http, stranger, guid, account) for guid in (account.user_guid, "USR-unknown")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


async def test_a_processor_or_nobody_creates_no_setup_token(
    http: httpx.AsyncClient, processor: Keyed, account: Account
) -> None:
    assert (await create(http, processor, account.user_guid, account)).status_code == 401
    answer = await http.post(f"/coatcheck/users/{account.user_guid}/setup_tokens", json={})
    assert answer.status_code == 401


async def test_a_disabled_user_gets_no_setup_token(
    services: Services, http: httpx.AsyncClient, client: Keyed
) -> None:
    account = await make_account(services, await make_user(services, client, is_disabled=True))
    assert (await create(http, client, account.user_guid, account)).status_code == 403


async def test_an_account_without_numbers_can_be_given_to_an_app(
    services: Services, http: httpx.AsyncClient, client: Keyed, user: User
) -> None:
    card = await make_account(services, user, account_number=None, type="CREDIT_CARD")
    app = await claimed(http, client, card)
    assert [each["id"] for each in (await app.accounts())["accounts"]] == [card.guid]


async def test_a_disabled_app_gets_no_further_setup_token_under_its_name(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    app = await claimed(http, client, account)
    (grant,) = await grants(http, client)
    async with services.db.transaction() as connection:
        await services.processors.disable(connection, grant["processor"]["guid"], actor="operator")
    assert (await app.read()).status_code == 403
    assert (await create(http, client, account.user_guid, account)).status_code == 422
    assert (await create(http, client, account.user_guid, account, app_name="Other")).status_code == 201


async def test_an_app_gets_no_api_key(
    services: Services, http: httpx.AsyncClient, client: Keyed, app: App
) -> None:
    (grant,) = await grants(http, client)
    async with services.db.transaction() as connection:
        with pytest.raises(Exception, match="An app has no API key"):
            await services.processors.rotate_key(connection, grant["processor"]["guid"])


async def test_the_codes_of_setup_tokens_count_towards_the_limit_of_an_account(
    http: httpx.AsyncClient, services: Services, client: Keyed, account: Account
) -> None:
    object.__setattr__(services.settings, "max_codes_per_account", 2)
    answers = [await create(http, client, account.user_guid, account) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert int(answers[2].headers["retry-after"]) > 23 * 3600
    await http.post(claim_url(answers[0]))
    assert (await create(http, client, account.user_guid, account)).status_code == 201


# --- the claim ---


async def test_a_claim_gives_the_access_url_as_text(
    http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    answer = await http.post(claim_url(await create(http, client, account.user_guid, account)))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    parts = urlsplit(answer.text)
    assert (parts.scheme, parts.hostname, parts.path) == ("http", "coatcheck.test", "/simplefin")
    assert parts.username is not None
    assert parts.password is not None
    assert parts.password.startswith("ccu_")
    alphabet = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert set(parts.username) | set(parts.password) <= alphabet


async def test_a_claim_ignores_credentials_and_a_body(
    http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    for headers in ({"Authorization": "Basic Og=="}, {"Authorization": "Bearer x"}):
        url = claim_url(await create(http, client, account.user_guid, account))
        assert (await http.post(url, headers=headers, content=b"ignored")).status_code == 200


async def test_a_second_claim_is_refused_and_the_first_access_stays(
    http: httpx.AsyncClient, client: Keyed, account: Account, clock: MovableClock
) -> None:
    url = claim_url(await create(http, client, account.user_guid, account))
    app = App(http, (await http.post(url)).text)
    for _ in range(2):
        refused = await http.post(url)
        assert refused.status_code == 403
        assert refused.text.startswith("Forbidden")
        clock.advance(timedelta(minutes=1))
    assert (await app.read()).status_code == 200


async def test_a_second_claim_is_announced_to_the_client_with_the_reason(
    http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    url = claim_url(await create(http, client, account.user_guid, account))
    await http.post(url)
    await http.post(url)
    events = await http.get("/coatcheck/events", params={"type": "code.refused"}, auth=client.auth)
    (event,) = events.json()["events"]
    assert event["data"]["reason"] == "redeemed"
    assert event["data"]["account_guid"] == account.guid


@pytest.mark.parametrize("token", ["unknown", "ccf_" + "0" * 52, "%00", "x" * 3000])
async def test_an_unknown_setup_token_is_refused(http: httpx.AsyncClient, token: str) -> None:
    answer = await http.post(f"/simplefin/claim/{token}")
    assert answer.status_code in {400, 403}
    assert answer.headers["content-type"].startswith("text/plain")
    assert token not in answer.text or token == "unknown"


async def test_a_setup_token_expires_after_a_day(
    http: httpx.AsyncClient, client: Keyed, account: Account, clock: MovableClock
) -> None:
    url = claim_url(await create(http, client, account.user_guid, account))
    clock.advance(SETUP_TOKEN_TTL - timedelta(seconds=1))
    other = claim_url(await create(http, client, account.user_guid, account))
    clock.advance(timedelta(seconds=2))
    assert (await http.post(url)).status_code == 403
    assert (await http.post(other)).status_code == 200


async def test_of_claims_at_the_same_time_exactly_one_gets_the_access(
    services: Services, http: httpx.AsyncClient, client: Keyed, user: User
) -> None:
    accounts = [await make_account(services, user) for _ in range(3)]
    url = claim_url(await create(http, client, user.guid, *accounts))
    answers = await asyncio.gather(*(http.post(url) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200, *[403] * 19]
    assert len(await grants(http, client)) == 3


async def test_a_setup_token_of_a_disabled_user_or_client_is_refused(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    url = claim_url(await create(http, client, account.user_guid, account))
    await http.put(f"/users/{account.user_guid}", json={"user": {"is_disabled": True}}, auth=client.auth)
    assert (await http.post(url)).status_code == 403
    await http.put(f"/users/{account.user_guid}", json={"user": {"is_disabled": False}}, auth=client.auth)
    async with services.db.transaction() as connection:
        await services.clients.disable(connection, client.guid, actor="operator")
    assert (await http.post(url)).status_code == 403


async def test_a_bulk_revocation_ends_setup_tokens_that_were_not_claimed(
    http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    url = claim_url(await create(http, client, account.user_guid, account))
    body = {"revocation": {"user_guid": account.user_guid}}
    assert (await http.post("/coatcheck/revocations", json=body, auth=client.auth)).status_code == 200
    assert (await http.post(url)).status_code == 403


async def test_after_the_claim_there_is_a_grant_for_each_account_with_one_access_in_common(
    services: Services, http: httpx.AsyncClient, client: Keyed, user: User
) -> None:
    accounts = [await make_account(services, user) for _ in range(2)]
    app = await claimed(http, client, *accounts, lookback_days=30, max_reads=7, expires_in=3600)
    listed = await grants(http, client, status="active")
    assert {grant["account_guid"] for grant in listed} == {each.guid for each in accounts}
    assert {grant["simplefin_access_guid"] for grant in listed} == {app.auth[0]}
    for grant in listed:
        assert grant["processor"]["name"] == "Actual"
        assert sorted(grant["permissions"]) == ["balances", "transactions"]
        assert (grant["lookback_days"], grant["max_reads"]) == (30, 7)
        lifetime = datetime.fromisoformat(grant["expires_at"]) - datetime.fromisoformat(grant["created_at"])
        assert lifetime == timedelta(hours=1)


async def test_without_an_expiry_the_access_lasts_for_a_year(
    http: httpx.AsyncClient, client: Keyed, app: App, clock: MovableClock
) -> None:
    clock.advance(timedelta(days=364))
    assert (await app.read()).status_code == 200
    clock.advance(timedelta(days=1, seconds=5))
    refused = await app.read()
    assert refused.status_code == 403
    assert "expired" in refused.json()["errlist"][0]["msg"]


async def test_one_name_is_one_app_of_the_client(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    other_client = await make_client(services)
    other = await make_account(services, await make_user(services, other_client))
    await claimed(http, client, account)
    await claimed(http, client, account)
    await claimed(http, other_client, other)
    own = {grant["processor"]["guid"] for grant in await grants(http, client)}
    foreign = {grant["processor"]["guid"] for grant in await grants(http, other_client)}
    assert len(own) == len(foreign) == 1
    assert own != foreign


async def test_the_grant_of_an_app_cannot_be_renewed(
    http: httpx.AsyncClient, client: Keyed, app: App
) -> None:
    (grant,) = await grants(http, client)
    answer = await http.post(f"/coatcheck/grants/{grant['guid']}/renewal", auth=client.auth)
    assert answer.status_code == 422
    assert "setup token" in answer.json()["error"]["message"]


# --- reading ---


@pytest.mark.parametrize("change", ["no credentials", "wrong guid", "wrong key", "bearer", "another access"])
async def test_an_access_url_that_is_not_right_reads_nothing(
    http: httpx.AsyncClient, client: Keyed, account: Account, app: App, change: str
) -> None:
    guid, key = app.auth
    other = await claimed(http, client, account)
    sent: dict[str, dict[str, Any]] = {
        "no credentials": {},
        "wrong guid": {"auth": ("SFA-unknown", key)},
        "wrong key": {"auth": (guid, key[:-1] + ("x" if key[-1] != "x" else "y"))},
        "bearer": {"headers": {"Authorization": f"Bearer {key}"}},
        "another access": {"auth": (guid, other.auth[1])},
    }
    answer = await http.get("/simplefin/accounts", **sent[change])
    assert answer.status_code == 403
    body = answer.json()
    assert body["accounts"] == []
    assert body["errlist"][0]["code"] == "gen.auth"
    assert body["errors"] == [body["errlist"][0]["msg"]]


async def test_the_key_of_an_access_url_opens_nothing_else(http: httpx.AsyncClient, app: App) -> None:
    for path in ("/account/account_numbers", "/account/transactions", "/payment_account"):
        answer = await http.get(path, headers={"Authorization": f"Bearer {app.auth[1]}"})
        assert answer.status_code == 401


async def test_an_account_has_every_field_that_an_app_needs(
    services: Services, http: httpx.AsyncClient, client: Keyed, user: User
) -> None:
    account = await make_account(services, user, balance=Decimal("1000.5"), available_balance=None)
    await make_transaction(services, account, amount="12.3", date=date(2026, 1, 2), memo=None)
    found = await (await claimed(http, client, account)).accounts()
    bank = services.registry.find("mxbank")
    assert set(found) == {"errors", "errlist", "connections", "accounts"}
    (one,) = found["accounts"]
    assert one["org"] == {
        "domain": (urlsplit(bank.url).hostname or "").removeprefix("www."),
        "name": bank.name,
        "sfin-url": ROOT,
        "url": bank.url,
        "id": "mxbank",
    }
    assert (one["balance"], one["available-balance"]) == ("1000.50", "1000.50")
    assert one["currency"] == "USD"
    assert isinstance(one["balance-date"], int)
    assert found["connections"] == [
        {
            "conn_id": account.member_guid,
            "name": "MX Bank",
            "org_id": "mxbank",
            "org_url": bank.url,
            "sfin_url": ROOT,
        }
    ]
    assert one["conn_id"] == account.member_guid
    (transaction,) = one["transactions"]
    noon = int(datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp())
    assert transaction == {
        "id": transaction["id"],
        "posted": noon,
        "transacted_at": noon,
        "amount": "-12.30",
        "description": "CORNER SHOP 0042",
        "payee": "Corner shop",
        "memo": "",
    }


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("0", "0.00"),
        ("5", "5.00"),
        ("-5.5", "-5.50"),
        ("1234567.891", "1234567.89"),
        ("0.005", "0.00"),
        ("1E+3", "1000.00"),
    ],
)
async def test_a_balance_has_exactly_two_decimals(
    services: Services, http: httpx.AsyncClient, client: Keyed, user: User, given: str, shown: str
) -> None:
    account = await make_account(services, user, balance=Decimal(given), currency_code="KWD")
    (one,) = (await (await claimed(http, client, account)).accounts())["accounts"]
    assert one["balance"] == shown


@pytest.mark.parametrize("kind", ["CREDIT_CARD", "LOAN", "MORTGAGE", "LINE_OF_CREDIT"])
async def test_what_is_owed_is_a_negative_balance(
    services: Services, http: httpx.AsyncClient, client: Keyed, user: User, kind: str
) -> None:
    owed = await make_account(
        services, user, type=kind, balance=Decimal("250.10"), available_credit=Decimal("749.90")
    )
    paid = await make_account(services, user, type=kind, balance=Decimal(0), available_balance=None)
    found = (await (await claimed(http, client, owed, paid)).accounts())["accounts"]
    shown = {each["id"]: (each["balance"], each["available-balance"]) for each in found}
    assert shown == {owed.guid: ("-250.10", "749.90"), paid.guid: ("0.00", "0.00")}


async def test_a_credit_is_positive_and_all_decimals_of_an_amount_are_kept(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    await make_transaction(services, account, amount="1500", type="CREDIT", date=date(2026, 1, 2))
    await make_transaction(services, account, amount="0.12345", date=date(2026, 1, 1))
    (one,) = (await (await claimed(http, client, account)).accounts())["accounts"]
    assert [each["amount"] for each in one["transactions"]] == ["1500.00", "-0.12345"]


async def test_pending_transactions_are_shown_if_the_app_asks_and_keep_their_id(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    guid = await make_transaction(services, account, status="PENDING", date=date(2026, 1, 2))
    app = await claimed(http, client, account)
    for query in ({}, {"pending": "0"}):
        (one,) = (await app.accounts(**query))["accounts"]
        assert one["transactions"] == []
    for value in ("1", "true", ""):
        (one,) = (await app.accounts(pending=value))["accounts"]
        (pending,) = one["transactions"]
        assert (pending["id"], pending["posted"], pending["pending"]) == (guid, 0, True)
        assert pending["transacted_at"] == int(datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp())
    async with services.db.transaction() as connection:
        await connection.execute("UPDATE transaction SET status = 'POSTED' WHERE guid = %s", (guid,))
    (one,) = (await app.accounts())["accounts"]
    assert one["transactions"][0]["id"] == guid
    assert "pending" not in one["transactions"][0]


def at(day: int, hour: int) -> int:
    return int(datetime(2026, 1, day, hour, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ({"start_date": 0}, [3, 2, 1]),
        ({"start_date": at(2, 0)}, [3, 2]),
        ({"start_date": at(2, 12)}, [3, 2]),
        ({"start_date": at(2, 13)}, [3]),
        ({"start_date": f"{at(2, 12)}.5"}, [3]),
        ({"end_date": at(2, 12)}, [1]),
        ({"end_date": at(2, 13)}, [2, 1]),
        ({"end_date": at(3, 0)}, [2, 1]),
        ({"start_date": at(2, 0), "end_date": at(3, 0)}, [2]),
        ({"start_date": "1e300"}, []),
        ({"end_date": "-1e300"}, []),
        ({"start_date": ""}, [3, 2, 1]),
    ],
)
async def test_dates_include_the_start_and_exclude_the_end(
    services: Services,
    http: httpx.AsyncClient,
    client: Keyed,
    account: Account,
    query: dict[str, Any],
    days: list[int],
) -> None:
    for day in (1, 2, 3):
        await make_transaction(services, account, date=date(2026, 1, day))
    (one,) = (await (await claimed(http, client, account)).accounts(**query))["accounts"]
    assert [datetime.fromtimestamp(each["posted"], UTC).day for each in one["transactions"]] == days


@pytest.mark.parametrize("value", ["yesterday", "NaN", "Infinity", "2026-01-01"])
async def test_a_date_that_is_no_number_is_refused_by_name(app: App, value: str) -> None:
    answer = await app.read(start_date=value)
    assert answer.status_code == 400
    assert answer.json()["errlist"][0]["code"] == "gen.api"
    assert answer.json()["errors"][0].startswith("start-date")


async def test_balances_only_reads_no_transactions(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    await make_transaction(services, account)
    (one,) = (await (await claimed(http, client, account)).accounts(balances_only="1"))["accounts"]
    assert one["transactions"] == []


async def test_an_app_asks_for_some_of_its_accounts(
    services: Services, http: httpx.AsyncClient, client: Keyed, user: User
) -> None:
    first, second, third = [await make_account(services, user) for _ in range(3)]
    foreign = await make_account(services, user)
    app = await claimed(http, client, first, second, third)
    asked = [first.guid, third.guid, foreign.guid, "unknown"]
    found = (await app.accounts(account=asked))["accounts"]
    assert {each["id"] for each in found} == {first.guid, third.guid}
    assert (await app.accounts(account=foreign.guid))["accounts"] == []


async def test_the_answer_is_that_of_both_versions(app: App) -> None:
    assert await app.accounts(version="2") == await app.accounts()


async def test_more_transactions_than_one_answer_holds_are_reported(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account, monkeypatch: Any
) -> None:
    monkeypatch.setattr("coatcheck.simplefin.handlers.MAX_TRANSACTIONS", 2)
    monkeypatch.setattr(account_sets, "MAX_TRANSACTIONS", 2)
    for day in (1, 2, 3):
        await make_transaction(services, account, date=date(2026, 1, day))
    found = await (await claimed(http, client, account)).accounts()
    assert [each["posted"] for each in found["accounts"][0]["transactions"]] == [at(3, 12), at(2, 12)]
    assert [each["code"] for each in found["errlist"]] == ["act.missingdata"]


async def test_each_read_of_each_account_is_one_disclosure(
    services: Services, http: httpx.AsyncClient, client: Keyed, user: User
) -> None:
    accounts = [await make_account(services, user) for _ in range(2)]
    await make_transaction(services, accounts[0])
    app = await claimed(http, client, *accounts)
    await app.accounts()
    await app.accounts(balances_only="1", account=accounts[0].guid)
    reads = {}
    for grant in await grants(http, client):
        answer = await http.get(f"/coatcheck/grants/{grant['guid']}/reads", auth=client.auth)
        reads[grant["account_guid"]] = [(read["what"], read["records"]) for read in answer.json()["reads"]]
    assert reads == {
        accounts[0].guid: [("BALANCES", 1), ("BALANCES_AND_TRANSACTIONS", 2)],
        accounts[1].guid: [("BALANCES_AND_TRANSACTIONS", 1)],
    }


# --- what apps that cannot run here need ---


async def test_the_date_of_a_balance_is_when_the_bank_was_read(settings: Settings) -> None:
    async with sandbox_api(settings) as api:
        member = await by_login(api, [])
        account = (await member.first_account())["guid"]
        body = {"setup_token": {"account_guids": [account], "app_name": "Actual"}}
        created = await api.post(f"/coatcheck/users/{member.user_guid}/setup_tokens", json=body)
        app = App(api.http, (await api.http.post(urlsplit(claim_url(created)).path)).text)
        before = (await app.accounts())["accounts"][0]["balance-date"]
        assert isinstance(api.services.clock, MovableClock)
        api.services.clock.advance(timedelta(days=1))
        changed = await api.put(f"{member.path}/accounts/{account}", json={"account": {"is_hidden": True}})
        assert changed.status_code == 200, changed.text
        assert (await app.accounts())["accounts"][0]["balance-date"] == before


async def test_firefly_iii_finds_its_claim_path_and_reads_from_the_beginning_in_version_1_types(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    await make_transaction(services, account, date=date(2020, 1, 2))
    url = claim_url(await create(http, client, account.user_guid, account))
    assert "/simplefin/claim/" in url
    app = App(http, (await http.post(url)).text)
    found = await app.accounts(start_date=0, pending=1)
    assert isinstance(found["errors"], list)
    (one,) = found["accounts"]
    texts = [one["id"], one["name"], one["currency"], one["balance"], one["available-balance"]]
    assert all(isinstance(each, str) for each in texts)
    assert all(isinstance(each, str) for each in one["org"].values())
    assert isinstance(one["balance-date"], int)
    (row,) = one["transactions"]
    assert all(isinstance(row[name], str) for name in ("id", "amount", "description"))
    assert isinstance(row["posted"], int)


async def test_sure_gets_a_status_for_each_kind_of_refusal(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account, app: App
) -> None:
    assert (await app.read(start_date="x")).status_code == 400
    (grant,) = await grants(http, client)
    await revoke(http, client, grant)
    assert (await app.read()).status_code == 403
    answers = [
        await http.get("/simplefin/accounts", auth=(app.auth[0], f"wrong {number}")) for number in range(110)
    ]
    assert {answer.status_code for answer in answers} == {403, 429}
    assert int(answers[-1].headers["retry-after"]) > 0
    assert answers[-1].json()["accounts"] == []


async def test_securo_reads_version_2_without_a_redirect(app: App) -> None:
    answer = await app.read(version="2")
    assert (answer.status_code, answer.history) == (200, [])
    found = answer.json()
    known = {each["conn_id"] for each in found["connections"]}
    assert {each["conn_id"] for each in found["accounts"]} <= known
    assert found["errlist"] == []


# --- restrictions and the end ---


async def test_no_transaction_before_the_look_back_is_read(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account, clock: MovableClock
) -> None:
    today = clock.now().date()
    for days in (10, 11):
        await make_transaction(services, account, date=today - timedelta(days=days))
    app = await claimed(http, client, account, lookback_days=10)
    (one,) = (await app.accounts(start_date=0))["accounts"]
    assert len(one["transactions"]) == 1


async def test_reads_beyond_the_limit_are_refused_with_the_reason(
    http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    app = await claimed(http, client, account, max_reads=2)
    answers = await asyncio.gather(*(app.read() for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 403, 403, 403, 403]
    assert "used up" in (await app.read()).json()["errlist"][0]["msg"]
    assert [grant["status"] for grant in await grants(http, client)] == ["exhausted"]


async def test_a_grant_that_was_narrowed_to_balances_reads_no_transactions(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    await make_transaction(services, account)
    app = await claimed(http, client, account)
    (grant,) = await grants(http, client)
    for permissions, status in ((["balances"], 200), (["balances"], 200)):
        body = {"grant": {"permissions": permissions}}
        await http.patch(f"/coatcheck/grants/{grant['guid']}", json=body, auth=client.auth)
        answer = await app.read()
        assert answer.status_code == status
        assert answer.json()["accounts"][0]["transactions"] == []
    reads = await http.get(f"/coatcheck/grants/{grant['guid']}/reads", auth=client.auth)
    assert {read["what"] for read in reads.json()["reads"]} == {"BALANCES"}


async def test_a_grant_that_was_narrowed_to_transactions_reads_no_account(
    http: httpx.AsyncClient, client: Keyed, app: App
) -> None:
    (grant,) = await grants(http, client)
    body = {"grant": {"permissions": ["transactions"]}}
    await http.patch(f"/coatcheck/grants/{grant['guid']}", json=body, auth=client.auth)
    answer = await app.read()
    assert answer.status_code == 403
    assert "balances" in answer.json()["errors"][0]


async def test_a_revoked_access_is_refused_with_the_reason(
    http: httpx.AsyncClient, client: Keyed, app: App
) -> None:
    (grant,) = await grants(http, client)
    await revoke(http, client, grant, reason="the user left")
    answer = await app.read()
    assert answer.status_code == 403
    body = answer.json()
    (error,) = body["errlist"]
    assert error == {
        "code": "gen.auth",
        "msg": "The access was revoked: the user left.",
        "message": "The access was revoked: the user left.",
    }
    assert body["errors"] == [error["msg"]]
    assert (body["accounts"], body["connections"]) == ([], [])


async def test_revoking_one_grant_removes_that_account_and_revoking_all_ends_the_access(
    services: Services, http: httpx.AsyncClient, client: Keyed, user: User
) -> None:
    kept, removed = [await make_account(services, user) for _ in range(2)]
    app = await claimed(http, client, kept, removed)
    by_account = {grant["account_guid"]: grant for grant in await grants(http, client)}
    await revoke(http, client, by_account[removed.guid])
    found = await app.accounts()
    assert [each["id"] for each in found["accounts"]] == [kept.guid]
    (error,) = found["errlist"]
    assert (error["code"], error["account_id"]) == ("act.failed", removed.guid)
    assert error["msg"] == "The access was revoked."
    await revoke(http, client, by_account[kept.guid])
    assert (await app.read()).status_code == 403


async def test_a_deleted_user_ends_the_access(
    http: httpx.AsyncClient, client: Keyed, account: Account, app: App
) -> None:
    assert (await http.delete(f"/users/{account.user_guid}", auth=client.auth)).status_code == 204
    assert (await app.read()).status_code == 403


async def test_a_disabled_user_s_access_reads_nothing_until_the_user_is_enabled(
    http: httpx.AsyncClient, client: Keyed, account: Account, app: App
) -> None:
    for is_disabled, status in ((True, 403), (False, 200)):
        body = {"user": {"is_disabled": is_disabled}}
        await http.put(f"/users/{account.user_guid}", json=body, auth=client.auth)
        assert (await app.read()).status_code == status


@pytest.mark.parametrize("status", ["DISCONNECTED", "CLOSED"])
async def test_a_broken_connection_is_named_and_its_accounts_are_not_read(
    services: Services, http: httpx.AsyncClient, client: Keyed, user: User, status: str
) -> None:
    broken, intact = [await make_account(services, user) for _ in range(2)]
    app = await claimed(http, client, broken, intact)
    await set_status(services, broken, status)
    found = await app.accounts()
    assert [each["id"] for each in found["accounts"]] == [intact.guid]
    (error,) = found["errlist"]
    assert (error["code"], error["conn_id"]) == ("con.auth", broken.member_guid)
    assert error["msg"] == "Connection to MX Bank may need attention"
    assert len(found["connections"]) == 2
    await set_status(services, intact, status)
    assert (await app.accounts())["accounts"] == []


@pytest.mark.parametrize("status", ["DENIED", "CHALLENGED", "LOCKED", "EXPIRED"])
async def test_a_connection_that_waits_for_the_user_is_named_once_beside_its_accounts(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account, app: App, status: str
) -> None:
    await set_status(services, account, status)
    found = await app.accounts()
    assert found["errors"] == ["Connection to MX Bank may need attention"]
    assert [each["id"] for each in found["accounts"]] == [account.guid]


async def test_an_outage_of_the_bank_is_reported_as_old_data(
    services: Services, account: Account, app: App
) -> None:
    await set_status(services, account, "DEGRADED")
    found = await app.accounts()
    assert [each["code"] for each in found["errlist"]] == ["con."]
    assert "out of date" in found["errors"][0]


async def set_status(services: Services, account: Account, status: str) -> None:
    async with services.db.transaction() as connection:
        await connection.execute(
            "UPDATE member SET connection_status = %s WHERE guid = %s", (status, account.member_guid)
        )


# --- the server ---


async def test_the_versions_are_listed_for_everyone(http: httpx.AsyncClient) -> None:
    assert (await http.get("/simplefin/info")).json() == {"versions": ["1.0", "2.0"]}


async def test_the_page_for_users_says_how_to_get_a_setup_token(http: httpx.AsyncClient) -> None:
    answer = await http.get("/simplefin/create")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "setup token" in answer.text


async def test_the_page_for_users_leads_to_the_sign_in_of_the_portal_where_there_is_one(
    services: Services, client: Keyed, clock: MovableClock
) -> None:
    window = window_of(with_claim(services, client, Provider(clock), "sub"))
    answer = await window.get("/simplefin/create")
    assert f'href="{services.settings.base_url}/portal/sign-in"' in answer.text
    assert (await window.get("/portal/sign-in")).status_code == 303


async def test_another_method_is_refused_in_the_format_of_simplefin(http: httpx.AsyncClient) -> None:
    answer = await http.post("/simplefin/accounts")
    assert answer.status_code == 405
    assert answer.headers["allow"].split(", ")[0] == "GET"
    assert answer.json()["accounts"] == []
