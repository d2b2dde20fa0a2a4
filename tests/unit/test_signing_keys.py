"""Signing keys: created once, rotated with a lead, published until nothing that they signed is needed."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.errors import ConstraintNotMet, MasterKeyMissing, NotFound, NotGenuine
from coatcheck.signatures import DocumentType, SigningKey, verify
from coatcheck.vault.keys import rotate
from coatcheck.vault.master_keys import MasterKeys, new_master_key_line
from coatcheck.vault.signing_keys import (
    KEPT_PRIVATE,
    LEAD,
    REFRESH,
    SigningKeys,
    all_keys,
    destroy_retired_keys,
    key_set,
    published_keys,
)

pytestmark = pytest.mark.own_database
KEPT = timedelta(days=100)


@pytest.fixture
def master_keys(settings: Settings) -> MasterKeys:
    return MasterKeys.load(settings)


async def current(services: Services, keys: SigningKeys | None = None) -> SigningKey:
    async with services.db.connection() as connection:
        return await (keys or services.signing_keys).current(connection)


async def rotate_signing(services: Services, *, at_once: bool = False) -> str:
    async with services.db.transaction() as connection:
        added = await services.signing_keys.rotate(connection, documents_kept=KEPT, at_once=at_once)
    return added.kid


async def published(services: Services) -> list[str]:
    async with services.db.connection() as connection:
        return [each.kid for each in await published_keys(connection, services.clock.now())]


async def kept(services: Services) -> list[str]:
    async with services.db.connection() as connection:
        return [each.kid for each in await all_keys(connection)]


async def clean_up(services: Services) -> None:
    async with services.db.connection() as connection:
        await destroy_retired_keys(connection, services.clock.now())


async def private_keys(services: Services) -> int:
    async with services.db.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM signing_key WHERE wrapped IS NOT NULL")
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_processes_that_start_together_agree_on_the_first_key(
    services: Services, clock: MovableClock, master_keys: MasterKeys
) -> None:
    async with services.db.connection() as connection:
        await connection.execute("DELETE FROM signing_key")

    async def start() -> str:
        keys = SigningKeys(clock, master_keys)
        async with services.db.transaction() as connection:
            await keys.create_missing(connection)
        return (await current(services, keys)).kid

    assert len({*await asyncio.gather(*(start() for _ in range(5)))}) == 1
    assert len(await published(services)) == 1


async def test_a_process_that_reads_the_keys_now_signs_at_once_with_the_new_one(
    services: Services, clock: MovableClock, master_keys: MasterKeys
) -> None:
    other = SigningKeys(clock, master_keys)
    await current(services, other)
    new = await rotate_signing(services, at_once=True)
    clock.advance(timedelta(seconds=1))
    async with services.db.connection() as connection:
        assert (await other.current(connection)).kid != new
        assert (await other.current(connection, max_age=timedelta())).kid == new


async def test_a_new_key_is_published_before_it_signs_and_every_process_changes_to_it_at_one_instant(
    services: Services, clock: MovableClock, master_keys: MasterKeys
) -> None:
    processes = [SigningKeys(clock, master_keys) for _ in range(2)]
    old = (await current(services)).kid
    assert [(await current(services, each)).kid for each in processes] == [old, old]
    new = await rotate_signing(services)
    assert await published(services) == [new, old]
    clock.advance(LEAD - timedelta(seconds=2))
    assert [(await current(services, each)).kid for each in processes] == [old, old]
    clock.advance(timedelta(seconds=2))
    assert [(await current(services, each)).kid for each in processes] == [new, new]


async def test_a_rotation_tells_from_when_the_new_key_signs(services: Services, clock: MovableClock) -> None:
    before = clock.now()
    async with services.db.transaction() as connection:
        added = await services.signing_keys.rotate(connection, documents_kept=KEPT)
        newest, *_ = await all_keys(connection)
    assert added == newest
    assert before + LEAD <= added.signs_from <= clock.now() + LEAD


async def test_a_key_that_signs_at_once_is_used_by_every_process_within_a_minute(
    services: Services, clock: MovableClock, master_keys: MasterKeys
) -> None:
    other = SigningKeys(clock, master_keys)
    old = (await current(services, other)).kid
    new = await rotate_signing(services, at_once=True)
    clock.advance(REFRESH)
    assert (await current(services, other)).kid == new != old


async def test_a_second_rotation_waits_for_the_first_and_at_once_brings_it_forward(
    services: Services, clock: MovableClock
) -> None:
    old = (await current(services)).kid
    new = await rotate_signing(services)
    with pytest.raises(ConstraintNotMet, match="signs from"):
        await rotate_signing(services)
    assert await rotate_signing(services, at_once=True) == new
    clock.advance(REFRESH)
    assert (await current(services)).kid == new
    assert await published(services) == [new, old]


async def test_what_a_retired_key_signed_still_verifies_and_its_private_key_is_destroyed(
    services: Services, clock: MovableClock
) -> None:
    signed = (await current(services)).sign(DocumentType.GRANT, {"jti": "RCP-1"})
    await rotate_signing(services)
    await clean_up(services)
    assert await private_keys(services) == 2
    clock.advance(LEAD + KEPT_PRIVATE / 2)  # a process whose clock is slow still signs with it
    await clean_up(services)
    assert await private_keys(services) == 2
    clock.advance(KEPT_PRIVATE / 2)
    await clean_up(services)
    assert await private_keys(services) == 1
    async with services.db.connection() as connection:
        keys = key_set(await published_keys(connection, services.clock.now()))["keys"]
    assert verify(signed, keys).claims == {"jti": "RCP-1"}


async def test_a_public_key_is_published_until_no_receipt_needs_it_and_kept_for_the_audit_log(
    services: Services, clock: MovableClock
) -> None:
    old = (await current(services)).kid
    signed = (await current(services)).sign(DocumentType.GRANT, {"jti": "RCP-1"})
    new = await rotate_signing(services)
    clock.advance(
        LEAD + KEPT + REFRESH / 2
    )  # a process that has not read the keys again still signs with the old one
    await clean_up(services)
    assert await published(services) == [new, old]
    clock.advance(REFRESH / 2 + timedelta(seconds=1))
    await clean_up(services)
    assert await published(services) == [new]
    assert await kept(services) == [new, old]
    async with services.db.connection() as connection:
        keys = key_set(await published_keys(connection, services.clock.now()))["keys"]
    with pytest.raises(NotGenuine):
        verify(signed, keys)


async def test_a_public_key_is_still_published_at_the_instant_until_which_it_is(services: Services) -> None:
    old = (await current(services)).kid
    new = await rotate_signing(services)
    async with services.db.connection() as connection:
        (until,) = [each.published_until for each in await all_keys(connection) if each.kid == old]
        assert until is not None
        at, after = [
            [each.kid for each in await published_keys(connection, now)]
            for now in (until, until + timedelta(microseconds=1))
        ]
    assert at == [new, old]
    assert after == [new]


async def test_the_newest_key_is_always_published(services: Services, clock: MovableClock) -> None:
    (only,) = await published(services)
    clock.advance(timedelta(days=10_000))
    await clean_up(services)
    assert await published(services) == [only]
    assert (await current(services)).kid == only


async def test_a_signing_key_is_sealed_under_the_master_key_and_wrapped_again_by_a_rotation(
    services: Services, clock: MovableClock, settings: Settings
) -> None:
    kid = (await current(services)).kid
    unrelated = SigningKeys(clock, MasterKeys.load(Settings(master_key=new_master_key_line())))
    with pytest.raises(MasterKeyMissing):
        await current(services, unrelated)
    new_line = new_master_key_line()
    await rotate(services.db, MasterKeys.load(Settings(master_key=f"{new_line},{settings.master_key}")))
    only_new = SigningKeys(clock, MasterKeys.load(Settings(master_key=new_line)))
    assert (await current(services, only_new)).kid == kid


async def test_a_running_process_signs_with_a_key_that_was_added_under_a_new_master_key(
    services: Services, clock: MovableClock, settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text(settings.master_key)
    file.chmod(0o600)
    running = SigningKeys(clock, MasterKeys.load(Settings(master_key_file=str(file))))
    await current(services, running)
    file.write_text(f"{new_master_key_line()}\n{settings.master_key}\n")
    os.utime(file, (1, 1))  # another time than that of the first version, whatever the resolution of the disk
    restarted = SigningKeys(clock, MasterKeys.load(Settings(master_key_file=str(file))))
    async with services.db.transaction() as connection:
        added = await restarted.rotate(connection, documents_kept=KEPT, at_once=True)
    clock.advance(REFRESH)
    assert (await current(services, running)).kid == added.kid


async def test_the_published_set_holds_no_private_key(services: Services) -> None:
    async with services.db.connection() as connection:
        (key,) = key_set(await published_keys(connection, services.clock.now()))["keys"]
    assert key == {
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
        "kid": (await current(services)).kid,
        "x": (await current(services)).public_key,
    }


# --- withdrawal -------------------------------------------------------------------------------------------


async def withdraw(services: Services, kid: str) -> None:
    async with services.db.transaction() as connection:
        await services.signing_keys.withdraw(connection, kid, documents_kept=KEPT)


async def withdraw_present(services: Services, clock: MovableClock) -> SigningKey:
    """The key that signed until now."""
    leaked = await current(services)
    clock.advance(timedelta(days=1))
    await withdraw(services, leaked.kid)
    return leaked


async def key_set_of(services: Services) -> dict[str, list[dict[str, str]]]:
    async with services.db.connection() as connection:
        return key_set(await published_keys(connection, services.clock.now()))


async def signed_validly(services: Services, document: str) -> str:
    async with services.db.connection() as connection:
        return await services.signing_keys.signed_validly(connection, document)


async def test_a_withdrawn_key_is_not_published_and_another_one_signs_within_a_minute(
    services: Services, clock: MovableClock
) -> None:
    leaked = await withdraw_present(services, clock)
    published = await key_set_of(services)
    assert leaked.kid not in {each["kid"] for each in published["keys"]}
    assert [each["kid"] for each in published["withdrawn"]] == [leaked.kid]
    clock.advance(REFRESH)
    new = await current(services)
    assert [each["kid"] for each in published["keys"]] == [new.kid]
    forged = leaked.sign(DocumentType.REVOCATION, {"jti": "REV-1", "iat": 0})
    with pytest.raises(NotGenuine):
        verify(forged, published["keys"])


async def test_the_private_part_of_a_withdrawn_key_is_destroyed_at_once(
    services: Services, clock: MovableClock
) -> None:
    leaked = await withdraw_present(services, clock)
    assert await private_keys(services) == 1
    assert set(await kept(services)) == {leaked.kid, (await key_set_of(services))["keys"][0]["kid"]}


async def test_a_process_that_starts_right_after_a_withdrawal_signs_with_another_key(
    services: Services, clock: MovableClock, master_keys: MasterKeys
) -> None:
    leaked = await current(services)
    await withdraw(services, leaked.kid)
    assert (await current(services, SigningKeys(clock, master_keys))).kid != leaked.kid


async def test_if_a_next_key_waits_it_signs_as_soon_as_the_present_one_is_withdrawn(
    services: Services, clock: MovableClock
) -> None:
    leaked = await current(services)
    clock.advance(timedelta(days=1))
    waiting = await rotate_signing(services)
    await withdraw(services, leaked.kid)
    clock.advance(REFRESH)
    assert (await current(services)).kid == waiting
    assert await kept(services) == [waiting, leaked.kid]


async def test_a_key_that_leaks_before_it_signs_never_signs(services: Services, clock: MovableClock) -> None:
    old = await current(services)
    clock.advance(timedelta(days=1))
    waiting = await rotate_signing(services)
    await withdraw(services, waiting)
    assert await published(services) == [old.kid]
    clock.advance(KEPT + LEAD + timedelta(days=1))
    assert (await current(services)).kid == old.kid
    assert await published(services) == [old.kid]


async def test_withdrawing_a_retired_key_leaves_the_present_one(
    services: Services, clock: MovableClock
) -> None:
    old = await current(services)
    new = await rotate_signing(services)
    clock.advance(LEAD + REFRESH)
    await withdraw(services, old.kid)
    assert (await current(services)).kid == new
    assert [each["kid"] for each in (await key_set_of(services))["keys"]] == [new]


async def test_a_second_withdrawal_changes_nothing_and_an_unknown_key_is_refused(
    services: Services, clock: MovableClock
) -> None:
    leaked = await withdraw_present(services, clock)
    before = await key_set_of(services)
    clock.advance(timedelta(hours=1))
    await withdraw(services, leaked.kid)
    assert await key_set_of(services) == before
    with pytest.raises(NotFound):
        await withdraw(services, "unknown")


async def test_a_successor_that_does_not_sign_yet_cannot_be_withdrawn(services: Services) -> None:
    await withdraw(services, (await current(services)).kid)
    (successor,) = (await key_set_of(services))["keys"]
    async with services.db.connection() as connection:
        await connection.execute(
            "UPDATE signing_key SET signs_from = signs_from + interval '1 hour' WHERE kid = %s",
            (successor["kid"],),
        )
    with pytest.raises(ConstraintNotMet, match="begins to sign in a second"):
        await withdraw(services, successor["kid"])


async def test_a_stored_document_is_signed_again_with_the_same_claims_after_a_withdrawal(
    services: Services, clock: MovableClock
) -> None:
    leaked = await current(services)
    claims = {"jti": "REV-1", "reason": "\u00e4", "grant_guids": ["TKN-1"], "last_read_at": None}
    document = leaked.sign(DocumentType.REVOCATION, claims)
    assert await signed_validly(services, document) == document
    clock.advance(timedelta(days=1))
    await withdraw(services, leaked.kid)
    clock.advance(REFRESH)
    again = await signed_validly(services, document)
    found = verify(again, (await key_set_of(services))["keys"])
    assert (found.type, found.claims) == (DocumentType.REVOCATION, claims)
    assert await signed_validly(services, document) == again


async def test_what_a_withdrawn_key_did_not_sign_is_not_signed_again(
    services: Services, clock: MovableClock
) -> None:
    leaked = await current(services)
    document = leaked.sign(DocumentType.REVOCATION, {"jti": "REV-1"})
    clock.advance(timedelta(days=1))
    await withdraw(services, leaked.kid)
    clock.advance(REFRESH)
    header, payload, signature = document.split(".")
    altered = f"{header}.{payload[:-2]}{'AA' if payload[-2:] != 'AA' else 'BB'}.{signature}"
    with pytest.raises(NotGenuine):
        await signed_validly(services, altered)
