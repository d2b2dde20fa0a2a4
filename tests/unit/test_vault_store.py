"""Stored records: never in plain text, bound to their context, replaced together, deleted with their owner."""

import asyncio
import base64
from collections.abc import Sequence

import pytest

from coatcheck.app import Services
from coatcheck.crypto import context, seal
from coatcheck.directory.user_rows import remove_user
from coatcheck.errors import NotFound, SealBroken
from coatcheck.model.accounts import Account
from coatcheck.model.users import User
from coatcheck.vault.master_keys import MasterKeys
from coatcheck.vault.vault import AccountNumbers, AccountOwner, ClientReader, SecretKind, WorkerReader
from tests.factories import Keyed, make_account, make_user

WORKER = WorkerReader("JOB-1")


async def numbers_of(services: Services, user: User) -> Sequence[AccountNumbers]:
    async with services.db.connection() as connection:
        return (
            await services.vault.disclose_numbers(connection, ClientReader(user.client_guid, user.guid))
        ).items


async def owners_of(services: Services, user: User) -> Sequence[AccountOwner]:
    async with services.db.connection() as connection:
        return (
            await services.vault.disclose_owners(connection, ClientReader(user.client_guid, user.guid))
        ).items


async def store(services: Services, account: Account, *numbers: str) -> None:
    async with services.db.transaction() as connection:
        await services.vault.store_numbers(
            connection,
            user_guid=account.user_guid,
            member_guid=account.member_guid,
            numbers=[AccountNumbers(account_guid=account.guid, account_number=number) for number in numbers],
        )


async def store_secret(
    services: Services, owner_guid: str, record_guid: str, kind: SecretKind, value: bytes
) -> None:
    async with services.db.transaction() as connection:
        await services.vault.store_secret(
            connection, owner_guid=owner_guid, record_guid=record_guid, kind=kind, value=value
        )


async def secret_of(services: Services, owner_guid: str, record_guid: str, kind: SecretKind) -> bytes | None:
    async with services.db.connection() as connection:
        return await services.vault.disclose_secret(
            connection, owner_guid=owner_guid, record_guid=record_guid, kind=kind, reader=WORKER
        )


async def execute(services: Services, statement: str, *values: object) -> None:
    async with services.db.transaction() as connection:
        cursor = await connection.execute(statement, values)
        assert cursor.rowcount > 0, "the statement changed no row"


async def everything_stored(services: Services) -> str:
    """Every row of every table, as text."""
    async with services.db.connection() as connection:
        tables = await (
            await connection.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
        ).fetchall()
        assert len(tables) > 20
        stored = []
        for (table,) in tables:
            rows = await (await connection.execute(f"SELECT t::text FROM {table} t")).fetchall()
            stored += [row for (row,) in rows]
    return "\n".join(stored)


def forms(value: str) -> list[str]:
    """The encodings in which a program could store a value by mistake."""
    encoded = value.encode()
    return [
        value,
        value[::-1],
        encoded.hex(),
        base64.b64encode(encoded).decode().rstrip("="),
        base64.urlsafe_b64encode(encoded).decode().rstrip("="),
    ]


async def test_no_table_contains_a_stored_value_in_plain_text(services: Services, user: User) -> None:
    canaries = {
        name: f"canary{place}{name.replace('_', '')}"
        for place, name in enumerate(
            (*AccountNumbers.__slots__[1:8], *AccountOwner.__slots__[1:11]), start=10
        )
    }
    account = await make_account(services, user, account_number=None)
    async with services.db.transaction() as connection:
        await services.vault.store_numbers(
            connection,
            user_guid=user.guid,
            member_guid=account.member_guid,
            numbers=[
                AccountNumbers(
                    account_guid=account.guid, **{n: canaries[n] for n in AccountNumbers.__slots__[1:8]}
                )
            ],
        )
        await services.vault.store_owners(
            connection,
            user_guid=user.guid,
            member_guid=account.member_guid,
            owners=[
                AccountOwner(
                    account_guid=account.guid, **{n: canaries[n] for n in AccountOwner.__slots__[1:11]}
                )
            ],
        )
    for kind in SecretKind:
        canaries[kind] = f"canary99{kind.lower().replace('_', '')}"
        await store_secret(services, user.guid, account.member_guid, kind, canaries[kind].encode())
    assert (await numbers_of(services, user))[0].account_number == canaries["account_number"]
    assert (await owners_of(services, user))[0].phone == canaries["phone"]

    stored = await everything_stored(services)
    assert account.guid in stored  # the search itself finds what is there
    found = {name for name, value in canaries.items() if any(form in stored for form in forms(value))}
    assert found == set()
    assert len(canaries) == 7 + 10 + len(SecretKind)


