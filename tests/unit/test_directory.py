"""Clients, processors, users and accounts: each change with its audit entry, in one transaction."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.directory.clients import Clients, Identity
from coatcheck.directory.processors import ProcessorOptions
from coatcheck.errors import ConstraintNotMet, InvalidClient, InvalidRequest, NotFound
from coatcheck.members.member_rows import lock_member
from coatcheck.model.accounts import Account, find_account
from coatcheck.model.clients import find_client
from coatcheck.model.users import User, find_user
from coatcheck.model.widgets import WidgetAppearance, readers_of, widget_appearance
from tests.factories import Keyed, make_account, make_token
from tests.waiting_statements import until_waiting

UNKNOWN = "CLT-nobody"


async def audited(connection: Connection, subject: str) -> list[tuple[str, str, str | None]]:
    """Action, actor and client of each audit entry of the subject, oldest first."""
    cursor = await connection.execute(
        """SELECT body::json ->> 'action', body::json ->> 'actor', client_guid FROM audit_entry
           WHERE body::json ->> 'subject' = %s ORDER BY at, guid""",
        (subject,),
    )
    return await cursor.fetchall()


async def events_of(connection: Connection, client_guid: str) -> list[tuple[str, bool]]:
    """Type of each of the client's events, and whether it has a delivery."""
    cursor = await connection.execute(
        """SELECT e.type, d.event_guid IS NOT NULL FROM event e LEFT JOIN delivery d ON d.event_guid = e.guid
           WHERE e.owner_guid = %s AND e.format = 'mx' ORDER BY e.position""",
        (client_guid,),
    )
    return await cursor.fetchall()


async def test_a_new_client_and_a_new_processor_can_use_the_keys_they_were_given(services: Services) -> None:
    async with services.db.transaction() as connection:
        client = await services.clients.add(connection, "  Acme\u00a0 Bank ", actor="STF-1")
        processor = await services.processors.add(
            connection, "Acme Pay", ProcessorOptions(numbers_as_strings=True), actor="STF-1"
        )
        assert client.client.name == "Acme Bank"
        found = await services.api_keys.client(connection, client.client.guid, client.api_key)
        assert found == client.client
        reader = await services.api_keys.processor(connection, processor.processor.guid, processor.api_key)
        assert (reader.numbers_as_strings, reader.owners_at_transactions) == (True, False)
        assert ("client.added", "STF-1", client.client.guid) in await audited(connection, client.client.guid)
        assert ("processor.added", "STF-1", None) in await audited(connection, processor.processor.guid)
    assert client.api_key not in repr(client)
    assert processor.api_key not in repr(processor)


async def test_an_identity_determines_guid_and_key(services: Services) -> None:
    identity = Identity("CLT-11111111-1111-4111-8111-111111111111", entropy=7)
    async with services.db.transaction() as connection:
        first = await services.clients.add(connection, "Acme", actor="operator", identity=identity)
        await connection.execute("DELETE FROM api_key WHERE owner_guid = %s", (identity.guid,))
        await connection.execute("DELETE FROM client WHERE guid = %s", (identity.guid,))
        again = await services.clients.add(connection, "Acme", actor="operator", identity=identity)
    assert (again.client.guid, again.api_key) == (first.client.guid, first.api_key)


@pytest.mark.parametrize("name", ["", " \t", "a\x00b", "a\u202eb", "x" * 1001])
async def test_an_invalid_name_is_refused(services: Services, name: str) -> None:
    async with services.db.transaction() as connection:
        with pytest.raises(InvalidRequest):
            await services.clients.add(connection, name, actor="operator")
        with pytest.raises(InvalidRequest):
            await services.processors.add(connection, name, actor="operator")


async def test_a_disabled_client_is_refused_until_it_is_enabled(services: Services, client: Keyed) -> None:
    async with services.db.transaction() as connection:
        await services.clients.disable(connection, client.guid, actor="operator")
        with pytest.raises(InvalidClient):
            await services.api_keys.client(connection, *client.auth)
        await services.clients.enable(connection, client.guid, actor="operator")
        await services.api_keys.client(connection, *client.auth)
        actions = {action for action, _, _ in await audited(connection, client.guid)}
    assert {"client.disabled", "client.enabled"} <= actions


