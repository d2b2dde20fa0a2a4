"""The requests of the widget's page: challenges, accounts, sign-in windows, micro-deposits, unusable text."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.text import STORABLE
from coatcheck.widget import bodies
from coatcheck.worker_services import build_worker
from tests.api_client import LOGIN, PASSWORD, Api
from tests.bank_windows import come_back, decide
from tests.widget_client import CORRECT, DEPOSIT, Page, answer, jobs_of, oauth, open_page, signing_in

# --- questions of the bank -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "field_type", "right", "wrong"),
    [
        ("challenge", 0, "correct", "wrong"),
        ("options", 2, "Lantern", "Kettle"),
        ("image", 13, "correct", "wrong"),
        ("image_options", 14, "Circle", "Square"),
        ("token", 12, "correct", "wrong"),
    ],
)
async def test_every_kind_of_challenge_takes_a_right_and_a_wrong_answer(
    api: Api, user: str, password: str, field_type: int, right: str, wrong: str
) -> None:
    page = await open_page(api, user)
    member = await page.connect("ann", password)
    (challenge,) = member["mfa"]["credentials"]
    assert challenge["field_type"] == field_type
    assert all(each["credential_guid"] == challenge["guid"] for each in challenge["options"])
    assert bool(challenge["options"]) == (field_type in {2, 14})
    assert (challenge["image_data"] or "").startswith("data:image/" if field_type == 13 else "")
    assert all((each["data_uri"] is not None) == (field_type == 14) for each in challenge["options"])
    rejected = await answer(page, member, wrong)
    assert (rejected["step"], rejected["connection_status"]) == ("actionableError", 4)
    assert (rejected["error"]["error_code"], rejected["message"]["primary_action"]["action"]) == (
        2002,
        "retry",
    )
    await page.send("POST", f"/members/{member['guid']}/jobs")
    challenged = await page.after_work(member)
    assert challenged["step"] == "mfa"
    assert (await answer(page, challenged, right))["step"] == "connected"


async def test_a_bank_can_ask_a_second_question(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member = await page.connect("ann+mfa_twice", "challenge")
    again = await answer(page, member, "correct")
    assert again["step"] == "mfa"
    assert again["mfa"]["credentials"][0]["guid"] != member["mfa"]["credentials"][0]["guid"]
    assert (await answer(page, again, "correct"))["step"] == "connected"


async def test_the_user_chooses_where_a_code_is_sent_and_asks_for_another(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member = await page.connect("ann+mfa_otp")
    for choice, asks in (
        ("Email", "Enter the code we sent to your email address."),
        ("Send a new code", "We sent a new code. Enter the new code."),
        ("Get the code another way", "How should we send your code?"),
        ("Call", "Enter the code we told you in the call."),
    ):
        member = await answer(page, member, choice)
        assert [each["label"] for each in member["mfa"]["credentials"]] == [asks]
    assert (await answer(page, member, "000000"))["step"] == "actionableError"
    member = await page.after_work((await page.send("POST", f"/members/{member['guid']}/jobs"))["member"])
    member = await answer(page, member, "Text message")
    assert (await answer(page, member, "correct"))["step"] == "connected"


async def test_an_answer_that_is_not_an_option_leaves_the_challenge_open(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member = await page.connect("ann", "options")
    (challenge,) = member["mfa"]["credentials"]
    for values in ([{"guid": challenge["guid"], "value": "Elm Street"}], [{"guid": "CRD-1", "value": "x"}]):
        body = {"credentials": values}
        assert await page.refused("PUT", f"/members/{member['guid']}/mfa", body) == (400, "invalid_request")
    assert (await page.get(f"/members/{member['guid']}"))["step"] == "mfa"
    connected = await page.connect("bob")
    body = {"credentials": [{"guid": challenge["guid"], "value": "x"}]}
    assert await page.refused("PUT", f"/members/{connected['guid']}/mfa", body) == (409, "constraint_not_met")


async def test_a_challenge_that_expired_is_repeated(
    api: Api, services: Services, user: str, clock: MovableClock
) -> None:
    member = await (await open_page(api, user)).connect("ann", "challenge")
    clock.advance(timedelta(hours=24, seconds=1))
    await build_worker(services).sweep()
    page = await open_page(api, user, current_member_guid=member["guid"])
    expired = await page.get(f"/members/{member['guid']}")
    assert (expired["step"], expired["connection_status"]) == ("actionableError", 19)
    assert (expired["error"]["error_code"], expired["message"]["title"]) == (2003, "You ran out of time")
    assert (await page.get("/start"))["step"] == "connecting"


# --- selection of an account ---------------------------------------------------------------------------


async def test_the_user_chooses_one_of_several_accounts(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification")
    member = await page.connect()
    assert (member["step"], member["selected_account_guid"]) == ("accountSelect", None)
    accounts = (await page.get(f"/members/{member['guid']}/accounts"))["accounts"]
    assert len(accounts) > 1
    assert {each["account_type"] for each in accounts} <= {1, 2}
    assert all(re.fullmatch(r"\d{4}", each["account_number"]) for each in accounts)
    path = f"/members/{member['guid']}/account_selection"
    assert await page.refused("POST", path, {"account_guid": "ACT-none"}) == (400, "invalid_request")
    chosen = accounts[1]["guid"]
    selected = (await page.send("POST", path, {"account_guid": chosen}))["member"]
    assert (selected["step"], selected["selected_account_guid"]) == ("connected", chosen)
    assert (await page.get(f"/members/{member['guid']}"))["step"] == "connected"


async def test_a_single_account_is_selected_without_a_choice(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification")
    member = await page.connect("ann+persona=thin_file")
    (only,) = (await page.get(f"/members/{member['guid']}/accounts"))["accounts"]
    assert (member["step"], member["selected_account_guid"]) == ("connected", only["guid"])


async def test_a_bank_without_an_eligible_account_has_its_own_step(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification")
    member = await page.connect("ann+empty")
    assert (member["step"], member["error"]["error_code"]) == ("noEligibleAccounts", 1000)
    assert member["message"]["secondary_action"]["action"] == "microdeposits"
    assert (await page.get(f"/members/{member['guid']}/accounts"))["accounts"] == []


# --- the bank's own sign-in ----------------------------------------------------------------------------


async def begin(page: Page) -> tuple[dict[str, Any], dict[str, Any]]:
    """A pending member and its state."""
    member = (await page.send("POST", "/members", oauth(page.api)))["member"]
    (state, *_) = (await page.get(f"/oauth_states?outbound_member_guid={member['guid']}"))["oauth_states"]
    return member, state


async def test_signing_in_at_the_bank_connects_and_the_oauth_state_succeeds(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member, state = await begin(page)
    assert (member["step"], member["connection_status"], state["auth_status"]) == ("oauth", 21, 1)
    waiting = await page.get(f"/oauth_states/{state['guid']}")
    assert (waiting["auth_status"], waiting["error_reason"]) == (1, None)
    back = await come_back(api.http, await decide(api, member["oauth_window_uri"]))
    assert 'data-type="oauthComplete/success"' in back.text
    done = await page.get(f"/oauth_states/{state['guid']}")
    assert (done["auth_status"], done["inbound_member_guid"]) == (2, member["guid"])
    assert done["first_retrieved_at"] is not None
    assert (await page.get(f"/members/{member['guid']}"))["step"] == "connecting"
    assert (await page.after_work(member))["step"] == "connected"


async def test_a_refusal_at_the_bank_is_an_error_and_a_new_window_can_be_opened(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member, state = await begin(page)
    back = await come_back(api.http, await decide(api, member["oauth_window_uri"], "deny"))
    assert 'data-type="oauthComplete/error"' in back.text
    refused = await page.get(f"/oauth_states/{state['guid']}")
    assert (refused["auth_status"], refused["error_reason"], refused["error_reason_name"]) == (3, 2, "DENIED")
    denied = await page.get(f"/members/{member['guid']}")
    assert (denied["step"], denied["connection_status"]) == ("oauth", 2)
    assert denied["message"]["primary_action"] == {"action": "oauth", "label": "Sign in at MXCU (OAuth)"}
    again = await page.get(f"/members/{member['guid']}/oauth_window_uri")
    assert again["guid"] == member["guid"]
    states = (await page.get(f"/oauth_states?outbound_member_guid={member['guid']}"))["oauth_states"]
    assert [each["auth_status"] for each in states] == [1, 3]
    await come_back(api.http, await decide(api, again["oauth_window_uri"]))
    assert (await page.after_work(member))["step"] == "connected"


async def test_a_window_without_a_return_is_an_error_once_its_link_has_expired(
    api: Api, user: str, clock: MovableClock
) -> None:
    page = await open_page(api, user)
    member, state = await begin(page)
    clock.advance(timedelta(minutes=10))
    late = await page.get(f"/oauth_states/{state['guid']}")
    assert (late["auth_status"], late["error_reason_name"]) == (3, "SESSION_ERROR")
    assert (await api.http.get(member["oauth_window_uri"])).status_code == 410


async def test_a_window_ends_with_its_session(api: Api, user: str, services: Services) -> None:
    page = await open_page(api, user)
    member, _ = await begin(page)
    back = await decide(api, member["oauth_window_uri"])
    async with services.db.transaction() as connection:
        await connection.execute(
            "UPDATE widget_session SET idle_at = created_at WHERE guid = %s", (page.boot["session_guid"],)
        )
    assert (await api.http.get(back)).status_code == 410
    answer = await api.get(f"/users/{user}/members/{member['guid']}")
    assert answer.json()["member"]["connection_status"] == "PENDING"


async def test_an_app_is_redirected_to_by_its_scheme(api: Api, user: str) -> None:
    page = await open_page(api, user, is_mobile_webview=True, ui_message_webview_url_scheme="acme")
    member, state = await begin(page)
    back = await come_back(api.http, await decide(api, member["oauth_window_uri"]))
    assert back.headers["location"] == f"acme://oauth_complete?status=success&member_guid={member['guid']}"
    assert (await page.get(f"/oauth_states/{state['guid']}"))["auth_status"] == 2


async def test_an_oauth_bank_takes_no_credentials_and_another_bank_no_oauth(api: Api, user: str) -> None:
    page = await open_page(api, user)
    with_credentials = {
        **signing_in(api, "ann", "x"),
        "institution_guid": api.services.registry.find("mxcu_oauth").guid,
    }
    assert await page.refused("POST", "/members", with_credentials) == (400, "invalid_request")
    with_oauth = {"institution_guid": api.services.registry.find("mxbank").guid, "is_oauth": True}
    assert await page.refused("POST", "/members", with_oauth) == (400, "invalid_request")
    member = await page.connect()
    assert await page.refused("GET", f"/members/{member['guid']}/oauth_window_uri") == (
        409,
        "constraint_not_met",
    )


async def test_without_transactions_signing_in_at_the_bank_reads_none(api: Api, user: str) -> None:
    page = await open_page(api, user, include_transactions=False)
    member, _ = await begin(page)
    await come_back(api.http, await decide(api, member["oauth_window_uri"]))
    assert (await page.after_work(member))["step"] == "connected"
    assert await jobs_of(api, member) == [("AGGREGATION", False)]


# --- micro-deposits ------------------------------------------------------------------------------------


async def test_two_correct_amounts_verify_the_account(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification")
    assert (await page.get("/start"))["microdeposits_enabled"]
    deposit = (await page.send("POST", "/micro_deposits", DEPOSIT))["micro_deposit"]
    assert (deposit["status"], deposit["status_name"], deposit["account_type"]) == (0, "INITIATED", 1)
    assert deposit["account_number"] == "7842"
    assert "3333567842" not in repr(deposit)
    await api.work()
    arrived = await page.get(f"/micro_deposits/{deposit['guid']}")
    assert (arrived["status_name"], arrived["attempts_left"]) == ("DEPOSITED", 3)
    path = f"/micro_deposits/{deposit['guid']}/verify"
    amounts = {"deposit_amount_1": "03", "deposit_amount_2": "0.15"}
    assert (await page.send("PUT", path, amounts))["micro_deposit"]["status"] == 3
    (account,) = (await api.get(f"/users/{user}/accounts")).json()["accounts"]
    numbers = await api.get(f"/users/{user}/accounts/{account['guid']}/account_numbers")
    assert [each["account_number"] for each in numbers.json()["account_numbers"]] == ["3333567842"]


async def test_after_three_wrong_attempts_no_other_is_accepted(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification")
    deposit = (await page.send("POST", "/micro_deposits", DEPOSIT))["micro_deposit"]
    path = f"/micro_deposits/{deposit['guid']}/verify"
    wrong = {"deposit_amount_1": "01", "deposit_amount_2": "02"}
    assert await page.refused("PUT", path, wrong) == (409, "constraint_not_met"), "they have not arrived"
    await api.work()
    attempts = [(await page.send("PUT", path, wrong))["micro_deposit"] for _ in range(3)]
    assert [(each["status"], each["attempts_left"]) for each in attempts] == [(5, 2), (5, 1), (6, 0)]
    right = {"deposit_amount_1": "03", "deposit_amount_2": "15"}
    assert await page.refused("PUT", path, right) == (409, "constraint_not_met")


async def test_a_user_returns_to_deposits_that_have_arrived(api: Api, user: str, clock: MovableClock) -> None:
    page = await open_page(api, user, mode="verification")
    body = DEPOSIT | {"account_number": "1234567842"}
    deposit = (await page.send("POST", "/micro_deposits", body))["micro_deposit"]
    await api.work()
    sent = await page.get(f"/micro_deposits/{deposit['guid']}")
    assert (sent["status_name"], sent["deposit_expected_at"] is None) == ("REQUESTED", False)
    clock.advance(timedelta(days=4))
    back = await open_page(
        api, user, mode="verification", current_microdeposit_guid=deposit["guid"], consented=False
    )
    start = await back.get("/start")
    assert (start["step"], start["micro_deposit"]["status_name"]) == ("microdeposits", "DEPOSITED")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"account_number": "12x"}, (400, "invalid_request")),
        ({"routing_number": "091000018"}, (400, "invalid_request")),
        ({"account_type": 3}, (400, "invalid_request")),
        ({"account_number": None}, (400, "invalid_request")),
    ],
)
async def test_an_invalid_account_is_refused(
    api: Api, user: str, change: dict[str, Any], refusal: tuple[int, str]
) -> None:
    page = await open_page(api, user, mode="verification")
    assert await page.refused("POST", "/micro_deposits", DEPOSIT | change) == refusal


async def test_micro_deposits_need_the_verification_mode_and_are_sent_to_an_account_once(
    api: Api, user: str
) -> None:
    page = await open_page(api, user)
    assert not (await page.get("/start"))["microdeposits_enabled"]
    assert await page.refused("POST", "/micro_deposits", DEPOSIT) == (400, "job_not_supported")
    page = await open_page(api, user, mode="verification")
    deposit = (await page.send("POST", "/micro_deposits", DEPOSIT))["micro_deposit"]
    again = await page("POST", "/micro_deposits", json=DEPOSIT)
    assert (again.status_code, again.json()["error"]["type"]) == (409, "duplicate_micro_deposit")
    assert again.json()["guid"] == deposit["guid"]
    other_page = await open_page(api, await api.create_user(), mode="verification")
    await other_page.send("POST", "/micro_deposits", DEPOSIT)


@pytest.mark.parametrize("amount", ["", "-1", "1e1", "0,07", "007", "x", "0.071"])
async def test_an_amount_is_cents_or_dollars_and_cents(api: Api, user: str, amount: str) -> None:
    page = await open_page(api, user, mode="verification")
    deposit = (await page.send("POST", "/micro_deposits", DEPOSIT))["micro_deposit"]
    await api.work()
    body = {"deposit_amount_1": amount, "deposit_amount_2": "15"}
    path = f"/micro_deposits/{deposit['guid']}/verify"
    assert await page.refused("PUT", path, body) == (400, "invalid_request")
    assert (await page.get(f"/micro_deposits/{deposit['guid']}"))["attempts_left"] == 3


async def test_a_routing_number_is_checked_before_it_is_used(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification")
    assert await page.get("/routing_numbers/091000019") == {}
    blocked = (await page.get("/routing_numbers/123"))["blocked_routing_number"]
    assert (blocked["reason"], blocked["reason_name"]) == (0, "INVALID")
    known = await page.get("/routing_numbers/111111111")
    assert known["blocked_routing_number"]["reason_name"] == "IAV_PREFERRED"
    assert known["institution"]["code"] == "mxbank"


# --- text that cannot be stored ---

FIELDS = {
    ("POST", "/members"): {
        "institution_guid": "mxbank",
        "credentials": [{"guid": LOGIN, "value": "ann"}, {"guid": PASSWORD, "value": "correct"}],
    },
    ("PUT", "/members/{member}"): CORRECT,
    ("PUT", "/members/{member}/mfa"): {"credentials": [{"guid": "CRD-1", "value": "correct"}]},
    ("POST", "/members/{member}/account_selection"): {"account_guid": "ACT-1"},
    ("POST", "/micro_deposits"): DEPOSIT,
    ("PUT", "/micro_deposits/MIC-1/verify"): {"deposit_amount_1": "03", "deposit_amount_2": "15"},
}
"""A body for each route that takes text."""


def with_nul(value: Any) -> Iterator[Any]:
    """The value once for each text in it, with a NUL character in that text."""
    match value:
        case str():
            yield value[:1] + "\0" + value[1:]
        case dict():
            for key, each in value.items():
                yield from ({**value, key: changed} for changed in with_nul(each))
        case list():
            for index, each in enumerate(value):
                yield from ([*value[:index], changed, *value[index + 1 :]] for changed in with_nul(each))


async def test_a_nul_character_in_any_field_is_a_bad_request(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification")
    member = await page.connect()
    for (method, path), body in FIELDS.items():
        changed = list(with_nul(body))
        assert changed
        for each in changed:
            refusal = await page.refused(method, path.replace("{member}", member["guid"]), each)
            assert refusal == (400, "invalid_request"), (method, path, each)


def test_every_text_of_a_body_refuses_a_nul_character() -> None:
    texts = [
        (body.__name__, each.name)
        for body in all_bodies(bodies.Body)
        for each in msgspec.inspect.type_info(body).fields
        if takes_nul(each.type)
    ]
    assert texts == []


def all_bodies(body: type[bodies.Body]) -> list[type[bodies.Body]]:
    return [each for child in body.__subclasses__() for each in (child, *all_bodies(child))]


def takes_nul(node: msgspec.inspect.Type) -> bool:
    match node:
        case msgspec.inspect.StrType(pattern=pattern):
            return pattern != STORABLE
        case msgspec.inspect.UnionType(types=types):
            return any(map(takes_nul, types))
        case msgspec.inspect.Metadata(type=inner):
            return takes_nul(inner)
    return False
