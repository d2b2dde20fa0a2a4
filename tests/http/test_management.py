"""The management API: who may call it, and what it refuses in a request."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.directory.processor_rows import enable_processor
from coatcheck.grants import revocation
from coatcheck.grants.narrowing import Changes
from coatcheck.members.account_rows import delete_account
from coatcheck.model.accounts import find_account
from coatcheck.model.tokens import GrantStatus
from coatcheck.signatures import DocumentType, verify
from coatcheck.vault.signing_keys import key_set, published_keys
from tests.factories import Keyed, make_client, make_code, make_token
from tests.http.owned_objects import Owner, make_owner

Change: TypeAlias = Callable[[Services, Owner], Awaitable[str]]
"""Changes the grant of the owner, and says its status."""


@pytest.fixture
async def owner(services: Services, http: httpx.AsyncClient) -> Owner:
    return await make_owner(services, http)


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["message"]


async def test_a_client_and_a_processor_use_the_same_path_with_their_own_keys(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    for caller in (owner.client, owner.processor):
        answer = await http.get("/coatcheck/grants", auth=caller.auth)
        assert answer.status_code == 200, answer.text
        assert [grant["guid"] for grant in answer.json()["grants"]] == [owner.guids["grant"]]


async def test_a_caller_without_its_key_is_refused_before_anything_else(
    http: httpx.AsyncClient, owner: Owner, processor: Keyed
) -> None:
    refused = [
        None,
        (owner.client.guid, owner.processor.api_key),
        (owner.processor.guid, owner.client.api_key),
        (owner.processor.guid, processor.api_key),
        (owner.client.guid, ""),
    ]
    for auth in refused:
        answer = await http.get("/coatcheck/grants?misspelt=x", auth=auth)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")


async def test_an_unknown_or_repeated_query_parameter_is_refused_by_name(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    misspelt = await http.get("/coatcheck/grants?user_guids=USR-1", auth=owner.client.auth)
    assert problem(misspelt)[0] == 400
    assert "`user_guids` is unknown" in problem(misspelt)[1]
    assert "status, user_guid." in problem(misspelt)[1]
    repeated = await http.get("/coatcheck/grants?status=active&status=expired", auth=owner.client.auth)
    assert problem(repeated) == (400, "The query parameter `status` is repeated.")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/renewal"), ("POST", "/revoke"), ("GET", ""), ("GET", "/reads")]
)
async def test_an_unknown_field_is_refused_by_name_also_where_no_body_is_needed(
    http: httpx.AsyncClient, owner: Owner, method: str, path: str
) -> None:
    path, auth = f"/coatcheck/grants/{owner.guids['grant']}{path}", owner.client.auth
    refused = await http.request(method, path, json={"raeson": "x"}, auth=auth)
    assert problem(refused)[0] == 400
    assert "`raeson`" in problem(refused)[1]
    assert (await http.request(method, path, json={}, auth=auth)).status_code == 200


async def test_the_permissions_of_a_grant_are_in_the_order_of_the_documentation(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    answer = await http.get(f"/coatcheck/grants/{owner.guids['grant']}", auth=owner.client.auth)
    assert answer.json()["grant"]["permissions"] == ["numbers", "owners", "transactions", "balances"]


async def test_an_unknown_status_is_refused_with_the_known_ones(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    answer = await http.get("/coatcheck/grants?status=open", auth=owner.client.auth)
    assert problem(answer)[0] == 400
    assert problem(answer)[1].startswith("status must be one of active, ")


async def test_an_empty_filter_is_no_filter(http: httpx.AsyncClient, owner: Owner) -> None:
    answer = await http.get("/coatcheck/grants?status=&user_guid=&processor_guid=", auth=owner.client.auth)
    assert len(answer.json()["grants"]) == 1


async def test_a_processor_lists_its_own_grants_only(
    services: Services, http: httpx.AsyncClient, owner: Owner
) -> None:
    other = await make_owner(services, http, owner.client)
    own = await http.get("/coatcheck/grants", auth=other.processor.auth)
    assert [grant["guid"] for grant in own.json()["grants"]] == [other.guids["grant"]]
    foreign = await http.get(
        "/coatcheck/grants", params={"processor_guid": owner.processor.guid}, auth=other.processor.auth
    )
    assert foreign.json()["grants"] == []
    assert foreign.json()["pagination"]["total_entries"] == 0
    read = await http.get(f"/coatcheck/grants/{owner.guids['grant']}", auth=other.processor.auth)
    assert read.status_code == 404


async def test_another_clients_grant_is_answered_like_an_unknown_one(
    services: Services, http: httpx.AsyncClient, owner: Owner
) -> None:
    stranger = await make_client(services)
    answers = [
        await http.get(f"/coatcheck/grants/{guid}", auth=stranger.auth)
        for guid in (owner.guids["grant"], "TKN-unknown")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


# --- revocation ---


async def revoke(http: httpx.AsyncClient, owner: Owner, **more: Any) -> httpx.Response:
    return await http.post(f"/coatcheck/grants/{owner.guids['grant']}/revoke", auth=owner.client.auth, **more)


async def test_a_revoked_grant_reads_no_more_and_says_by_whom_and_why(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    assert (await http.get("/payment_account", headers=owner.bearer)).status_code == 200
    answer = await revoke(http, owner, json={"reason": "the user left"})
    assert answer.status_code == 200, answer.text
    grant = answer.json()["grant"]
    assert (grant["status"], grant["revoked_by"], grant["revocation_reason"]) == (
        "revoked",
        owner.client.guid,
        "the user left",
    )
    assert grant["revoked_at"].endswith("Z")
    assert (await http.get("/payment_account", headers=owner.bearer)).status_code == 401


async def test_a_second_revocation_gives_the_same_receipt_and_keeps_the_first_reason(
    http: httpx.AsyncClient, owner: Owner, clock: MovableClock
) -> None:
    first = await revoke(http, owner, json={"reason": "first"})
    clock.advance(timedelta(hours=1))
    second = await revoke(http, owner, json={"reason": "second"})
    assert second.json() == first.json()
    assert second.json()["grant"]["revocation_reason"] == "first"


async def test_the_receipt_of_a_revocation_is_signed_by_a_published_key(
    services: Services, http: httpx.AsyncClient, owner: Owner
) -> None:
    receipt = (await revoke(http, owner)).json()["receipt"]
    async with services.db.connection() as connection:
        published = key_set(await published_keys(connection, services.clock.now()))["keys"]
    document = verify(receipt, published)
    assert document.type is DocumentType.REVOCATION
    assert document.claims["grant_guids"] == [owner.guids["grant"]]


async def test_a_processor_may_not_revoke(http: httpx.AsyncClient, owner: Owner) -> None:
    path = f"/coatcheck/grants/{owner.guids['grant']}/revoke"
    assert (await http.post(path, auth=owner.processor.auth)).status_code == 401
    assert (await http.get("/payment_account", headers=owner.bearer)).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reasons": "x"}, "reasons"),
        ({"reason": 3}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"reason": "x" * 1001}, "reason"),
        ([], "object"),
    ],
)
async def test_a_revocation_with_an_invalid_body_is_refused_and_revokes_nothing(
    http: httpx.AsyncClient, owner: Owner, body: Any, field: str
) -> None:
    status, message = problem(await revoke(http, owner, json=body))
    assert status == 400
    assert field in message
    assert (await http.get("/payment_account", headers=owner.bearer)).status_code == 200


@pytest.mark.parametrize(
    ("revocation", "words"),
    [
        ({}, "it must contain processor_guid"),
        ({"reason": "only a reason"}, "it must contain processor_guid"),
        ({"user_guid": None}, "it must contain processor_guid"),
        ({"user_guid": ""}, "user_guid"),
        ({"user_guid": 7}, "user_guid"),
        ({"user_guids": "USR-1"}, "unknown field `user_guids`"),
        ({"issued_before": "yesterday"}, "issued_before: it must be a time with a time zone, such as"),
        ({"issued_before": "2026-01-01"}, "issued_before: it must be a time with a time zone, such as"),
        ({"issued_before": "0001-01-01T00:00:00+23:59"}, "`issued_before` is out of range"),
        ({"issued_before": "9999-12-31T23:59:59-23:59"}, "`issued_before` is out of range"),
        ({"issued_before": "2026-01-01T00:00:00"}, "issued_before"),
        ({"user_guid": "USR-1", "all": True}, "unknown field `all`"),
    ],
)
async def test_a_revocation_without_a_valid_selector_is_refused_and_revokes_nothing(
    http: httpx.AsyncClient, owner: Owner, revocation: Any, words: str
) -> None:
    answer = await http.post(
        "/coatcheck/revocations", json={"revocation": revocation}, auth=owner.client.auth
    )
    status, message = problem(answer)
    assert status == 400
    assert words in message
    assert (await http.get("/payment_account", headers=owner.bearer)).status_code == 200


@pytest.mark.parametrize("selector", ["processor", "account", "member", "user"])
async def test_a_selector_revokes_exactly_the_grants_that_it_names(
    services: Services, http: httpx.AsyncClient, owner: Owner, selector: str
) -> None:
    beside, foreign = await make_owner(services, http, owner.client), await make_owner(services, http)
    guid = owner.processor.guid if selector == "processor" else owner.guids[selector]
    for caller, revoked in ((foreign, 0), (owner, 1), (owner, 0)):
        answer = await http.post(
            "/coatcheck/revocations",
            json={"revocation": {f"{selector}_guid": guid, "reason": "a breach"}},
            auth=caller.client.auth,
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["revocation"]["revoked"] == revoked
    statuses = [
        (await http.get("/payment_account", headers=each.bearer)).status_code
        for each in (owner, beside, foreign)
    ]
    assert statuses == [401, 200, 200]


@pytest.mark.parametrize("selector", ["processor", "account", "member", "user"])
async def test_a_selector_ends_exactly_the_codes_that_it_names(
    services: Services, http: httpx.AsyncClient, owner: Owner, selector: str
) -> None:
    others = [await make_owner(services, http, owner.client), await make_owner(services, http)]
    codes = [await code_for(services, each) for each in (owner, *others)]
    guid = owner.processor.guid if selector == "processor" else owner.guids[selector]
    body = {"revocation": {f"{selector}_guid": guid}}
    answer = await http.post("/coatcheck/revocations", json=body, auth=owner.client.auth)
    assert answer.json()["revocation"]["revoked"] == 1
    statuses = [
        (await redeem(http, each, code)).status_code
        for each, code in zip((owner, *others), codes, strict=True)
    ]
    assert statuses == [400, 200, 200]


async def test_after_a_revocation_by_instant_only_later_codes_are_redeemed(
    services: Services, http: httpx.AsyncClient, owner: Owner, clock: MovableClock
) -> None:
    earlier = await code_for(services, owner)
    clock.advance(timedelta(seconds=1))
    body = {"revocation": {"issued_before": clock.instant().isoformat()}}
    later = await code_for(services, owner)
    assert (await http.post("/coatcheck/revocations", json=body, auth=owner.client.auth)).status_code == 200
    assert (await redeem(http, owner, earlier)).status_code == 400
    assert (await redeem(http, owner, later)).status_code == 200
    again = await http.post("/coatcheck/revocations", json=body, auth=owner.client.auth)
    assert again.json()["revocation"]["revoked"] == 0


async def test_no_token_outlives_a_revocation_during_which_its_code_was_redeemed(
    services: Services, http: httpx.AsyncClient, owner: Owner
) -> None:
    codes = [await code_for(services, owner) for _ in range(24)]
    body = {"revocation": {"user_guid": owner.guids["user"]}}
    _, *answers = await asyncio.gather(
        http.post("/coatcheck/revocations", json=body, auth=owner.client.auth),
        *(redeem(http, owner, code) for code in codes),
    )
    tokens = [answer.json()["access_token"] for answer in answers if answer.status_code == 200]
    for token in tokens:
        read = await http.get("/payment_account", headers={"Authorization": f"Bearer {token}"})
        assert read.status_code == 401


async def code_for(services: Services, owner: Owner) -> str:
    """A code for the owner's account and processor."""
    async with services.db.connection() as connection:
        account = await find_account(connection, owner.guids["user"], owner.guids["account"])
    return await make_code(services, account, atoms=f"processor-guid:{owner.processor.guid}")


