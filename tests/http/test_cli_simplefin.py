"""`coatcheck simplefin create`: setup tokens that the operator makes."""

import asyncio
from base64 import b64decode
from urllib.parse import urlsplit

import pytest

from coatcheck.cli.exit_codes import ExitCode
from tests.factories import make_account, make_client, make_user


@pytest.fixture
async def owner(services, client):
    return await make_user(services, client, id="ann")


async def claimed(http, created):
    url = urlsplit((await http.post(urlsplit(b64decode(created["token"]).decode()).path)).text)
    answer = await http.get("/simplefin/accounts", auth=(url.username, url.password))
    return {each["id"] for each in answer.json()["accounts"]}


async def test_an_app_gets_every_open_account_of_the_user(run_in_thread, services, http, client, owner):
    first, second = [await make_account(services, owner) for _ in range(2)]
    await make_account(services, owner, is_closed=True)
    created = await run_in_thread("simplefin", "create", client.guid, "ann", "--app", "Actual")
    assert created["app_name"] == "Actual"
    assert await claimed(http, created) == {first.guid, second.guid}


async def test_an_app_gets_the_named_account_with_its_limits(run_in_thread, services, http, client, owner):
    account, _ = [await make_account(services, owner) for _ in range(2)]
    created = await run_in_thread(
        *("simplefin", "create", client.guid, owner.guid, "--app", "Actual", "--account", account.guid),
        *("--expires-in-days", "30", "--lookback-days", "90", "--max-reads", "5"),
    )
    assert await claimed(http, created) == {account.guid}
    grants = await http.get("/coatcheck/grants", auth=client.auth)
    (grant,) = grants.json()["grants"]
    assert (grant["lookback_days"], grant["max_reads"], grant["reads"]) == (90, 5, 1)


@pytest.mark.parametrize("case", ["another client", "unknown user", "no account"])
async def test_what_does_not_exist_is_named(operator, services, client, owner, case):
    named = {
        "another client": ((await make_client(services)).guid, owner.guid),
        "unknown user": (client.guid, "USR-unknown"),
        "no account": (client.guid, owner.guid),
    }
    answer = await asyncio.to_thread(operator, "simplefin", "create", *named[case], "--app", "Actual")
    assert answer.code == ExitCode.NOT_FOUND
    assert answer.out == ""