async def test_a_disabled_processor_is_refused_until_it_is_enabled(
    services: Services, processor: Keyed
) -> None:
    async with services.db.transaction() as connection:
        await services.processors.disable(connection, processor.guid, actor="operator")
        with pytest.raises(InvalidClient):
            await services.api_keys.processor(connection, *processor.auth)
        await services.processors.enable(connection, processor.guid, actor="operator")
        await services.api_keys.processor(connection, *processor.auth)
        actions = {action for action, _, _ in await audited(connection, processor.guid)}
    assert {"processor.disabled", "processor.enabled"} <= actions


async def test_a_processor_is_enabled_and_disabled_for_one_client(services: Services, client: Keyed) -> None:
    async with services.db.transaction() as connection:
        added = await services.processors.add(connection, "Acme Pay", actor="operator")
        guid = added.processor.guid
        assert await readers_of(connection, client.guid) == []
        await services.processors.enable_for(connection, guid, client.guid, actor="operator")
        await services.processors.enable_for(connection, guid, client.guid, actor="operator")
        assert [each.name for each in await readers_of(connection, client.guid)] == ["Acme Pay"]
        await services.processors.disable_for(connection, guid, client.guid, actor="operator")
        assert await readers_of(connection, client.guid) == []
        entries = await audited(connection, guid)
        for pair in ((guid, UNKNOWN), ("PPR-nobody", client.guid)):
            for change in (services.processors.enable_for, services.processors.disable_for):
                with pytest.raises(NotFound):
                    await change(connection, *pair, actor="operator")
    assert ("processor.enabled_for_client", "operator", client.guid) in entries
    assert ("processor.disabled_for_client", "operator", client.guid) in entries


async def test_the_key_of_an_unknown_caller_is_not_rotated(
    services: Services, client: Keyed, processor: Keyed
) -> None:
    async with services.db.transaction() as connection:
        rotated = await services.clients.rotate_key(connection, client.guid)
        await services.api_keys.client(connection, client.guid, rotated.api_key)
        await services.api_keys.client(connection, *client.auth)
        rotated = await services.processors.rotate_key(connection, processor.guid, overlap=timedelta())
        await services.api_keys.processor(connection, processor.guid, rotated.api_key)
        with pytest.raises(InvalidClient):
            await services.api_keys.processor(connection, *processor.auth)
        for rotate in (services.clients.rotate_key, services.processors.rotate_key):
            with pytest.raises(NotFound):
                await rotate(connection, UNKNOWN)


async def test_every_change_of_an_unknown_client_is_refused(services: Services) -> None:
    clients = services.clients
    async with services.db.transaction() as connection:
        for change in (clients.enable, clients.disable):
            with pytest.raises(NotFound):
                await change(connection, UNKNOWN, actor="operator")
        with pytest.raises(NotFound):
            await clients.set_webhook_url(connection, UNKNOWN, "https://acme.example/", actor="operator")
        with pytest.raises(NotFound):
            await clients.set_widget_appearance(connection, UNKNOWN, WidgetAppearance(), actor="operator")
        assert await audited(connection, UNKNOWN) == []


def clients_of(services: Services, *, allow_private: bool) -> Clients:
    settings = replace(services.settings, webhook_allow_private=allow_private)
    return Clients(settings, services.clock, services.vault, services.journal, services.api_keys)


@pytest.mark.parametrize(
    "address", ["http://localhost:9000/hook", "http://127.0.0.1/hook", "https://hooks:9/"]
)
async def test_a_webhook_to_a_private_address_needs_the_setting(
    services: Services, client: Keyed, address: str
) -> None:
    async with services.db.transaction() as connection:
        with pytest.raises(InvalidRequest):
            await clients_of(services, allow_private=False).set_webhook_url(
                connection, client.guid, address, actor="operator"
            )
        assert (await find_client(connection, client.guid)).webhook_url is None
        await clients_of(services, allow_private=True).set_webhook_url(
            connection, client.guid, address, actor="operator"
        )
        assert (await find_client(connection, client.guid)).webhook_url == address


@pytest.mark.parametrize(
    "address", ["", "ftp://localhost/", "http://", "http://a:b@localhost/", "localhost:9000"]
)
async def test_no_setting_allows_another_kind_of_webhook_url(
    services: Services, client: Keyed, address: str
) -> None:
    async with services.db.transaction() as connection:
        with pytest.raises(InvalidRequest):
            await clients_of(services, allow_private=True).set_webhook_url(
                connection, client.guid, address, actor="operator"
            )