async def redeem(http: httpx.AsyncClient, owner: Owner, code: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code}
    return await http.post("/oauth/token", data=form, auth=owner.processor.auth)


async def test_a_revocation_by_instant_spares_what_was_issued_later(
    services: Services, http: httpx.AsyncClient, owner: Owner, clock: MovableClock
) -> None:
    clock.advance(timedelta(hours=1))
    before = clock.instant()
    clock.advance(timedelta(hours=1))
    later = await make_owner(services, http, owner.client)
    answer = await http.post(
        "/coatcheck/revocations",
        json={"revocation": {"issued_before": before.isoformat()}},
        auth=owner.client.auth,
    )
    assert answer.json()["revocation"]["revoked"] == 1
    assert (await http.get("/payment_account", headers=owner.bearer)).status_code == 401
    assert (await http.get("/payment_account", headers=later.bearer)).status_code == 200


async def test_a_revocation_by_instant_spares_what_was_issued_at_that_instant(
    services: Services, http: httpx.AsyncClient, owner: Owner
) -> None:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT created_at FROM access_token WHERE guid = %s", (owner.guids["grant"],)
        )
        row = await cursor.fetchone()
    assert row is not None
    for issued_before, revoked in ((row[0], 0), (row[0] + timedelta(microseconds=1), 1)):
        body = {"revocation": {"issued_before": issued_before.isoformat()}}
        answer = await http.post("/coatcheck/revocations", json=body, auth=owner.client.auth)
        assert answer.json()["revocation"]["revoked"] == revoked


