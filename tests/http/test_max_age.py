"""`max_age` of a processor's reads: the bank is asked if the data is older, once for all who wait, within budgets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.app import build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.errors import BankFailed, ConsentRevoked
from coatcheck.members.member_rows import lock_member
from coatcheck.server import create_app
from coatcheck.worker_services import run_pending
from tests.api_client import Api, refusal
from tests.factories import make_client
from tests.member_setup import until
from tests.sandbox_members import Member, Token, by_login
from tests.waiting_statements import until_waiting

PATHS = ("/payment_account", "/account/transactions", "/account/account_numbers", "/account/account_owners")


class Bank:
    """The member of the test, the processors' tokens for it, and how often its bank was read."""

    def __init__(self, api: Api, member: Member, token: Token, clock: MovableClock) -> None:
        self.api, self.member, self.token, self.clock = api, member, token, clock
        self.reads: list[str] = []
        self.error: Exception | None = None

    def attach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        connector = self.api.services.registry.connector_for("mxbank")
        run = connector.run

        async def counted(session: Any) -> Any:
            self.reads.append(session.task.kind)
            if self.error is not None:
                raise self.error
            return await run(session)

        monkeypatch.setattr(connector, "run", counted)

    async def read(self, path: str, max_age: int | str, readers: int = 1) -> list[httpx.Response]:
        """The answers of simultaneous reads, with a worker beside them."""
        reads = [asyncio.create_task(self.token.get(f"{path}?max_age={max_age}")) for _ in range(readers)]

        async def work() -> bool:
            await run_pending(self.api.services)
            return all(each.done() for each in reads)

        await until(work)
        return [each.result() for each in reads]


@asynccontextmanager
async def opened(
    settings: Settings, clock: MovableClock, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> AsyncIterator[Bank]:
    async with build(replace(settings, sandbox=True, **changes), clock) as services:
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            member = await by_login(Api(http, services, await make_client(services)), [])
            bank = Bank(member.api, member, await member.token(), clock)
            bank.attach(monkeypatch)
            yield bank


@pytest.fixture
async def bank(
    settings: Settings, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bank]:
    async with opened(settings, clock, monkeypatch) as bank:
        yield bank


@pytest.mark.parametrize("path", PATHS)
async def test_the_bank_is_read_only_if_the_data_is_older(bank: Bank, path: str) -> None:
    bank.clock.advance(timedelta(hours=1))
    (answer,) = await bank.read(path, 24 * 3600)
    assert (answer.status_code, bank.reads) == (200, [])
    (answer,) = await bank.read(path, 60)
    assert answer.status_code == 200, answer.text
    assert len(bank.reads) == 1


async def test_an_account_that_the_bank_lists_without_its_data_is_503_and_stays_readable(bank: Bank) -> None:
    member = await by_login(bank.api, ["unreadable_account"])
    bank.token = await member.token()
    bank.clock.advance(timedelta(hours=1))
    (answer,) = await bank.read("/account/transactions", 60)
    assert refusal(answer) == (503, "not_fresh")
    assert (await bank.token.get("/account/transactions")).status_code == 200
    # The balance is read by another job, which the bank answers.
    (answer,) = await bank.read("/payment_account", 60)
    assert answer.status_code == 200, answer.text
    # That job has read the account, and none of its transactions.
    (answer,) = await bank.read("/account/transactions", 60)
    assert refusal(answer) == (503, "not_fresh")


async def test_one_refresh_serves_all_who_wait(bank: Bank) -> None:
    bank.clock.advance(timedelta(hours=1))
    answers = await bank.read("/payment_account", 60, readers=12)
    assert {each.status_code for each in answers} == {200}
    assert bank.reads == ["BALANCE"]


async def test_a_bank_that_fails_is_503_and_the_stored_data_can_be_read_without_max_age(bank: Bank) -> None:
    bank.clock.advance(timedelta(hours=1))
    bank.error = BankFailed()
    (answer,) = await bank.read("/payment_account", 60)
    assert refusal(answer) == (503, "not_fresh")
    assert answer.headers["Retry-After"] == "5"
    assert (await bank.token.get("/payment_account")).status_code == 200


async def test_a_consent_that_was_withdrawn_is_found_by_the_read(bank: Bank) -> None:
    bank.clock.advance(timedelta(hours=1))
    bank.error = ConsentRevoked()
    (answer,) = await bank.read("/payment_account", 60)
    assert refusal(answer) == (403, "connection_broken")


async def test_a_read_that_is_refused_reads_no_bank(bank: Bank) -> None:
    wrong = await bank.api.http.get(
        "/payment_account?max_age=0", headers={"Authorization": f"Bearer {bank.token.access_token}x"}
    )
    assert wrong.status_code == 401
    await run_pending(bank.api.services)
    assert bank.reads == []


@pytest.mark.parametrize("value", ["-1", "1.5", "soon", "99999999999"])
async def test_an_age_that_is_no_number_of_seconds_is_400(bank: Bank, value: str) -> None:
    (answer,) = await bank.read("/payment_account", value)
    assert refusal(answer) == (400, "invalid_request")


@pytest.mark.parametrize("setting", ["limit_refreshes_of_member", "limit_refreshes_of_processor"])
async def test_one_refresh_more_than_the_budget_allows_is_429_and_reads_no_bank(
    settings: Settings, clock: MovableClock, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    async with opened(settings, clock, monkeypatch, **{setting: "2/day"}) as bank:
        bank.clock.advance(timedelta(hours=1))
        for path in ("/account/account_numbers", "/account/account_owners"):
            (answer,) = await bank.read(path, 60)
            assert answer.status_code == 200, answer.text
        (answer,) = await bank.read("/payment_account", 60)
        assert refusal(answer) == (429, "too_many_requests_error")
        assert int(answer.headers["Retry-After"]) > 23 * 3600
        assert bank.reads == ["VERIFICATION", "IDENTIFICATION"]


async def test_a_bank_that_is_still_being_read_is_503_and_a_retry_joins_that_reading(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coatcheck.members.freshness.WAIT", timedelta(seconds=0.2))
    bank.clock.advance(timedelta(hours=1))
    answer = await bank.token.get("/payment_account?max_age=60")
    assert refusal(answer) == (503, "not_fresh")
    monkeypatch.undo()
    bank.attach(monkeypatch)
    (answer,) = await bank.read("/payment_account", 60)
    assert answer.status_code == 200
    assert bank.reads == ["BALANCE"]


async def test_a_reading_that_ends_while_another_is_requested_is_not_repeated(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.clock.advance(timedelta(hours=1))
    with monkeypatch.context() as patch:
        patch.setattr("coatcheck.members.freshness.WAIT", timedelta(seconds=0.2))
        assert refusal(await bank.token.get("/payment_account?max_age=60")) == (503, "not_fresh")
    services = bank.api.services
    async with services.db.transaction() as connection:
        await lock_member(connection, bank.member.user_guid, bank.member.guid)
        # The worker waits first, so it saves what it read before the request can look again.
        work = asyncio.create_task(run_pending(services))
        await until_waiting(services, 1)
        read = asyncio.create_task(bank.token.get("/payment_account?max_age=60"))
        await until_waiting(services, 2)
    assert (await read).status_code == 200
    await work
    await run_pending(services)
    assert bank.reads == ["BALANCE"]