async def test_each_read_of_the_webhook_secret_returns_the_same_value_and_is_a_disclosure(
    services: Services, client: Keyed
) -> None:
    async with services.db.transaction() as connection:
        first = await services.clients.webhook_secret(connection, client.guid, reader="operator")
        assert await services.clients.webhook_secret(connection, client.guid, reader="operator") == first
        cursor = await connection.execute(
            "SELECT count(*) FROM disclosure WHERE client_guid = %s AND reader_guid = 'operator'",
            (client.guid,),
        )
        assert await cursor.fetchone() == (1,)
    assert first.startswith("whsec_")


async def test_all_widget_settings_are_replaced(services: Services, client: Keyed) -> None:
    appearance = WidgetAppearance(["https://app.example"], accent_color="#0a7")
    async with services.db.transaction() as connection:
        await services.clients.set_widget_appearance(connection, client.guid, appearance, actor="operator")
        assert await widget_appearance(connection, client.guid) == appearance
        await services.clients.set_widget_appearance(
            connection, client.guid, WidgetAppearance(), actor="operator"
        )
        assert await widget_appearance(connection, client.guid) == WidgetAppearance()
        actions = [action for action, _, _ in await audited(connection, client.guid)]
    assert actions.count("client.widget_changed") == 2


async def test_each_change_of_a_user_has_an_audit_entry_and_an_event(
    services: Services, client: Keyed
) -> None:
    async with services.db.transaction() as connection:
        await services.clients.set_webhook_url(
            connection, client.guid, "https://acme.example/", actor="operator"
        )
        user = await services.users.create(connection, client.guid, {"id": "ann"}, actor="STF-1")
        changed = await services.users.update(
            connection, user, {"email": "ann@example.com"}, actor=client.guid, notify=False
        )
        await services.users.delete(connection, changed, actor=client.guid)
        entries = await audited(connection, user.guid)
        events = await events_of(connection, client.guid)
        with pytest.raises(NotFound):
            await services.users.update(connection, user, {"email": None}, actor=client.guid)
    assert sorted(entries) == [
        ("user.created", "STF-1", client.guid),
        ("user.deleted", client.guid, client.guid),
        ("user.updated", client.guid, client.guid),
    ]
    assert sorted(is_delivered for _, is_delivered in events) == [False, True, True]


async def test_simultaneous_updates_of_a_user_keep_both_changes(services: Services, user: User) -> None:
    async with services.db.transaction() as connection:
        await services.users.update(connection, user, {"metadata": "m"}, actor="operator")
        await services.users.update(connection, user, {"email": "a@example.com"}, actor="operator")
        found = await find_user(connection, user.client_guid, user.guid)
    assert (found.metadata, found.email) == ("m", "a@example.com")


async def test_the_webhook_of_a_deletion_counts_an_update_that_came_first(
    services: Services, user: User
) -> None:
    async with services.db.transaction() as connection:
        await services.users.update(connection, user, {"id": "ann"}, actor="operator")
        await services.users.delete(connection, user, actor="operator")
        cursor = await connection.execute(
            """SELECT payload::json ->> 'action', (payload::json #>> '{user,revision}')::int,
                      payload::json #>> '{user,id}' FROM event
               WHERE owner_guid = %s AND type = 'USER' ORDER BY position""",
            (user.client_guid,),
        )
        events = await cursor.fetchall()
    assert events[-2:] == [("updated", 2, "ann"), ("deleted", 3, "ann")]


async def test_the_audit_log_says_from_where_keys_are_accepted(
    services: Services, client: Keyed, processor: Keyed
) -> None:
    async with services.db.transaction() as connection:
        for networks in (["203.0.113.0/24", "2001:db8::/32"], None):
            await services.clients.set_allowed_networks(connection, client.guid, networks, actor="operator")
            await services.processors.set_allowed_networks(
                connection, processor.guid, networks, actor="operator"
            )
        cursor = await connection.execute(
            """SELECT body::json -> 'detail' ->> 'networks' FROM audit_entry
               WHERE body::json ->> 'action' LIKE '%%.networks_changed' AND body::json ->> 'subject' = ANY (%s)
               ORDER BY body::json ->> 'subject', guid""",
            ([client.guid, processor.guid],),
        )
        recorded = [networks for (networks,) in await cursor.fetchall()]
    assert recorded == ["203.0.113.0/24 2001:db8::/32", "all"] * 2


async def manual_account(services: Services, user: User, connection: Connection, **values: Any) -> Account:
    given = {"name": "Cash", "type": "CHECKING"} | values
    return await services.accounts.create(connection, user, given, actor=user.client_guid)