async def test_storing_replaces_all_numbers_and_each_position_keeps_its_guid(
    services: Services, user: User, account: Account
) -> None:
    other = await make_account(services, user, account_number="5555555555")
    await store(services, account, "1", "2", "3")
    before = {item.account_number: item.guid for item in await numbers_of(services, user)}
    await store(services, account, "one", "two")
    after = {item.account_number: item.guid for item in await numbers_of(services, user)}
    assert after == {"one": before["1"], "two": before["2"], "5555555555": before["5555555555"]}
    await store(services, account, "one", "two", "three")
    again = {item.account_number: item.guid for item in await numbers_of(services, user)}
    assert again.pop("three") not in before.values()
    assert again == after
    assert other.guid in {item.account_guid for item in await numbers_of(services, user)}


async def test_storing_no_numbers_changes_nothing(services: Services, user: User, account: Account) -> None:
    await store(services, account)
    assert [item.account_number for item in await numbers_of(services, user)] == ["1234567890"]


async def test_numbers_of_several_accounts_can_be_stored_at_once(
    services: Services, user: User, account: Account
) -> None:
    other = await make_account(services, user)
    async with services.db.transaction() as connection:
        await services.vault.store_numbers(
            connection,
            user_guid=user.guid,
            member_guid=account.member_guid,
            numbers=[
                AccountNumbers(account_guid=other.guid, account_number="b0"),
                AccountNumbers(account_guid=account.guid, account_number="a0"),
                AccountNumbers(account_guid=other.guid, account_number="b1", passed_validation=False),
            ],
        )
    assert {
        (item.account_guid, item.account_number, item.passed_validation)
        for item in await numbers_of(services, user)
    } == {(account.guid, "a0", True), (other.guid, "b0", True), (other.guid, "b1", False)}


async def test_storing_a_secret_again_replaces_it(services: Services, user: User) -> None:
    await store_secret(services, user.guid, "MBR-1", SecretKind.CREDENTIALS, b"old")
    await store_secret(services, user.guid, "MBR-1", SecretKind.CREDENTIALS, b"new")
    assert await secret_of(services, user.guid, "MBR-1", SecretKind.CREDENTIALS) == b"new"


async def test_concurrent_first_writers_share_one_data_key(services: Services, user: User) -> None:
    records = [f"MBR-{number}" for number in range(8)]
    await asyncio.gather(
        *(store_secret(services, user.guid, record, SecretKind.STATE, record.encode()) for record in records)
    )
    for record in records:
        assert await secret_of(services, user.guid, record, SecretKind.STATE) == record.encode()


