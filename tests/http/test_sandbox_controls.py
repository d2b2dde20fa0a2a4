"""Every control of the sandbox bank, reached by each of its triggers, as a client and a processor see it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

import pytest
from stdnum.us import rtn

from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.connectors.contract import JobKind
from coatcheck.connectors.sandbox.controls import CONTROLS
from tests.api_client import V2, Api
from tests.sandbox_members import TRIGGERS, Member, sandbox_api

Check: TypeAlias = Callable[[Member], Awaitable[None]]
HANG = "hang"
JOB_TIMEOUT = timedelta(seconds=2)
"""After this time, `hang` is DELAYED. The jobs of the others may take longer, on a busy machine."""


@pytest.fixture
async def api(settings: Settings, name: str) -> AsyncIterator[Api]:
    changes = {"job_timeout": JOB_TIMEOUT} if name == HANG else {}
    async with sandbox_api(settings, **changes) as api:
        yield api


def advance(member: Member, duration: timedelta) -> None:
    clock = member.api.services.clock
    assert isinstance(clock, MovableClock)
    clock.advance(duration)


# --- accounts and balances ---------------------------------------------------------------------------------


async def student(member: Member) -> None:
    names = {each["name"] for each in await member.listed("accounts")}
    assert names == {"MX Bank Checking", "MX Bank Savings", "MX Bank Student Loan"}


async def empty(member: Member) -> None:
    assert (await member.status(), await member.listed("accounts")) == ("CONNECTED", [])


async def closed_account(member: Member) -> None:
    account = await member.first_account()
    assert (account["is_closed"], account["balance"]) == (True, 0)
    assert account["guid"] not in {each["account_guid"] for each in await member.listed("transactions")}
    token = await member.token()
    assert (await token.read("/account/transactions"))["transactions"] == []
    assert (await token.read("/payment_account"))["payment_account"]["balance"] == 0


async def frozen(member: Member) -> None:
    account = await member.first_account()
    (without, *_) = (await member.without_controls()).accounts
    assert account["available_balance"] == 0
    assert account["balance"] == float(without.balance)
    assert (await (await member.token()).read("/payment_account"))["payment_account"][
        "available_balance"
    ] == 0


async def nsf(member: Member) -> None:
    assert (await member.first_account())["balance"] == 7.31
    assert (await (await member.token()).read("/payment_account"))["payment_account"]["balance"] == 7.31


async def currency_cad(member: Member) -> None:
    rows = [*await member.listed("accounts"), *await member.listed("transactions")]
    assert {each["currency_code"] for each in rows} == {"CAD"}
    assert all(each["routing_number"] for each in await member.listed("account_numbers"))
    listed = (await (await member.token()).read("/account/transactions"))["transactions"]
    assert {each["currency_code"] for each in listed} == {"CAD"}


async def unreadable_account(member: Member) -> None:
    before, token = await member.first_account(), await member.token()
    advance(member, timedelta(days=1))
    assert await member.run_job("aggregate") == "CONNECTED"
    listed = await replace(member, api=replace(member.api, version=V2)).listed("accounts")
    fetched = {each["guid"]: each["provenance"]["fetched_at"] for each in listed}
    after = next(each for each in listed if each["guid"] == before["guid"])
    assert (after["balance"], after["is_closed"]) == (before["balance"], False)
    assert fetched.pop(before["guid"]) < min(fetched.values())
    assert (await token.read("/payment_account"))["payment_account"]["balance"] == before["balance"]


# --- transactions --------------------------------------------------------------------------------------------


async def no_tx(member: Member) -> None:
    assert await member.listed("accounts")
    assert await member.listed("transactions") == []
    assert (await (await member.token()).read("/account/transactions"))["transactions"] == []


async def many_tx(member: Member) -> None:
    account, usual = await member.first_account(), (await member.without_controls()).transactions
    path = f"/users/{member.user_guid}/accounts/{account['guid']}/transactions"
    total = (await member.api.get(path)).json()["pagination"]["total_entries"]
    assert total - len([each for each in usual if each.account_id == account["id"]]) in range(480, 510)


async def duplicate_tx(member: Member) -> None:
    account, listed = await member.first_account(), await member.listed("transactions")
    shown = [
        (each["date"], each["amount"], each["original_description"], each["transacted_at"])
        for each in listed
        if each["account_guid"] == account["guid"]
    ]
    usual = (await member.without_controls()).transactions
    assert len(shown) == len([each for each in usual if each.account_id == account["id"]]) + 5
    assert len({each["guid"] for each in listed}) == len(listed)
    assert len(set(shown)) <= len(shown) - 5


async def reordered_pages(member: Member) -> None:
    listed, usual = await member.listed("transactions"), (await member.without_controls()).transactions
    assert sorted(each["id"] for each in listed) == sorted(each.id for each in usual)
    days = [each["date"] for each in sorted(listed, key=lambda each: str(each["guid"]))]
    assert days != sorted(days), "the guids are not in the order of the dates"


async def backdated(member: Member) -> None:
    delays = [
        datetime.fromisoformat(each["posted_at"]) - datetime.fromisoformat(each["transacted_at"])
        for each in await member.listed("transactions")
        if each["posted_at"]
    ]
    late = [each for each in delays if each >= timedelta(days=10)]
    assert 0 < len(late) < len(delays) / 2


async def pending_only(member: Member) -> None:
    assert {each["status"] for each in await member.listed("transactions")} == {"PENDING"}


async def unusable_rows(member: Member) -> None:
    listed = await member.listed("transactions")
    assert {each["id"] for each in listed} == {
        each.id for each in (await member.without_controls()).transactions
    }
    assert max(len(each["memo"] or "") for each in listed) == 1000


# --- owners ------------------------------------------------------------------------------------------------


async def joint(member: Member) -> None:
    assert {each["account_ownership"] for each in await member.listed("accounts")} == {"JOINT"}
    assert len({each["owner_name"] for each in await member.listed("account_owners")}) == 2
    assert len((await (await member.token()).read("/account/account_owners"))["account_owners"]) == 2


async def no_owner(member: Member) -> None:
    assert await member.listed("account_owners") == []
    assert {each["account_ownership"] for each in await member.listed("accounts")} == {"UNKNOWN"}
    assert (await (await member.token()).read("/account/account_owners"))["account_owners"] == []


async def name_mismatch(member: Member) -> None:
    usual = {each.owner_name for each in (await member.without_controls(JobKind.IDENTIFICATION)).owners}
    assert {each["owner_name"] for each in await member.listed("account_owners")}.isdisjoint(usual)
    read = (await (await member.token()).read("/account/account_owners"))["account_owners"]
    assert {each["owner_name"] for each in read}.isdisjoint(usual)


async def name_variant(member: Member) -> None:
    for read in (await member.listed("account_owners"), await read_owners(member)):
        assert all(re.fullmatch(r"[A-Z' ]+ [A-Z] [A-Z' ]+ JR", each["owner_name"]) for each in read)


async def no_phone(member: Member) -> None:
    for read in (await member.listed("account_owners"), await read_owners(member)):
        assert {each["phone"] for each in read} == {None}


async def po_box(member: Member) -> None:
    for read in (await member.listed("account_owners"), await read_owners(member)):
        assert all(each["address"].startswith("PO Box ") for each in read)


async def read_owners(member: Member) -> list[dict[str, Any]]:
    """What a processor reads."""
    found: list[dict[str, Any]] = (await (await member.token()).read("/account/account_owners"))[
        "account_owners"
    ]
    assert found
    return found


async def business(member: Member) -> None:
    assert all(each["owner_name"].endswith("LLC") for each in await member.listed("account_owners"))
    read = (await (await member.token()).read("/account/account_owners"))["account_owners"]
    assert all(each["owner_name"].endswith("LLC") for each in read)


# --- account numbers -----------------------------------------------------------------------------------------


async def numbers_of(member: Member) -> dict[str, Any]:
    """The account numbers of the checking account, as a processor reads them."""
    (numbers,) = (await (await member.token()).read("/account/account_numbers"))["account_numbers"]
    found: dict[str, Any] = numbers
    return found


async def leading_zeros(member: Member) -> None:
    assert all(each["account_number"].startswith("00") for each in await member.listed("account_numbers"))
    numbers = await numbers_of(member)
    assert numbers["account_number"].startswith("00")
    assert numbers["routing_number"].startswith("0")


async def seventeen_digits(member: Member) -> None:
    assert {len(each["account_number"]) for each in await member.listed("account_numbers")} == {17}
    assert len(str((await numbers_of(member))["account_number"])) == 17


async def canadian(member: Member) -> None:
    for each in [*await member.listed("account_numbers"), await numbers_of(member)]:
        assert each["routing_number"] is None
        assert each["institution_number"]
        assert each["transit_number"]
    assert {each["currency_code"] for each in await member.listed("accounts")} == {"CAD"}


async def tokenized_number(member: Member) -> None:
    account, numbers = await member.first_account(), await numbers_of(member)
    assert not str(numbers["account_number"]).endswith(account["account_number"][-4:])
    assert "is_tokenized" not in numbers
    token = await member.token()
    (newer,) = (await token.read("/account/account_numbers", version="v20250224"))["account_numbers"]
    paid = (await token.read("/payment_account", version="v20250224"))["payment_account"]
    assert (newer["is_tokenized"], paid["is_tokenized"]) == (True, True)


async def wrong_number(member: Member) -> None:
    numbers = await numbers_of(member)
    assert numbers["passed_validation"] is False
    assert not rtn.is_valid(f"{numbers['routing_number']:0>9}")


# --- questions -------------------------------------------------------------------------------------------------


def asks(kind: str) -> Check:
    async def check(member: Member) -> None:
        assert await member.status() == "CHALLENGED"
        assert (await member.challenge())["type"] == kind
        assert await right_answers(member) == 1

    return check


async def mfa_otp(member: Member) -> None:
    asked = [(await member.challenge())["type"]]
    assert await member.answer("email") == "CHALLENGED"
    for instead in ("new_code", "other_way"):
        challenge = await member.challenge()
        assert [each["value"] for each in challenge["options"]] == ["new_code", "other_way"]
        asked.append(challenge["type"])
        assert await member.answer(instead) == "CHALLENGED"
    asked.append((await member.challenge())["type"])
    assert asked == ["OPTIONS", "TOKEN", "TOKEN", "OPTIONS"]
    assert await member.answer("sms") == "CHALLENGED"
    assert await member.answer("correct") == "CONNECTED"


async def right_answers(member: Member) -> int:
    """Answers until the member is connected, and returns how often."""
    count = 1
    while await member.answer("correct") == "CHALLENGED":
        count += 1
    assert await member.status() == "CONNECTED"
    return count


async def mfa_twice(member: Member) -> None:
    assert await member.status() == "CHALLENGED"
    assert await right_answers(member) == 2


async def mfa_every_job(member: Member) -> None:
    assert await member.status() == "CHALLENGED"
    assert await right_answers(member) == member.first_jobs


async def wrong_then_right(member: Member) -> None:
    assert await member.answer("correct") == "REJECTED"
    assert await member.run_job("aggregate") == "CHALLENGED"
    assert await member.answer("correct") == "CONNECTED"


# --- the sign-in ---------------------------------------------------------------------------------------------


def has_status(status: str) -> Check:
    async def check(member: Member) -> None:
        assert await member.status() == status
        assert await member.listed("accounts") == []

    return check


async def consent_expires_in(member: Member) -> None:
    token = await member.token()
    assert await member.run_job("aggregate") == "CONNECTED"
    advance(member, timedelta(seconds=61))
    assert await member.run_job("aggregate") == "DISCONNECTED"
    assert (await token.get("/account/account_numbers")).json()["error"]["type"] == "connection_broken"
    assert await member.change_password() == "CONNECTED"
    assert (await token.get("/account/account_numbers")).status_code == 200


async def scope_reduced(member: Member) -> None:
    assert [each["name"] for each in await member.listed("accounts")] == ["MX Bank Checking"]
    assert await member.listed("account_numbers") == []
    assert await member.listed("account_owners") == []
    assert await member.listed("transactions")
    body = {"token": {"processor_guid": "PPR-any", "account_guid": (await member.first_account())["guid"]}}
    assert (await member.api.post("/coatcheck/sandbox/tokens", json=body)).status_code == 422


async def token_reuse(member: Member) -> None:
    token = await member.token()
    assert await member.run_job("aggregate") == "DISCONNECTED"
    assert (await token.get("/account/transactions")).json()["error"]["type"] == "connection_broken"


# --- failures ------------------------------------------------------------------------------------------------


async def schema_drift(member: Member) -> None:
    account = await member.first_account()
    assert account["type"] == "DIGITAL_WALLET"
    usual = [
        each.id for each in (await member.without_controls()).transactions if each.account_id == account["id"]
    ]
    listed = {each["id"] for each in await member.listed("transactions")}
    assert [each for each in usual if each not in listed] == usual[-2:]


async def slow(member: Member) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert await member.run_job("check_balance") == "CONNECTED"
    assert loop.time() - started >= 0.2


async def at_a_day(member: Member) -> None:
    days = [date.fromisoformat(each["date"]) for each in await member.listed("transactions")]
    assert date(2025, 3, 1) - timedelta(days=7) < max(days) <= date(2025, 3, 1)


CHECKS: dict[str, tuple[str, Check]] = {
    check.__name__: (check.__name__, check)
    for check in (
        empty, closed_account, frozen, nsf, currency_cad, unreadable_account, no_tx, duplicate_tx,
        reordered_pages, backdated, pending_only, unusable_rows, joint, no_owner, name_mismatch, name_variant,
        no_phone, po_box, business,
        leading_zeros, seventeen_digits, canadian, tokenized_number, wrong_number, mfa_every_job, mfa_twice,
        wrong_then_right, scope_reduced, token_reuse, schema_drift,
    )
} | {
    "persona": ("persona=student", student),
    "many_tx": ("many_tx=4000", many_tx),
    "mfa_text": ("mfa_text", asks("TEXT")),
    "mfa_options": ("mfa_options", asks("OPTIONS")),
    "mfa_image": ("mfa_image", asks("IMAGE_DATA")),
    "mfa_totp": ("mfa_totp", asks("TOKEN")),
    "mfa_otp": ("mfa_otp", mfa_otp),
    "locked": ("locked", has_status("LOCKED")),
    "impeded": ("impeded", has_status("IMPEDED")),
    "login_closed": ("login_closed", has_status("CLOSED")),
    "discontinued": ("discontinued", has_status("DISCONTINUED")),
    "consent_revoked": ("consent_revoked", has_status("DISCONNECTED")),
    "consent_expires_in": ("consent_expires_in=60s", consent_expires_in),
    "slow": ("slow=0.2s", slow),
    HANG: ("hang", has_status("DELAYED")),
    "timeout": ("timeout", has_status("DELAYED")),
    "flaky": ("flaky=1", has_status("FAILED")),
    "http_500": ("http_500", has_status("FAILED")),
    "http_503": ("http_503", has_status("FAILED")),
    "http_429": ("http_429=90s", has_status("FAILED")),
    "truncated_body": ("truncated_body", has_status("FAILED")),
    "bad_json": ("bad_json", has_status("FAILED")),
    "maintenance": ("maintenance", has_status("FAILED")),
    "clock": ("clock=2025-03-01", at_a_day),
}  # fmt: skip
"""By the name of a control: the control with its argument, and what a client and a processor see."""


def test_every_control_is_checked() -> None:
    assert set(CHECKS) == set(CONTROLS)


EVERY_TRIGGER = set(list(CHECKS)[::6])
"""Controls that every run of the suite gives by each trigger. `make slow` gives all of them so."""


def given_by(trigger: str, name: str) -> Any:
    is_quick = trigger == "api" or name in EVERY_TRIGGER
    return pytest.param(trigger, name, marks=() if is_quick else pytest.mark.slow)


@pytest.mark.parametrize(
    ("trigger", "name"), [given_by(trigger, name) for trigger in TRIGGERS for name in CHECKS]
)
async def test_a_control_has_its_effect_by_each_of_its_triggers(api: Api, name: str, trigger: str) -> None:
    control, check = CHECKS[name]
    await check(await TRIGGERS[trigger](api, [control]))
