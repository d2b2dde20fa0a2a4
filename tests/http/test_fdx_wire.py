"""The FDX connector reads the sandbox's FDX bank over HTTP: sign-in, jobs, rotation, withdrawn consent."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from tests.api_client import V2
from tests.bank_windows import start
from tests.fdx_bank import (
    BANK,
    INSTITUTION,
    LOGIN,
    RETURN_URL,
    FdxBankServer,
    Upstream,
    fdx_bank,
    upstream_of,
    write_bank_profile,
)
from tests.sandbox_members import by_login


@pytest.fixture
async def bank(settings: Settings) -> AsyncIterator[FdxBankServer]:
    async with fdx_bank(settings) as bank:
        yield bank


@pytest.fixture
async def upstream(settings: Settings, bank: FdxBankServer, tmp_path: Path) -> AsyncIterator[Upstream]:
    profile = await write_bank_profile(bank.url, RETURN_URL, tmp_path)
    async with upstream_of(settings, ("sandbox", "fdx"), profile) as upstream:
        yield upstream


def advance(upstream: Upstream, by: timedelta) -> None:
    assert isinstance(upstream.api.services.clock, MovableClock)
    upstream.api.services.clock.advance(by)


def comparable(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[name] for name in names) for row in rows), key=str)


async def test_both_connectors_read_the_same_from_one_bank(upstream: Upstream) -> None:
    native = await by_login(upstream.api, [])
    fdx = await upstream.connect()
    assert await fdx.status() == "CONNECTED"
    assert await fdx.run_job("verify") == "CONNECTED"
    assert await fdx.run_job("identify") == "CONNECTED"
    for noun, names in {
        "accounts": (
            "name", "type", "subtype", "balance", "available_balance", "account_number", "currency_code",
            "credit_limit", "interest_rate", "is_closed", "original_balance", "minimum_payment",
        ),
        "account_numbers": ("account_number", "routing_number", "passed_validation"),
        "account_owners": ("owner_name", "address", "city", "state", "postal_code", "email", "phone"),
        "transactions": ("date", "amount", "type", "status", "original_description", "description", "category"),
    }.items():  # fmt: skip
        expected = comparable(await native.listed(noun), *names)
        assert expected, noun
        assert comparable(await fdx.listed(noun), *names) == expected, noun


async def test_a_processor_reads_the_account_of_an_fdx_bank(upstream: Upstream) -> None:
    member = await upstream.connect()
    await member.run_job("verify")
    await member.run_job("identify")
    token = await member.token()
    (numbers,) = (await token.read("/account/account_numbers"))["account_numbers"]
    native = await by_login(upstream.api, [])
    expected = {each["account_number"]: each for each in await native.listed("account_numbers")}
    assert str(numbers["routing_number"]) == expected[str(numbers["account_number"])]["routing_number"]
    assert (await token.read("/account/account_owners"))["account_owners"]


async def test_denying_at_the_bank_denies_the_member(upstream: Upstream) -> None:
    member = await upstream.connect(decision="deny")
    assert await member.status() == "DENIED"


async def test_an_expired_token_is_replaced_and_the_member_stays_connected(
    upstream: Upstream, bank: FdxBankServer
) -> None:
    member = await upstream.connect()
    for _ in range(3):
        for services in (upstream.api.services, bank.services):
            assert isinstance(services.clock, MovableClock)
            services.clock.advance(timedelta(hours=1))
        assert await member.run_job("check_balance") == "CONNECTED"


async def test_a_token_that_the_bank_ended_early_is_replaced(upstream: Upstream, bank: FdxBankServer) -> None:
    member = await upstream.connect()
    assert isinstance(bank.services.clock, MovableClock)
    bank.services.clock.advance(timedelta(hours=1))
    assert await member.run_job("verify") == "CONNECTED"


async def test_a_consent_withdrawn_at_the_bank_disconnects_and_a_new_one_repairs(
    upstream: Upstream, bank: FdxBankServer
) -> None:
    member = await upstream.connect()
    await member.run_job("verify")
    token = await member.token()
    assert (await token.get("/account/account_numbers")).status_code == 200
    async with bank.services.db.connection() as connection:
        await connection.execute("UPDATE sandbox_fdx_consent SET revoked_at = now()")
    assert await member.run_job("check_balance") == "DISCONNECTED"
    refused = await token.get("/account/account_numbers")
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "connection_broken")
    window = await upstream.api.get(f"{member.path}/oauth_window_uri")
    await upstream.sign_in(window.json()["member"]["oauth_window_uri"])
    assert await member.status() == "CONNECTED"
    assert (await token.get("/account/account_numbers")).status_code == 200


@pytest.mark.parametrize(
    ("control", "status"),
    [
        ("http_500", "FAILED"),
        ("http_503", "FAILED"),
        ("http_429", "FAILED"),
        ("timeout", "DELAYED"),
        ("locked", "IMPEDED"),
        ("login_closed", "CLOSED"),
        ("consent_revoked", "DISCONNECTED"),
        ("truncated_body", "FAILED"),
        ("schema_drift", "CONNECTED"),
        ("unusable_rows", "CONNECTED"),
        ("empty", "CONNECTED"),
        ("no_tx", "CONNECTED"),
    ],
)
async def test_a_failure_of_the_bank_becomes_the_status_of_the_member(
    upstream: Upstream, control: str, status: str
) -> None:
    assert await (await upstream.connect(f"{LOGIN}+{control}")).status() == status


async def test_no_secret_of_the_bank_is_in_the_answer_of_the_sign_in(upstream: Upstream) -> None:
    user = await upstream.api.create_user()
    body = {"member": {"institution_code": INSTITUTION, "credentials": [], "is_oauth": True}}
    created = (await upstream.api.post(f"/users/{user}/members", json=body)).json()["member"]
    page = await start(upstream.api.http, created["oauth_window_uri"])
    assert page.startswith(f"http://127.0.0.1:{page.split(':')[2].partition('/')[0]}{BANK}/oauth/authorize")
    # The request was pushed: the browser carries its name alone.
    assert "code_challenge" not in page
    assert "request_uri=" in page


async def test_a_refresh_token_that_the_bank_takes_for_a_stolen_one_disconnects_the_member(
    upstream: Upstream,
) -> None:
    member = await upstream.connect(f"{LOGIN}+token_reuse")
    assert await member.status() == "CONNECTED"
    advance(upstream, timedelta(minutes=15))
    assert await member.run_job("verify") == "DISCONNECTED"


async def test_an_account_that_the_bank_lists_without_its_data_stays_open(upstream: Upstream) -> None:
    member = await upstream.connect(f"{LOGIN}+unreadable_account")
    before = {each["guid"]: each["balance"] for each in await member.listed("accounts")}
    advance(upstream, timedelta(minutes=15))
    assert await member.run_job("verify") == "CONNECTED"
    after = await replace(member, api=replace(member.api, version=V2)).listed("accounts")
    assert {each["guid"]: each["balance"] for each in after} == before
    assert not any(each["is_closed"] for each in after)
    assert len({each["provenance"]["fetched_at"] for each in after}) == 2