async def test_a_manual_account_is_created_changed_and_deleted(services: Services, user: User) -> None:
    async with services.db.transaction() as connection:
        account = await manual_account(services, user, connection, balance=Decimal("1.50"))
        changed = await services.accounts.update(
            connection, account, {"name": "Notes"}, actor=user.client_guid
        )
        assert (changed.name, changed.balance) == ("Notes", Decimal("1.50"))
        await services.accounts.delete(connection, changed, actor=user.client_guid)
        with pytest.raises(NotFound):
            await find_account(connection, user.guid, account.guid)
        actions = sorted(action for action, _, _ in await audited(connection, account.guid))
    assert actions == ["account.created", "account.deleted", "account.updated"]


async def test_of_two_deletions_of_an_account_at_once_one_is_recorded(services: Services, user: User) -> None:
    async with services.db.transaction() as connection:
        account = await manual_account(services, user, connection)

    async def delete() -> None:
        async with services.db.transaction() as connection:
            await services.accounts.delete(connection, account, actor=user.client_guid)

    async with services.db.transaction() as connection:
        await services.accounts.delete(connection, account, actor=user.client_guid)
        second = asyncio.create_task(delete())
        await until_waiting(services, 1)
    with pytest.raises(NotFound):
        await second
    async with services.db.connection() as connection:
        actions = [action for action, _, _ in await audited(connection, account.guid)]
    assert actions.count("account.deleted") == 1


async def test_an_aggregated_account_cannot_be_deleted_and_keeps_the_banks_values(
    services: Services, account: Account
) -> None:
    async with services.db.transaction() as connection:
        with pytest.raises(ConstraintNotMet):
            await services.accounts.update(connection, account, {"name": "Mine"}, actor="operator")
        with pytest.raises(ConstraintNotMet):
            await services.accounts.delete(connection, account, actor="operator")
        changed = await services.accounts.update(
            connection, account, {"name": "Mine", "is_hidden": True}, actor="operator"
        )
    assert (changed.name, changed.is_hidden) == (account.name, True)


async def test_a_merge_keeps_the_first_account_and_records_the_others(services: Services, user: User) -> None:
    async with services.db.transaction() as connection:
        first, *others = [await manual_account(services, user, connection) for _ in range(3)]
        guids = [first.guid, *(other.guid for other in others)]
        merged = await services.accounts.merge(connection, user, guids, actor=user.client_guid)
        assert merged.guid == first.guid
        for other in others:
            assert ("account.merged", user.client_guid, user.client_guid) in await audited(
                connection, other.guid
            )
        with pytest.raises(InvalidRequest):
            await services.accounts.merge(connection, user, [first.guid, first.guid], actor=user.client_guid)


async def test_a_merge_locks_the_members_before_the_tokens(
    services: Services, user: User, account: Account, processor: Keyed
) -> None:
    other = await make_account(services, user)
    await make_token(services, other, processor)

    async def merge() -> Account:
        async with services.db.transaction() as connection:
            return await services.accounts.merge(
                connection, user, [account.guid, other.guid], actor=user.client_guid
            )

    async with services.db.transaction() as connection:
        await lock_member(connection, user.guid, other.member_guid)
        merging = asyncio.create_task(merge())
        await until_waiting(services, 1)
        await connection.execute(
            "SELECT FROM access_token WHERE account_guid = %s FOR UPDATE NOWAIT", [other.guid]
        )
    assert (await merging).guid == account.guid


async def test_an_account_that_is_named_by_its_guid_and_its_id_is_not_merged_into_itself(
    services: Services, user: User
) -> None:
    account = await make_account(services, user, id="bank-id")
    async with services.db.transaction() as connection:
        for guids in ([account.guid, "bank-id"], []):
            with pytest.raises(InvalidRequest):
                await services.accounts.merge(connection, user, guids, actor=user.client_guid)
        assert (await find_account(connection, user.guid, account.guid)).guid == account.guid


async def test_two_changes_of_a_widget_at_once_are_both_kept(services: Services, client: Keyed) -> None:
    change = services.clients.change_widget_appearance
    origins = ["https://app.example"]

    async def set_origins() -> None:
        async with services.db.transaction() as connection:
            await change(connection, client.guid, {"origins": origins}, actor="operator")

    async with services.db.transaction() as connection:
        await change(connection, client.guid, {"accent_color": "#0a7"}, actor="operator")
        second = asyncio.create_task(set_origins())
        await until_waiting(services, 1)
    await second
    async with services.db.connection() as connection:
        found = await widget_appearance(connection, client.guid)
    assert found == WidgetAppearance(origins, "#0a7")