async def test_a_revocation_by_processor_ends_no_grant_and_no_code_of_another_client(
    services: Services, http: httpx.AsyncClient, owner: Owner
) -> None:
    """A processor may serve several clients."""
    other = await make_client(services)
    async with services.db.transaction() as connection:
        await enable_processor(
            connection,
            client_guid=other.guid,
            processor_guid=owner.processor.guid,
            now=services.clock.now(),
        )
    code = await code_for(services, owner)
    body = {"revocation": {"processor_guid": owner.processor.guid}}
    answer = await http.post("/coatcheck/revocations", json=body, auth=other.auth)
    assert answer.json()["revocation"]["revoked"] == 0
    assert (await http.get("/payment_account", headers=owner.bearer)).status_code == 200
    assert (await redeem(http, owner, code)).status_code == 200


async def test_a_selector_revokes_more_grants_than_one_batch(
    services: Services, http: httpx.AsyncClient, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with services.db.connection() as connection:
        account = await find_account(connection, owner.guids["user"], owner.guids["account"])
    for _ in range(4):
        await make_token(services, account, owner.processor)
    monkeypatch.setattr(revocation, "BATCH", 2)
    answer = await http.post(
        "/coatcheck/revocations",
        json={"revocation": {"user_guid": owner.guids["user"]}},
        auth=owner.client.auth,
    )
    assert answer.json()["revocation"]["revoked"] == 5
    listed = await http.get(f"/coatcheck/grants?user_guid={owner.guids['user']}", auth=owner.client.auth)
    assert await named_as_revoked(services, owner) == sorted(each["guid"] for each in listed.json()["grants"])


async def named_as_revoked(services: Services, owner: Owner) -> list[str]:
    """The grants that the audit log names in entries about revocations of several."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::jsonb #>> '{detail,grants}' FROM audit_entry
               WHERE client_guid = %s AND body::jsonb ->> 'action' = 'tokens.revoked'""",
            (owner.client.guid,),
        )
        return sorted(guid for (guids,) in await cursor.fetchall() for guid in guids.split())


