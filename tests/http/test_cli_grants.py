"""`coatcheck grant` and `coatcheck audit who`: what processors may read, and who read."""

import asyncio
import json
from datetime import timedelta

import pytest

from coatcheck.cli.exit_codes import ExitCode
from coatcheck.signatures import verify
from coatcheck.vault.signing_keys import key_set, published_keys
from tests.factories import make_token


@pytest.fixture
async def token(services, account, processor):
    return await make_token(services, account, processor)


@pytest.fixture
async def guid(services, client, account, token):
    async with services.db.connection() as connection:
        (grant,) = await services.tokens.list(connection, client.guid, account_guid=account.guid)
    return grant.guid


async def read(services, token):
    await services.access.numbers(services.access.parse_token(token))


async def test_grants_are_listed_by_client_and_by_processor(run_in_thread, client, processor, guid):
    for option, owner in (("--client", client), ("--processor", processor)):
        rows = await run_in_thread("grant", "list", option, owner.guid, "--status", "active")
        assert [row["guid"] for row in rows] == [guid]
        assert await run_in_thread("grant", "list", option, owner.guid, "--status", "revoked") == []


async def test_a_list_of_nobodys_grants_is_refused(operator, guid):
    answer = await asyncio.to_thread(operator, "grant", "list")
    assert answer.code == ExitCode.USAGE
    assert "--client" in answer.err


async def test_a_grant_is_shown_with_its_reads(run_in_thread, services, token, guid, account):
    await read(services, token)
    shown = await run_in_thread("grant", "show", guid)
    assert (shown["status"], shown["reads"], shown["account_guid"]) == ("active", 1, account.guid)
    (row,) = await run_in_thread("grant", "reads", guid)
    assert (row["what"], row["records"]) == ("ACCOUNT_NUMBERS", 1)


async def test_a_revoked_grant_gives_the_same_receipt_again(run_in_thread, services, guid):
    first = await run_in_thread("grant", "revoke", guid, "--reason", "a stolen laptop")
    assert await run_in_thread("grant", "revoke", guid) == first
    async with services.db.connection() as connection:
        published = key_set(await published_keys(connection, services.clock.now()))["keys"]
    assert verify(first["receipt"], published).claims["reason"] == "a stolen laptop"
    shown = await run_in_thread("grant", "show", guid)
    assert (shown["status"], shown["revoked_by"]) == ("revoked", "operator")


async def test_a_revoked_grant_gives_the_same_receipt_after_it_was_deleted(run_in_thread, services, guid):
    first = await run_in_thread("grant", "revoke", guid)
    async with services.db.connection() as connection:
        await connection.execute("DELETE FROM access_token WHERE guid = %s", (guid,))
    assert await run_in_thread("grant", "revoke", guid) == first


@pytest.mark.parametrize("command", ["show", "reads", "revoke"])
async def test_an_unknown_grant_is_an_error_with_a_hint(operator, command):
    answer = await asyncio.to_thread(operator, "grant", command, "TKN-unknown")
    assert answer.code == ExitCode.NOT_FOUND
    assert "coatcheck grant list" in answer.err


async def test_who_could_read_an_account_and_who_did(
    run_in_thread, services, account, processor, token, guid, clock
):
    await read(services, token)
    today = clock.now()
    found = await run_in_thread("audit", "who", account.guid, "--on", f"{today:%Y-%m-%d}")
    (could,) = found["could_read"]
    (did,) = [each for each in found["did_read"] if each["reader_kind"] != "service"]
    assert (could["grant_guid"], could["processor_guid"]) == (guid, processor.guid)
    assert (did["grant_guid"], did["reader_guid"], did["what"], did["reads"]) == (
        guid,
        processor.guid,
        "ACCOUNT_NUMBERS",
        1,
    )
    for days, could_read in ((-1, 0), (30, 1), (70, 0)):
        day = f"{today + timedelta(days=days):%Y-%m-%d}"
        found = await run_in_thread("audit", "who", account.guid, "--on", day)
        assert (len(found["could_read"]), found["did_read"]) == (could_read, [])


async def test_a_revoked_grant_could_read_on_the_day_of_its_revocation_and_not_later(
    run_in_thread, services, account, client, guid, clock
):
    async with services.db.connection() as connection:
        await services.revocations.revoke(connection, client_guid=client.guid, guid=guid)
    for days, could_read in ((0, 1), (1, 0)):
        day = f"{clock.now() + timedelta(days=days):%Y-%m-%d}"
        found = await run_in_thread("audit", "who", account.guid, "--on", day)
        assert len(found["could_read"]) == could_read


async def test_an_unknown_account_is_an_error(operator):
    answer = await asyncio.to_thread(operator, "audit", "who", "ACT-unknown", "--on", "2026-11-26")
    assert answer.code == ExitCode.NOT_FOUND


@pytest.mark.parametrize("day", ["today", "2026-02-30", "26.11.2026", ""])
def test_a_day_that_is_none_is_refused_with_the_form_of_a_day(operator, day):
    answer = operator("audit", "who", "ACT-unknown", "--on", day)
    assert answer.code == ExitCode.USAGE
    assert f"{day!r} is not a day. Write it as year, month and day: 2026-11-26." in answer.err


async def test_tables_are_printed_for_people(operator, account, client, guid):
    listed = await asyncio.to_thread(operator, "grant", "list", "--client", client.guid)
    assert guid in listed.out
    answer = await asyncio.to_thread(operator, "audit", "who", account.guid, "--on", "2020-01-01")
    assert (answer.code, "No processor." in answer.out, "Nobody." in answer.out) == (0, True, True)


async def test_json_is_one_document(operator, client):
    answer = await asyncio.to_thread(operator, "grant", "list", "--client", client.guid, "--json")
    assert json.loads(answer.out) == []


@pytest.mark.parametrize(
    ("option", "guid", "message"),
    [
        ("--client", "CLT-none", "There is no client CLT-none. `coatcheck client list` shows all clients."),
        ("--processor", "PPR-none", "There is no processor PPR-none."),
        ("--user", "USR-none", "There is no user USR-none."),
        ("--account", "ACT-none", "There is no account ACT-none."),
    ],
)
async def test_a_list_for_an_object_that_does_not_exist_is_an_error(
    operator, client, guid, option, message, request
):
    named = request.node.callspec.params["guid"]
    owner = [] if option in {"--client", "--processor"} else ["--client", client.guid]
    answer = await asyncio.to_thread(operator, "grant", "list", *owner, option, named)
    assert (answer.code, answer.out) == (ExitCode.NOT_FOUND, "")
    assert message in answer.err


async def test_grants_of_an_account_that_was_deleted_are_listed(
    run_in_thread, services, client, account, guid
):
    async with services.db.transaction() as connection:
        await connection.execute("DELETE FROM account WHERE guid = %s", (account.guid,))
    rows = await run_in_thread("grant", "list", "--client", client.guid, "--account", account.guid)
    assert [row["guid"] for row in rows] == [guid]
