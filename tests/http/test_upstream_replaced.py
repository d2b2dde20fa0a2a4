"""Another connector takes over an institution, or a user connects again: accounts keep their guids."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from coatcheck.config import Settings
from coatcheck.model.accounts import Account, find_client_account
from tests.api_client import Api
from tests.factories import make_code, make_processor, make_token
from tests.fdx_bank import (
    LOGIN,
    RETURN_URL,
    FdxBankServer,
    Upstream,
    fdx_bank,
    upstream_of,
    write_bank_profile,
)
from tests.sandbox_members import Member, by_login, sandbox_api

READS = ("account/account_numbers", "account/transactions", "payment_account")


@pytest.fixture
async def bank(settings: Settings) -> AsyncIterator[FdxBankServer]:
    async with fdx_bank(settings) as bank:
        yield bank


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with sandbox_api(settings) as api:
        yield api


async def native_member(api: Api, login: str) -> Member:
    user = await api.create_user()
    member = Member(api, user, await api.connect(user, login=login), login)
    await api.work()
    assert await member.run_job("verify") == "CONNECTED"
    return member


async def guids_of(member: Member) -> dict[str, str]:
    """By the masked number, which is the same over every connector."""
    return {each["account_number"]: each["guid"] for each in await member.listed("accounts")}


async def verified_guids(member: Member) -> dict[str, str]:
    return {each["account_number"]: each["account_guid"] for each in await member.listed("account_numbers")}


class Readers:
    """Processors that read with tokens, one after the other, until they are stopped."""

    def __init__(self, tokens: list[str], apps: list[httpx.AsyncClient]) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.apps = apps
        self._reads = itertools.cycle(itertools.product(tokens, READS))
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        while not self._stopped.is_set():
            token, path = next(self._reads)
            app = self.apps[sum(self.answers.values()) % len(self.apps)]
            answer = await app.get(f"/{path}", headers={"Authorization": f"Bearer {token}"})
            self.answers[answer.status_code, answer.text if answer.status_code != 200 else ""] += 1

    def stop(self) -> None:
        self._stopped.set()


async def switch(upstream: Upstream, member: Member) -> None:
    """The next job finds that the user has to sign in at the new connector, and the user does."""
    moved = Member(upstream.api, member.user_guid, member.guid, member.login_name)
    assert await moved.run_job("check_balance") == "IMPAIRED"
    window = (await upstream.api.get(f"{member.path}/oauth_window_uri")).json()["member"]
    await upstream.sign_in(window["oauth_window_uri"], member.login_name)
    assert await moved.status() == "CONNECTED"


@pytest.mark.slow
async def test_an_upstream_is_replaced_under_100_live_tokens_and_constant_reads(
    settings: Settings, api: Api, bank: FdxBankServer, tmp_path: Path
) -> None:
    await replace_upstream(settings, api, bank, tmp_path, members=10, processors=5)


async def test_an_upstream_is_replaced_under_live_tokens(
    settings: Settings, api: Api, bank: FdxBankServer, tmp_path: Path
) -> None:
    await replace_upstream(settings, api, bank, tmp_path, members=1, processors=2)


async def replace_upstream(
    settings: Settings, api: Api, bank: FdxBankServer, tmp_path: Path, *, members: int, processors: int
) -> None:
    connected = [await native_member(api, f"user{number}+persona=salaried") for number in range(members)]
    before = [(await guids_of(each), await verified_guids(each)) for each in connected]
    transactions = [comparable(await each.listed("transactions")) for each in connected]
    tokens = await tokens_of(api, [guid for _, verified in before for guid in verified.values()], processors)
    assert len(tokens) == 2 * members * processors
    readers = Readers(tokens, [api.http])
    reading = [asyncio.create_task(readers.run()) for _ in range(2)]
    native = api.services.registry.find("mxbank")
    profile = await write_bank_profile(
        bank.url, RETURN_URL, tmp_path, institution_code="mxbank", guid=native.guid
    )
    async with upstream_of(settings, ("fdx", "sandbox"), profile, api.caller) as upstream:
        readers.apps.append(upstream.api.http)
        for member in connected:
            await switch(upstream, member)
        readers.stop()
        await asyncio.gather(*reading)
    assert set(readers.answers) == {(200, "")}
    assert readers.answers.total() > len(tokens)
    for member, (all_guids, verified), listed in zip(connected, before, transactions, strict=True):
        after = await guids_of(member)
        assert await verified_guids(member) == verified
        # An account without a number cannot be recognised: it is listed again, and the old one is closed.
        assert set(verified.values()) <= set(after.values())
        assert set(after) == set(all_guids)
        of_verified = [row for row in listed if row[0] in verified.values()]
        now = [row for row in comparable(await member.listed("transactions")) if row[0] in verified.values()]
        assert now == of_verified


def comparable(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("account_guid", "guid", "date", "type", "amount", "status")
    return sorted((tuple(row[name] for name in names) for row in rows), key=str)


async def tokens_of(api: Api, guids: list[str], processors: int) -> list[str]:
    accounts = [await account_of(api, guid) for guid in guids]
    keyed = [await make_processor(api.services, api.caller) for _ in range(processors)]
    return [await make_token(api.services, account, each) for each in keyed for account in accounts]


async def account_of(api: Api, guid: str) -> Account:
    async with api.services.db.connection() as connection:
        return await find_client_account(connection, api.caller.guid, guid)


async def test_the_tokens_of_a_deleted_member_stay_ended_when_its_accounts_return(api: Api) -> None:
    member = await by_login(api, [])
    before = await guids_of(member)
    token = await member.token()
    assert (await token.get("/payment_account")).status_code == 200
    processor = await make_processor(api.services, api.caller)
    first, *_ = (await verified_guids(member)).values()
    code = await make_code(api.services, await account_of(api, first))
    assert (await api.delete(member.path)).status_code == 204
    again = Member(
        api, member.user_guid, await api.connect(member.user_guid, login="ann+persona=salaried"), "ann"
    )
    await api.work()
    assert await again.run_job("verify") == "CONNECTED"
    assert await guids_of(again) == before
    assert (await token.get("/payment_account")).status_code == 401
    # A code that was issued before belongs to the deleted member, as its token does.
    redeemed = await api.http.post(
        "/token", params={"grant_type": "authorization_code", "code": code}, auth=processor.auth
    )
    late = {"Authorization": f"Bearer {redeemed.json()['access_token']}"}
    assert (await api.http.get("/payment_account", headers=late)).status_code == 401
    assert (await (await again.token()).get("/payment_account")).status_code == 200


async def test_an_account_that_is_connected_again_over_another_connector_has_its_guid(
    settings: Settings, api: Api, bank: FdxBankServer, tmp_path: Path
) -> None:
    member = await native_member(api, LOGIN)
    before = await verified_guids(member)
    assert (await api.delete(member.path)).status_code == 204
    profile = await write_bank_profile(bank.url, RETURN_URL, tmp_path)
    async with upstream_of(settings, ("sandbox", "fdx"), profile, api.caller) as upstream:
        again = await upstream.connect(LOGIN, user_guid=member.user_guid)
        assert await verified_guids(again) == before