# --- narrowing and renewal ---


async def narrow(http: httpx.AsyncClient, owner: Owner, grant: Any) -> httpx.Response:
    return await http.patch(
        f"/coatcheck/grants/{owner.guids['grant']}", json={"grant": grant}, auth=owner.client.auth
    )


async def test_a_grant_that_was_narrowed_to_any_permitted_limit_can_be_changed_again(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    for limits in ({"lookback_days": 36_500, "max_reads": 2**31 - 1}, {"lookback_days": 1, "max_reads": 1}):
        assert (await narrow(http, owner, limits)).status_code == 200
    renewal = await http.post(f"/coatcheck/grants/{owner.guids['grant']}/renewal", auth=owner.client.auth)
    assert renewal.status_code == 200


async def test_a_narrowed_grant_is_a_new_version_that_reads_less(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    answer = await narrow(http, owner, {"permissions": ["balances"], "max_reads": 2, "lookback_days": 30})
    assert answer.status_code == 200, answer.text
    grant = answer.json()["grant"]
    assert (grant["version"], grant["permissions"], grant["max_reads"], grant["lookback_days"]) == (
        2,
        ["balances"],
        2,
        30,
    )
    assert (await http.get("/account/transactions", headers=owner.bearer)).status_code == 403
    statuses = [(await http.get("/payment_account", headers=owner.bearer)).status_code for _ in range(3)]
    assert statuses == [200, 200, 403]
    read = await http.get(f"/coatcheck/grants/{grant['guid']}", auth=owner.client.auth)
    assert (read.json()["grant"]["status"], read.json()["grant"]["reads"]) == ("exhausted", 2)


@pytest.mark.parametrize(
    "wider",
    [
        {"permissions": ["balances", "numbers", "statements"]},
        {"expires_at": "2099-01-01T00:00:00Z"},
    ],
)
async def test_a_grant_cannot_be_widened(http: httpx.AsyncClient, owner: Owner, wider: Any) -> None:
    status, message = problem(await narrow(http, owner, wider))
    assert status == 422
    assert next(iter(wider)) in message


@pytest.mark.parametrize(
    ("grant", "words"),
    [
        ({}, "at least one"),
        ({"permission": ["balances"]}, "unknown field `permission`"),
        ({"permissions": ["everything"]}, "permissions"),
        ({"permissions": "balances"}, "permissions"),
        ({"max_reads": 0}, "max_reads"),
        ({"max_reads": -1}, "max_reads"),
        ({"max_reads": "5"}, "max_reads"),
        ({"max_reads": 2**31}, "max_reads"),
        ({"lookback_days": 1.5}, "lookback_days"),
        ({"lookback_days": 36_501}, "lookback_days"),
        ({"expires_at": None}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"version": 1}, "unknown field `version`"),
    ],
)
async def test_a_change_with_an_invalid_field_is_refused_by_name(
    http: httpx.AsyncClient, owner: Owner, grant: Any, words: str
) -> None:
    status, message = problem(await narrow(http, owner, grant))
    assert status == 400
    assert words in message


async def test_a_processor_may_neither_narrow_nor_renew(http: httpx.AsyncClient, owner: Owner) -> None:
    path = f"/coatcheck/grants/{owner.guids['grant']}"
    body = {"grant": {"max_reads": 1}}
    assert (await http.patch(path, json=body, auth=owner.processor.auth)).status_code == 401
    assert (await http.post(f"{path}/renewal", auth=owner.processor.auth)).status_code == 401


async def test_a_renewal_supersedes_the_grant_when_its_code_is_redeemed(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    path = f"/coatcheck/grants/{owner.guids['grant']}"
    code = (await http.post(f"{path}/renewal", auth=owner.client.auth)).json()["authorization_code"]["code"]
    assert (await http.get("/payment_account", headers=owner.bearer)).status_code == 200
    exchange = {"grant_type": "authorization_code", "code": code}
    fresh = (await http.post("/token", data=exchange, auth=owner.processor.auth)).json()["access_token"]
    assert (await http.get("/payment_account", headers=owner.bearer)).status_code == 401
    read = await http.get("/payment_account", headers={"Authorization": f"Bearer {fresh}"})
    assert read.status_code == 200
    assert (await http.get(path, auth=owner.client.auth)).json()["grant"]["status"] == "revoked"


# --- reads ---


async def test_every_answered_read_of_a_grant_is_listed_with_its_request(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    answers = [await http.get(path, headers=owner.bearer) for path in ("/payment_account", "/account_owners")]
    refused = await http.get("/account/transactions?from_date=x", headers=owner.bearer)
    assert refused.status_code == 400
    path = f"/coatcheck/grants/{owner.guids['grant']}"
    listed = (await http.get(f"{path}/reads", auth=owner.client.auth)).json()
    ids = [answer.headers["x-request-id"] for answer in answers if answer.status_code == 200]
    assert [read["request_id"] for read in listed["reads"]] == ids[::-1]
    assert {read["ip"] for read in listed["reads"]} == {"127.0.0.1"}
    assert listed["pagination"]["total_entries"] == len(ids)
    grant = (await http.get(path, auth=owner.client.auth)).json()["grant"]
    assert (grant["reads"], grant["last_read_at"]) == (len(ids), listed["reads"][0]["at"])


# --- status ---


async def _expire(services: Services, owner: Owner) -> str:
    assert isinstance(services.clock, MovableClock)
    services.clock.advance(timedelta(days=61))
    return "expired"


async def _narrow_and_expire(services: Services, owner: Owner) -> str:
    """The token stays in the partition of the week in which it would have expired."""
    changes = Changes(expires_at=services.clock.instant() + timedelta(hours=1))
    async with services.db.transaction() as connection:
        await services.narrowing.narrow(
            connection, client_guid=owner.client.guid, token_guid=owner.guids["grant"], changes=changes
        )
    assert isinstance(services.clock, MovableClock)
    services.clock.advance(timedelta(hours=2))
    return "expired"


async def _exhaust(services: Services, owner: Owner) -> str:
    async with services.db.transaction() as connection:
        await services.narrowing.narrow(
            connection,
            client_guid=owner.client.guid,
            token_guid=owner.guids["grant"],
            changes=Changes(max_reads=1),
        )
    await services.access.numbers(services.access.parse_token(owner.access_token))
    return "exhausted"


async def _revoke(services: Services, owner: Owner) -> str:
    async with services.db.connection() as connection:
        await services.revocations.revoke(
            connection, client_guid=owner.client.guid, guid=owner.guids["grant"]
        )
    return "revoked"


async def _delete_account(services: Services, owner: Owner) -> str:
    async with services.db.connection() as connection:
        await delete_account(connection, owner.guids["user"], owner.guids["account"])
    return "revoked"


async def _delete_user(services: Services, owner: Owner) -> str:
    async with services.db.connection() as connection:
        await connection.execute("DELETE FROM end_user WHERE guid = %s", (owner.guids["user"],))
    return "revoked"


async def _break_connection(services: Services, owner: Owner) -> str:
    async with services.db.connection() as connection:
        await connection.execute(
            "UPDATE member SET connection_status = 'DISCONNECTED' WHERE guid = %s", (owner.guids["member"],)
        )
    return "suspended"


async def _disable_user(services: Services, owner: Owner) -> str:
    async with services.db.connection() as connection:
        await connection.execute(
            "UPDATE end_user SET is_disabled = true WHERE guid = %s", (owner.guids["user"],)
        )
    return "suspended"


async def _disable_processor(services: Services, owner: Owner) -> str:
    async with services.db.connection() as connection:
        await connection.execute(
            "UPDATE processor SET is_disabled = true WHERE guid = %s", (owner.processor.guid,)
        )
    return "suspended"


async def _end_relation(services: Services, owner: Owner) -> str:
    async with services.db.connection() as connection:
        await connection.execute(
            "DELETE FROM client_processor WHERE processor_guid = %s", (owner.processor.guid,)
        )
    return "suspended"


async def _require_bound_tokens(services: Services, owner: Owner) -> str:
    async with services.db.connection() as connection:
        await connection.execute(
            "UPDATE processor SET sender_constraint = 'dpop' WHERE guid = %s", (owner.processor.guid,)
        )
    return "suspended"


async def _nothing(services: Services, owner: Owner) -> str:
    return "active"


@pytest.mark.parametrize(
    "change",
    [
        _nothing,
        _expire,
        _narrow_and_expire,
        _exhaust,
        _revoke,
        _delete_account,
        _delete_user,
        _break_connection,
        _disable_user,
        _disable_processor,
        _end_relation,
        _require_bound_tokens,
    ],
)
async def test_the_filter_by_status_finds_a_grant_under_the_status_that_it_shows(
    services: Services, http: httpx.AsyncClient, owner: Owner, change: Change
) -> None:
    expected = await change(services, owner)
    path = f"/coatcheck/grants/{owner.guids['grant']}"
    shown = (await http.get(path, auth=owner.client.auth)).json()["grant"]
    assert shown["status"] == expected
    found = {
        status: (
            await http.get("/coatcheck/grants", params={"status": status}, auth=owner.client.auth)
        ).json()
        for status in GrantStatus
    }
    assert {status: len(answer["grants"]) for status, answer in found.items()} == {
        status: int(status == expected) for status in GrantStatus
    }
    reads = (await http.get("/payment_account", headers=owner.bearer)).status_code == 200
    assert reads is (expected == "active")