async def test_of_two_concurrent_writers_the_last_replaces_the_row_completely(
    services: Services, user: User
) -> None:
    account = await make_account(services, user, account_number=None)
    await store_secret(services, user.guid, "MBR-1", SecretKind.STATE, b"so that the user has a key already")
    async with services.db.transaction() as connection:
        await services.vault.store_numbers(
            connection,
            user_guid=user.guid,
            member_guid=account.member_guid,
            numbers=[AccountNumbers(account_guid=account.guid, account_number="first")],
        )
        second = asyncio.create_task(store(services, account, "second"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(second), 0.2)
    await second
    assert [item.account_number for item in await numbers_of(services, user)] == ["second"]


SWAP = """UPDATE {table} t SET sealed = other.sealed FROM {table} other
          WHERE t.guid = ANY (%s) AND other.guid = ANY (%s) AND other.guid <> t.guid"""


async def test_numbers_swapped_between_two_rows_of_an_account_cannot_be_opened(
    services: Services, user: User, account: Account
) -> None:
    await store(services, account, "1", "2")
    guids = [item.guid for item in await numbers_of(services, user)]
    await execute(services, SWAP.format(table="account_number"), guids, guids)
    with pytest.raises(SealBroken):
        await numbers_of(services, user)


async def test_numbers_swapped_between_two_users_cannot_be_opened(
    services: Services, client: Keyed, user: User, account: Account
) -> None:
    victim = await make_user(services, client)
    await make_account(services, victim)
    guids = [(await numbers_of(services, owner))[0].guid for owner in (user, victim)]
    await execute(services, SWAP.format(table="account_number"), guids, guids)
    for owner in (user, victim):
        with pytest.raises(SealBroken):
            await numbers_of(services, owner)


async def test_a_row_moved_to_another_account_of_its_user_cannot_be_opened(
    services: Services, user: User, account: Account
) -> None:
    other = await make_account(services, user, account_number=None)
    await execute(
        services, "UPDATE account_number SET account_guid = %s WHERE user_guid = %s", other.guid, user.guid
    )
    with pytest.raises(SealBroken):
        await numbers_of(services, user)


async def test_a_row_moved_to_another_user_cannot_be_opened(
    services: Services, client: Keyed, user: User, account: Account
) -> None:
    attacker = await make_user(services, client)
    own = await make_account(services, attacker, account_number=None)
    await store_secret(services, attacker.guid, "MBR-1", SecretKind.STATE, b"so that the attacker has a key")
    await execute(
        services,
        "UPDATE account_number SET user_guid = %s, account_guid = %s WHERE user_guid = %s",
        attacker.guid,
        own.guid,
        user.guid,
    )
    with pytest.raises(SealBroken):
        await numbers_of(services, attacker)


async def test_rows_moved_to_another_user_together_with_the_wrapped_key_cannot_be_opened(
    services: Services, client: Keyed, user: User, account: Account
) -> None:
    """The wrapped key of another user cannot be unwrapped: it is bound to its owner."""
    attacker = await make_user(services, client)
    own = await make_account(services, attacker)
    await execute(
        services,
        """UPDATE data_key t SET wrapped = v.wrapped FROM data_key v
           WHERE t.owner_guid = %s AND v.owner_guid = %s""",
        attacker.guid,
        user.guid,
    )
    await execute(
        services,
        """UPDATE account_number t SET sealed = v.sealed FROM account_number v
           WHERE t.user_guid = %s AND t.account_guid = %s AND v.user_guid = %s""",
        attacker.guid,
        own.guid,
        user.guid,
    )
    with pytest.raises(SealBroken):
        await numbers_of(services, attacker)


async def test_numbers_moved_to_the_table_of_owners_cannot_be_opened(
    services: Services, user: User, account: Account
) -> None:
    await execute(
        services,
        """UPDATE account_owner o SET sealed = n.sealed, guid = n.guid FROM account_number n
           WHERE o.user_guid = %s AND n.user_guid = o.user_guid""",
        user.guid,
    )
    with pytest.raises(SealBroken):
        await owners_of(services, user)


@pytest.mark.parametrize("byte", [0, 1, 12, 13, 40, -17, -16, -1])
async def test_a_value_with_one_changed_byte_cannot_be_opened(
    services: Services, user: User, account: Account, byte: int
) -> None:
    await execute(
        services,
        """UPDATE account_number SET sealed = set_byte(sealed, at, get_byte(sealed, at) # 1)
           FROM (SELECT CASE WHEN %s < 0 THEN length(sealed) + %s ELSE %s END AS at, guid AS of
                 FROM account_number) AS place
           WHERE user_guid = %s AND guid = of""",
        byte,
        byte,
        byte,
        user.guid,
    )
    with pytest.raises(SealBroken):
        await numbers_of(services, user)


async def test_a_secret_moved_to_another_kind_record_or_owner_cannot_be_opened(
    services: Services, client: Keyed, user: User
) -> None:
    other = await make_user(services, client)
    await store_secret(services, other.guid, "MBR-9", SecretKind.STATE, b"so that it has a key")
    for column, value in (("kind", "STATEMENT"), ("record_guid", "MBR-2"), ("owner_guid", other.guid)):
        await store_secret(services, user.guid, "MBR-1", SecretKind.CREDENTIALS, b"password")
        await execute(
            services,
            f"UPDATE sealed_secret SET {column} = %s WHERE owner_guid = %s AND record_guid = 'MBR-1'",
            value,
            user.guid,
        )
        place = {"owner_guid": user.guid, "record_guid": "MBR-1", "kind": "CREDENTIALS"} | {column: value}
        with pytest.raises(SealBroken):
            await secret_of(services, place["owner_guid"], place["record_guid"], SecretKind(place["kind"]))


async def test_deleting_a_record_deletes_only_its_secrets(services: Services, user: User) -> None:
    await store_secret(services, user.guid, "MBR-1", SecretKind.CREDENTIALS, b"one")
    await store_secret(services, user.guid, "MBR-1", SecretKind.STATE, b"one")
    await store_secret(services, user.guid, "MBR-2", SecretKind.CREDENTIALS, b"two")
    async with services.db.transaction() as connection:
        await services.vault.delete(connection, owner_guid=user.guid, record_guid="MBR-1")
    assert await secret_of(services, user.guid, "MBR-1", SecretKind.CREDENTIALS) is None
    assert await secret_of(services, user.guid, "MBR-1", SecretKind.STATE) is None
    assert await secret_of(services, user.guid, "MBR-2", SecretKind.CREDENTIALS) == b"two"


async def test_deleting_an_owner_leaves_no_row_and_no_key(
    services: Services, user: User, account: Account
) -> None:
    await store_secret(services, user.guid, "MBR-1", SecretKind.CREDENTIALS, b"password")
    async with services.db.transaction() as connection:
        await services.vault.delete_owner(connection, user.guid)
        for table, owner in (
            ("data_key", "owner_guid"),
            ("sealed_secret", "owner_guid"),
            ("account_number", "user_guid"),
            ("account_owner", "user_guid"),
        ):
            cursor = await connection.execute(
                f"SELECT count(*) FROM {table} WHERE {owner} = %s", (user.guid,)
            )
            assert await cursor.fetchone() == (0,), table
    assert await secret_of(services, user.guid, "MBR-1", SecretKind.CREDENTIALS) is None
    assert list(await numbers_of(services, user)) == []
    async with services.db.transaction() as connection:
        await remove_user(connection, user.guid)
    with pytest.raises(NotFound):
        await numbers_of(services, user)


async def test_rows_of_a_deleted_owner_restored_from_a_copy_cannot_be_opened(
    services: Services, user: User, account: Account
) -> None:
    async with services.db.transaction() as connection:
        await connection.execute("CREATE TEMPORARY TABLE dump ON COMMIT DROP AS TABLE account_number")
        await services.vault.delete_owner(connection, user.guid)
        await connection.execute(
            "INSERT INTO account_number SELECT * FROM dump WHERE user_guid = %s", (user.guid,)
        )
    with pytest.raises(SealBroken):
        await numbers_of(services, user)
    await store_secret(services, user.guid, "MBR-1", SecretKind.STATE, b"the user has a key again, another")
    with pytest.raises(SealBroken):
        await numbers_of(services, user)


async def test_writes_during_a_deletion_leave_no_row_that_cannot_be_opened(
    services: Services, user: User, account: Account
) -> None:
    for _ in range(10):

        async def delete() -> None:
            async with services.db.transaction() as connection:
                await services.vault.delete_owner(connection, user.guid)

        await asyncio.gather(store(services, account, "1", "2"), delete(), store(services, account, "3", "4"))
        assert {item.account_number for item in await numbers_of(services, user)} in (
            set(),
            {"1", "2"},
            {"3", "4"},
        )


async def test_a_deletion_waits_for_a_writer_and_deletes_its_rows(
    services: Services, user: User, account: Account
) -> None:
    async with services.db.transaction() as connection:
        await services.vault.store_numbers(
            connection,
            user_guid=user.guid,
            member_guid=account.member_guid,
            numbers=[AccountNumbers(account_guid=account.guid, account_number="sealed before")],
        )

        async def delete() -> None:
            async with services.db.transaction() as other:
                await services.vault.delete_owner(other, user.guid)

        deletion = asyncio.create_task(delete())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(deletion), 0.2)
    await deletion
    assert list(await numbers_of(services, user)) == []


async def test_a_field_sealed_by_a_newer_version_is_ignored(
    services: Services, user: User, account: Account
) -> None:
    (before,) = await numbers_of(services, user)
    # What a newer version would have sealed, with this very key.
    master = MasterKeys.load(services.settings)
    async with services.db.connection() as connection:
        row = await (
            await connection.execute(
                "SELECT master_key_id, wrapped FROM data_key WHERE owner_guid = %s", (user.guid,)
            )
        ).fetchone()
    assert row is not None
    key = master.unwrap(*row, "data_key", user.guid)
    sealed = seal(
        key,
        b'{"account_number":"42","iban":"DE00"}',
        context("account_number", user.guid, account.guid, before.guid),
    )
    await execute(services, "UPDATE account_number SET sealed = %s WHERE guid = %s", sealed, before.guid)
    (read,) = await numbers_of(services, user)
    assert (read.account_number, read.routing_number) == ("42", None)
