"""The audit entries of codes and tokens: each verifies, names its object, and gives the reason of a refusal."""

from dataclasses import replace
from datetime import timedelta

import pytest

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.directory.client_rows import set_client_disabled
from coatcheck.directory.processor_rows import disable_processor
from coatcheck.errors import InvalidGrant
from coatcheck.grants.exchange import RACE_WINDOW
from coatcheck.grants.refusals import MAX_PER_PERIOD
from coatcheck.model.accounts import Account
from coatcheck.model.users import User
from tests.factories import Keyed, make_account, make_code, make_processor, make_token, make_user, scope_of
from tests.sealed_log import entries, verified

HOUR = timedelta(hours=1)


async def exchange(services: Services, processor: Keyed, code: str) -> str:
    issued = await services.exchange.redeem(
        processor_guid=processor.guid, api_key=processor.api_key, code=code
    )
    return issued.access_token


async def refuse(services: Services, processor: Keyed, code: str) -> str | None:
    """The detail of the refusal, which the log has."""
    with pytest.raises(InvalidGrant) as refusal:
        await exchange(services, processor, code)
    assert refusal.value.problem == "The authorization code is invalid, expired or already used."
    return refusal.value.detail


async def refusals(services: Services, client_guid: str | None = None) -> list[tuple[str, str, str]]:
    return [
        (entry["actor"], entry["subject"], entry["detail"]["reason"])
        for entry in await entries(services, client_guid)
        if entry["action"] == "code.refused"
    ]


@pytest.mark.own_database
async def test_entries_of_issue_exchange_replay_and_revocation_verify_and_name_their_object(
    services: Services, clock: MovableClock, client: Keyed, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    await exchange(services, processor, code)
    clock.advance(RACE_WINDOW)
    await refuse(services, processor, code)
    await make_token(services, account, processor)
    async with services.db.connection() as connection:
        newest, first = await services.tokens.list(connection, client.guid)
        await services.revocations.revoke(connection, client_guid=client.guid, guid=newest.guid)
    result = await verified(services)
    assert (result.problems, result.unsealed) == ([], len(await entries(services)))
    written = [
        (entry["action"], entry["actor"], entry["subject"]) for entry in await entries(services, client.guid)
    ]
    assert sorted(written) == sorted(
        [
            ("api_key.issued", "operator", client.guid),
            ("code.issued", client.guid, account.guid),
            ("code.issued", client.guid, account.guid),
            ("token.issued", processor.guid, first.guid),
            ("token.issued", processor.guid, newest.guid),
            ("token.revoked", processor.guid, first.guid),
            ("code.refused", processor.guid, account.guid),
            ("token.revoked", client.guid, newest.guid),
        ]
    )
    assert all(entry["client_guid"] == client.guid for entry in await entries(services, client.guid))


async def test_the_operator_learns_which_condition_refused_a_code(
    services: Services, clock: MovableClock, client: Keyed, processor: Keyed, user: User, account: Account
) -> None:
    async def act(statement: str, guid: str) -> None:
        async with services.db.transaction() as connection:
            await connection.execute(statement, (guid,))

    other = await make_processor(services, client)
    not_enabled = await make_processor(services)
    assert await refuse(services, processor, "not a code") == "malformed"
    code = await make_code(services, account)
    assert await refuse(services, not_enabled, code) == "processor_not_enabled"
    async with services.db.connection() as connection:
        named = await services.issuer.issue_authenticated(
            connection, client_guid=client.guid, scope=scope_of(account), processor_guid=other.guid
        )
    assert await refuse(services, processor, named) == "other_processor"
    await exchange(services, processor, code)
    assert await refuse(services, processor, code) == "retried"
    assert await refuse(services, other, code) == "redeemed"
    clock.advance(RACE_WINDOW)
    assert await refuse(services, processor, code) == "redeemed"
    late = await make_code(services, account)
    clock.advance(services.settings.code_ttl)
    assert await refuse(services, processor, late) == "expired"
    code = await make_code(services, account)
    await act("DELETE FROM authorization_code WHERE user_guid = %s", user.guid)
    assert await refuse(services, processor, code) == "unknown"
    code = await make_code(services, account)
    await act("UPDATE end_user SET is_disabled = true WHERE guid = %s", user.guid)
    assert await refuse(services, processor, code) == "user_disabled"
    await act("DELETE FROM end_user WHERE guid = %s", user.guid)
    assert await refuse(services, processor, code) == "user_deleted"
    recorded = [reason for _, _, reason in await refusals(services, client.guid)]
    assert recorded == [
        "processor_not_enabled",
        "other_processor",
        "retried",
        "redeemed",
        "redeemed",
        "expired",
        "user_disabled",
        "user_deleted",
    ]
    mine = [
        (subject, reason) for actor, subject, reason in await refusals(services) if actor == processor.guid
    ]
    assert (processor.guid, "malformed") in mine
    assert (processor.guid, "unknown") in mine
    assert (account.guid, "redeemed") in mine


async def test_a_code_of_a_disabled_client_is_explained(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    async with services.db.transaction() as connection:
        await set_client_disabled(connection, client.guid, is_disabled=True)
    assert await refuse(services, processor, code) == "client_disabled"
    async with services.db.transaction() as connection:
        await set_client_disabled(connection, client.guid, is_disabled=False)
        await disable_processor(connection, client_guid=client.guid, processor_guid=processor.guid)
    assert await refuse(services, processor, code) == "processor_not_enabled"


async def test_refusals_of_a_processor_are_recorded_up_to_a_limit_a_minute_and_all_are_logged(
    services: Services, clock: MovableClock, client: Keyed, processor: Keyed
) -> None:
    other = await make_processor(services, client)
    for _ in range(MAX_PER_PERIOD + 3):
        assert await refuse(services, processor, "not a code") == "malformed"
    assert await refuse(services, other, "not a code") == "malformed"

    async def recorded(actor: Keyed) -> int:
        return len([1 for guid, _, _ in await refusals(services) if guid == actor.guid])

    assert (await recorded(processor), await recorded(other)) == (MAX_PER_PERIOD, 1)
    clock.advance(timedelta(minutes=1))
    await refuse(services, processor, "not a code")
    assert await recorded(processor) == MAX_PER_PERIOD + 1
    *_, last = [each for each in await entries(services) if each["actor"] == processor.guid]
    assert last["detail"] == {"reason": "malformed", "suppressed": "3"}


async def test_a_refusal_names_neither_the_code_nor_its_hash(
    services: Services, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    await exchange(services, processor, code)
    await refuse(services, processor, code)
    async with services.db.connection() as connection:
        cursor = await connection.execute("SELECT string_agg(body, '') FROM audit_entry")
        ((bodies,),) = await cursor.fetchall()
    assert code[8:] not in bodies


async def test_with_on_code_reuse_reject_a_replay_is_refused_and_recorded_and_nothing_is_revoked(
    services: Services, settings: Settings, clock: MovableClock, client: Keyed, processor: Keyed
) -> None:
    account = await make_account(services, await make_user(services, client))
    async with build(replace(settings, on_code_reuse="reject"), clock) as lenient:
        code = await make_code(lenient, account)
        await exchange(lenient, processor, code)
        clock.advance(RACE_WINDOW)
        assert await refuse(lenient, processor, code) == "redeemed"
    actions = [entry["action"] for entry in await entries(services, client.guid)]
    assert "code.refused" in actions
    assert "token.revoked" not in actions
