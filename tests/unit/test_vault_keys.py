"""Master keys: which are refused at the start, and the keyring, which is created once."""

import asyncio
import base64
import os
import secrets
import string
from pathlib import Path

import pytest

from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.errors import ConfigurationError, MasterKeyMissing, SealBroken
from coatcheck.vault.keys import open_keyring
from coatcheck.vault.master_keys import MasterKeys, new_master_key_line


def line(key: bytes, key_id: str = "one") -> str:
    return f"{key_id}:{base64.b64encode(key).decode()}"


def test_the_first_key_of_the_file_wraps_and_every_key_unwraps(tmp_path: Path) -> None:
    one, two = new_master_key_line(), new_master_key_line()
    file = tmp_path / "keys"
    file.write_text(f"# newest first\n\n{one}\n  {two}  \n")
    file.chmod(0o600)
    keys = MasterKeys.load(Settings(master_key_file=str(file)))
    assert keys.sealing_id == one.partition(":")[0]
    assert set(keys.keys) == {one.partition(":")[0], two.partition(":")[0]}


def test_the_environment_separates_keys_by_commas() -> None:
    one, two = new_master_key_line(), new_master_key_line()
    keys = MasterKeys.load(Settings(master_key=f"{one},{two}"))
    assert list(keys.keys) == [one.partition(":")[0], two.partition(":")[0]]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "No master key is configured"),
        ("# only a comment", "No master key is configured"),
        ("no-colon-here", "does not have the form `id:base64`"),
        (":" + base64.b64encode(bytes(range(32))).decode(), "does not have the form `id:base64`"),
        ("one:%%%", "not base64"),
        (line(bytes(range(31))), "has 31 bytes"),
        (line(bytes(range(33))), "has 33 bytes"),
        (line(bytes(32)), "a default, a pattern or a password"),
        (line(b"\xff" * 32), "a default, a pattern or a password"),
        (line(b"changeme" * 4), "a default, a pattern or a password"),
        (line(string.ascii_letters.encode()[:32]), "a default, a pattern or a password"),
        (line(bytes([1, 2, 3, 250]) * 8), "a default, a pattern or a password"),
        (line((bytes(range(240, 251)) * 3)[:32]), "a default, a pattern or a password"),
    ],
)
def test_an_unusable_master_key_is_refused_with_the_reason(written: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        MasterKeys.load(Settings(master_key=written))


def test_the_refusal_of_a_malformed_master_key_says_which_of_the_keys_it_is(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# newest first\n\n{new_master_key_line()}\nno-colon-here\n")
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"^Master key 2 does not have the form"):
        MasterKeys.load(Settings(master_key_file=str(file)))


def test_an_error_never_contains_the_key() -> None:
    bad = base64.b64encode(secrets.token_bytes(31)).decode()
    with pytest.raises(ConfigurationError) as refused:
        MasterKeys.load(Settings(master_key=f"one:{bad}"))
    assert bad not in str(refused.value)
    with pytest.raises(ConfigurationError) as refused:
        MasterKeys.load(Settings(master_key=bad))
    assert bad not in str(refused.value)


def test_a_key_with_twelve_different_bytes_is_accepted() -> None:
    key = (bytes(range(240, 252)) * 3)[:32]
    keys = MasterKeys.load(Settings(master_key=line(key)))
    assert [*keys.keys.values()] == [key]


def test_two_keys_with_one_id_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^Two master keys have the same id\. Give each key an id of its own\.$"
    ):
        MasterKeys.load(
            Settings(master_key=f"{line(secrets.token_bytes(32))},{line(secrets.token_bytes(32))}")
        )


def test_a_key_file_and_a_key_in_the_environment_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^Set master_key_file or master_key, not both\.$"):
        MasterKeys.load(Settings(master_key=new_master_key_line(), master_key_file=str(tmp_path / "keys")))


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666, 0o601])
def test_a_key_file_that_others_can_read_is_refused_with_the_command_to_run(
    tmp_path: Path, mode: int
) -> None:
    file = tmp_path / "keys"
    file.write_text(new_master_key_line())
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        MasterKeys.load(Settings(master_key_file=str(file)))


def test_a_missing_or_unreadable_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        MasterKeys.load(Settings(master_key_file=str(tmp_path / "nowhere")))
    file = tmp_path / "keys"
    file.write_bytes(b"\xff\xfe\xff")
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="cannot be read: it is not UTF-8"):
        MasterKeys.load(Settings(master_key_file=str(file)))


def test_no_repr_contains_a_key() -> None:
    written = new_master_key_line()
    keys = MasterKeys.load(Settings(master_key=written))
    assert repr(keys) == f"MasterKeys(sealing_id='{keys.sealing_id}')"


def test_a_wrapped_key_can_be_unwrapped_only_in_its_own_context() -> None:
    keys = MasterKeys.load(Settings(master_key=new_master_key_line()))
    wrapped = keys.wrap(b"k" * 32, "data_key", "USR-1")
    assert keys.unwrap(keys.sealing_id, wrapped, "data_key", "USR-1") == b"k" * 32
    with pytest.raises(SealBroken):
        keys.unwrap(keys.sealing_id, wrapped, "data_key", "USR-2")
    with pytest.raises(SealBroken):
        keys.unwrap(keys.sealing_id, wrapped, "keyring", "USR-1")
    with pytest.raises(MasterKeyMissing) as missing:
        keys.unwrap("mk-gone", wrapped, "data_key", "USR-1")
    assert missing.value.detail == "master key mk-gone"


@pytest.mark.own_database
async def test_processes_that_start_at_once_use_the_same_keyring(
    services: Services, settings: Settings
) -> None:
    keys = MasterKeys.load(settings)
    async with services.db.connection() as connection:
        await connection.execute("DELETE FROM keyring")

    async def start() -> tuple[bytes, bytes]:
        async with services.db.transaction() as connection:
            ring = await open_keyring(connection, keys)
        assert "hash_key" not in repr(ring)
        return ring.hash_key, ring.index_key

    rings = await asyncio.gather(*(start() for _ in range(8)))
    assert len(set(rings)) == 1
    assert len(set(rings[0])) == 2
    assert {len(key) for key in rings[0]} == {32}


async def test_a_key_that_is_added_to_the_file_is_found_by_a_process_that_runs(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    old, new = new_master_key_line(), new_master_key_line()
    file.write_text(old)
    file.chmod(0o600)
    running = MasterKeys.load(Settings(master_key_file=str(file)))

    file.write_text(f"{new}\n{old}\n")
    os.utime(file, (1, 1))  # another time than that of the first version, whatever the resolution of the disk
    restarted = MasterKeys.load(Settings(master_key_file=str(file)))
    wrapped = restarted.wrap(b"k" * 32, "data_key", "USR-1")

    assert restarted.sealing_id != running.sealing_id
    await running.find([restarted.sealing_id])
    assert running.unwrap(restarted.sealing_id, wrapped, "data_key", "USR-1") == b"k" * 32


def test_a_file_that_became_unusable_leaves_the_keys_that_were_read(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(new_master_key_line())
    file.chmod(0o600)
    keys = MasterKeys.load(Settings(master_key_file=str(file)))
    wrapped = keys.wrap(b"k" * 32, "data_key", "USR-1")
    file.write_text("half a li")
    os.utime(file, (1, 1))
    with pytest.raises(MasterKeyMissing):
        keys.unwrap("mk-unknown", b"", "data_key", "USR-1")
    assert keys.unwrap(keys.sealing_id, wrapped, "data_key", "USR-1") == b"k" * 32
