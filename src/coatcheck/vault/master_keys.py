"""Master keys: from a file or the environment, in plain text or wrapped by a key management service.

    id:base64                         32 random bytes
    id:aws-kms:...                    wrapped by a key of AWS KMS
    id:hashicorp-vault:...            wrapped by a key of the Transit engine of HashiCorp Vault

The service unwraps a master key once, when the process reads it. After that, no request waits for the service.
"""

import asyncio
import base64
import binascii
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import Self

from coatcheck.config import Settings
from coatcheck.crypto import KEY_BYTES, context, new_key, open_sealed, seal
from coatcheck.errors import ConfigurationError, MasterKeyMissing
from coatcheck.vault.key_service import Service

KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")
MIN_DISTINCT_BYTES = 12
"""A repeated pattern has fewer. 32 random bytes have fewer with a probability below 2^-80."""


CREATE = "`coatcheck keys new` prints a new key, for a new installation only."


@dataclass(slots=True)
class MasterKeys:
    """The configured master keys: the first one wraps, every one unwraps."""

    sealing_id: str
    keys: Mapping[str, bytes] = field(repr=False)
    settings: Settings | None = field(default=None, repr=False)
    """Where an unknown key is searched for again. None: nowhere."""
    modified: float = field(default=0.0, repr=False)
    """When the key file that was read last was modified."""

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Reads `master_key_file`, or else `master_key`, and has wrapped keys unwrapped by their service.

        Raises:
            ConfigurationError: no key is configured, one is unusable, or its service does not unwrap it. The message
                says what to do, without the key.
        """
        if settings.master_key and settings.master_key_file:
            raise ConfigurationError("Set master_key_file or master_key, not both.")
        if not settings.master_key_file:
            return cls._parse(settings.master_key.split(","), settings)
        file = Path(settings.master_key_file)
        # Before the content: a write between the two is found by the next search for an unknown key.
        modified = _modified(file)
        loaded = cls._parse(_read_file(file).splitlines(), settings)
        loaded.modified = modified
        return loaded

    @classmethod
    def _parse(cls, lines: Sequence[str], settings: Settings) -> Self:
        """One key a line. Empty lines and those that start with # are ignored."""
        entries = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
        if not entries:
            raise ConfigurationError(
                "No master key is configured. Set master_key_file to a file that only its owner can read, "
                f"with one line `id:base64` of 32 random bytes. {CREATE}"
            )
        parsed = [_parse_line(line, number, settings) for number, line in enumerate(entries, start=1)]
        keys = dict(parsed)
        # The second would replace the first, and what the first wrapped could not be opened.
        if len(keys) < len(parsed):
            raise ConfigurationError("Two master keys have the same id. Give each key an id of its own.")
        return cls(sealing_id=parsed[0][0], keys=keys, settings=settings)

    def wrap(self, key: bytes, *place: str) -> bytes:
        """The key, sealed with the first master key and bound to its place and to that master key's id."""
        # The id is part of the context: a row whose `master_key_id` was changed does not open under another key.
        return seal(self.keys[self.sealing_id], key, context(*place, self.sealing_id))

    async def find(self, master_key_ids: Iterable[str]) -> None:
        """Reads a changed key file again, if it may contain one of these master keys that is missing.

        Call it before `unwrap`. In a thread: the service of a new key can take seconds, in which others are served.
        """
        if not self.keys.keys() >= set(master_key_ids):
            await asyncio.to_thread(self._read_again)

    def unwrap(self, master_key_id: str, wrapped: bytes, *place: str) -> bytes:
        """The key that was wrapped.

        Raises:
            MasterKeyMissing: the master key that wrapped it is not configured.
            SealBroken: the wrapped key was altered or moved.
        """
        master_key = self.keys.get(master_key_id)
        if master_key is None:
            raise MasterKeyMissing(detail=f"master key {master_key_id}")
        return open_sealed(master_key, wrapped, context(*place, master_key_id))

    def _read_again(self) -> None:
        """Adds the keys of a changed file.

        During a rotation, processes that started earlier meet keys that a restarted process wrapped with a new master
        key. They go on wrapping with their own: a process that has not started yet may not know the new one.
        """
        if self.settings is None or not self.settings.master_key_file:
            return
        try:
            if _modified(Path(self.settings.master_key_file)) == self.modified:
                return
            loaded = self.load(self.settings)
        except ConfigurationError:
            # The file is being written, or its service does not answer. The next request tries again.
            return
        # Its own win: a file that was overwritten by mistake must not take away a key that is in use. A new mapping,
        # because other requests read the present one while this thread works.
        self.keys = {**loaded.keys, **self.keys}
        self.modified = loaded.modified


def new_master_key_line(service: Service | None = None, settings: Settings | None = None) -> str:
    """A new random key as a line of the key file, wrapped by a service if one is given.

    Raises:
        ConfigurationError: the service is not installed or not configured, or does not wrap the key.
    """
    key_id, key = f"mk-{token_hex(4)}", new_key()
    if service is None:
        return f"{key_id}:{base64.b64encode(key).decode()}"
    wrapped = _module(service).wrap(settings or Settings(), key_id, key)
    return f"{key_id}:{service}:{wrapped}"


def _module(service: Service):  # type: ignore[no-untyped-def] # noqa: ANN202 (a module with `wrap` and `unwrap`)
    """The module of a service, whose library is an optional dependency."""
    try:
        return import_module(f"coatcheck.vault.{service.replace('-', '_')}")
    except ModuleNotFoundError:
        raise ConfigurationError(
            f"Master keys of {service} need a library. Run `pip install 'coatcheck[{service}]'`."
        ) from None


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError as error:
        raise ConfigurationError(
            f"The master key file {file} cannot be read: {error.strerror}. {CREATE}"
        ) from None


def _read_file(file: Path) -> str:
    try:
        # The group may read it: Kubernetes gives a secret to a process through its group (fsGroup).
        if stat.S_IMODE(file.stat().st_mode) & stat.S_IRWXO:
            raise ConfigurationError(
                f"Every user of this machine can read the master key file {file}. Run `chmod 600 {file}`."
            )
        return file.read_text()
    except OSError as error:
        raise ConfigurationError(
            f"The master key file {file} cannot be read: {error.strerror}. {CREATE}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"The master key file {file} cannot be read: it is not UTF-8. {CREATE}"
        ) from None


def _parse_line(line: str, number: int, settings: Settings) -> tuple[str, bytes]:
    """The id and the key. An error never quotes the line, which may be a key."""
    key_id, separator, value = line.partition(":")
    if not separator or not KEY_ID.fullmatch(key_id):
        raise ConfigurationError(f"Master key {number} does not have the form `id:base64`. {CREATE}")
    service, is_wrapped, wrapped = value.partition(":")
    if is_wrapped and service not in [*Service]:
        raise ConfigurationError(
            f"Master key {key_id} names a service that is not one of {', '.join(Service)}."
        )
    key = (
        _module(Service(service)).unwrap(settings, key_id, wrapped) if is_wrapped else _decode(key_id, value)
    )
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"Master key {key_id} has {len(key)} bytes; it must have {KEY_BYTES}. {CREATE}"
        )
    # 32 random bytes are all below 128 with a probability of 2^-32; a password always is.
    if len(set(key)) < MIN_DISTINCT_BYTES or key.isascii():
        raise ConfigurationError(
            f"Master key {key_id} is a default, a pattern or a password. Use {KEY_BYTES} random bytes. {CREATE}"
        )
    return key_id, key


def _decode(key_id: str, encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ConfigurationError(f"Master key {key_id} is not base64. {CREATE}") from None
