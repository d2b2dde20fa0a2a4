"""Signing keys: the private keys, sealed under the master keys, and the public keys, which are published.

    rotation --> published --signs_from--> signs --next key's signs_from--> retired --published_until--> kept
                     |                       |                                |
                     +-----------------------+--------------------------------+--withdrawal--> kept

A new key is published `LEAD` before it signs, so that a verifier that keeps the key set for `MAX_AGE`, and a process
that reads the keys every `REFRESH`, know it by then. All processes change to it at the same instant. A public key
that is no longer published is kept for the checkpoints of the audit log, which has no end.

A key that leaked is withdrawn: it is published no more. Whoever has it signs with any date, so nothing that it signed
is believed, whatever date it bears. The documents that are stored are signed again when they are read (ADR 0021).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, columns, fetch_all, run
from coatcheck.errors import ConstraintNotMet, NotFound
from coatcheck.signatures import SigningKey, format_instant, key_id, new_private_key, public_jwk, verify
from coatcheck.vault.master_keys import MasterKeys

LEAD = timedelta(minutes=15)
"""How long a new key is published before it signs."""
REFRESH = timedelta(minutes=1)
"""How often a process reads the keys."""
MAX_AGE = timedelta(minutes=5)
"""How long a verifier may keep the key set."""
KEPT_PRIVATE = timedelta(days=1)
"""How long a retired private key is kept, for processes whose clocks differ."""
DOCUMENTS_KEPT = timedelta(days=3 * 365 + 1)
"""How long signed documents are kept (12 CFR 1033.441: records for at least three years)."""
NEVER = datetime.min.replace(tzinfo=UTC)


def documents_kept(settings: Settings) -> timedelta:
    """For how long after its signature a document is needed: a receipt of a grant as long as its token can be valid."""
    return settings.token_ttl + DOCUMENTS_KEPT


@dataclass(frozen=True, slots=True)
class PublishedKey:
    kid: str
    public_key: str
    created_at: datetime
    signs_from: datetime
    published_until: datetime | None
    """None for the newest key. Documents that the others signed are not kept for longer."""
    withdrawn_at: datetime | None = None
    """When it was withdrawn because it may have leaked."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A key that has its private part, or was withdrawn."""

    kid: str
    public_key: str
    master_key_id: str
    """Empty, as `wrapped` is, for a key that was withdrawn."""
    wrapped: bytes
    signs_from: datetime


@dataclass(frozen=True, slots=True)
class _Opened:
    signs_from: datetime
    key: SigningKey = field(repr=False)


class SigningKeys:
    """The signing keys of the installation, as this process knows them."""

    def __init__(self, clock: Clock, master_keys: MasterKeys) -> None:
        self._clock = clock
        self._master_keys = master_keys
        self._opened: dict[str, _Opened] = {}
        """By id, the newest first."""
        self._withdrawn: Mapping[str, str] = {}
        """The public keys of withdrawn keys by their ids."""
        self._refreshed_at = NEVER
        self._refreshing = asyncio.Lock()

    async def create_missing(self, connection: Connection) -> None:
        """Creates the first key. Concurrent processes agree on one."""
        now = self._clock.now()
        if await _has_key(connection):
            return
        # An advisory lock, because there is no row yet that two processes could both lock.
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('signing_key'))")
            if not await _has_key(connection):
                await self._add(connection, now, signs_from=now)

    async def current(
        self, connection: Connection, *, max_age: timedelta = REFRESH, at: datetime | None = None
    ) -> SigningKey:
        """The key that signs now, or at `at`. Most calls use what this process read before, at most `max_age` ago.

        Raises:
            MasterKeyMissing: a key is wrapped with a master key that is not configured.
            SealBroken: a key was altered.
        """
        now = self._clock.now()
        # Twice: those who waited for the lock need not read the keys again.
        if now - self._refreshed_at >= max_age:
            async with self._refreshing:
                if now - self._refreshed_at >= max_age:
                    await self._refresh(connection, now)
        return self._signing(at or now)

    def known(self) -> SigningKey | None:
        """The key that signs now, if this process read the keys at most `REFRESH` ago."""
        now = self._clock.instant()
        return self._signing(now) if now - self._refreshed_at < REFRESH else None

    async def signed_validly(self, connection: Connection, document: str) -> str:
        """A stored document. If the key that signed it was withdrawn, the same claims signed by the present key.

        Raises:
            NotGenuine: the withdrawn key did not sign it.
        """
        key = await self.current(connection)
        if not self._withdrawn or (kid := key_id(document)) not in self._withdrawn:
            return document
        known = verify(document, [public_jwk(kid, self._withdrawn[kid])])
        return key.sign(known.type, known.claims)

    def _signing(self, at: datetime) -> SigningKey:
        for each in self._opened.values():
            if each.signs_from <= at:
                return each.key
        # Of a key that was withdrawn in the second in which it began to sign, the successor begins a second later.
        return next(iter(self._opened.values())).key

    async def rotate(
        self, connection: Connection, *, documents_kept: timedelta, at_once: bool = False
    ) -> PublishedKey:
        """Adds a key that signs after `LEAD`, or now.

        Args:
            connection: the caller's transaction.
            documents_kept: for how long after its signature a document of the present key is needed, at most.
            at_once: the new key signs now, as after a leak; a key that was added before and does not sign yet, if there
                is one. A verifier that kept an older key set must fetch it again.

        Raises:
            ConstraintNotMet: the key that was added before does not sign yet.
        """
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('signing_key'))")
        now = self._clock.now()
        newest, *older = await all_keys(connection)
        if newest.signs_from > now and not at_once:
            raise ConstraintNotMet(
                f"The key that was added before signs from {newest.signs_from:%Y-%m-%dT%H:%M:%SZ}. Rotate after that."
            )
        # The first key signs since it was created, so one has always started.
        started = next(each for each in (newest, *older) if each.signs_from <= now)
        # Two keys of the same second would have no order.
        signs_from = max(now if at_once else now + LEAD, started.signs_from + timedelta(seconds=1))
        if newest.signs_from > now:
            await run(
                connection,
                "UPDATE signing_key SET signs_from = %(signs_from)s WHERE kid = %(kid)s",
                {"kid": newest.kid, "signs_from": signs_from},
            )
            return replace(newest, signs_from=signs_from)
        await run(
            connection,
            "UPDATE signing_key SET published_until = %(until)s WHERE published_until IS NULL",
            # A process that has not read the keys since signs with the present key for `REFRESH` longer.
            {"until": signs_from + REFRESH + documents_kept},
        )
        return await self._add(connection, now, signs_from=signs_from)

    async def withdraw(self, connection: Connection, kid: str, *, documents_kept: timedelta) -> None:
        """Withdraws a key that may have leaked, and destroys its private part. A second call changes nothing.

        If it is the key that signs, the next one signs at once. Other processes sign with a withdrawn key until they
        read the keys again, at most `REFRESH` later.

        Args:
            connection: the caller's transaction.
            kid: the key.
            documents_kept: as for `rotate`.

        Raises:
            NotFound: there is no such key.
            ConstraintNotMet: no key signs in this second, in which another one was withdrawn.
        """
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('signing_key'))")
        now = self._clock.now()
        keys = await all_keys(connection)
        if kid not in {each.kid for each in keys}:
            raise NotFound
        valid = [each for each in keys if each.withdrawn_at is None]
        signing = next((each for each in valid if each.signs_from <= now), None)
        if signing is None:
            raise ConstraintNotMet(
                "The key that was added last begins to sign in a second. Repeat the command then."
            )
        if kid == signing.kid:
            await self.rotate(connection, documents_kept=documents_kept, at_once=True)
        elif kid == valid[0].kid:
            await _delete_waiting(connection, valid)
        # The public part stays: it verifies the checkpoints of the audit log that the key signed.
        await run(
            connection,
            """UPDATE signing_key SET withdrawn_at = %(now)s, wrapped = NULL, master_key_id = NULL
               WHERE kid = %(kid)s AND withdrawn_at IS NULL""",
            {"kid": kid, "now": now},
        )

    async def _add(self, connection: Connection, now: datetime, *, signs_from: datetime) -> PublishedKey:
        private_key = new_private_key()
        key = SigningKey.of(private_key)
        await run(
            connection,
            """INSERT INTO signing_key (kid, public_key, master_key_id, wrapped, created_at, signs_from)
               VALUES (%(kid)s, %(public_key)s, %(master_key_id)s, %(wrapped)s, %(now)s, %(signs_from)s)""",
            {
                "kid": key.kid,
                "public_key": key.public_key,
                "master_key_id": self._master_keys.sealing_id,
                "wrapped": self._master_keys.wrap(private_key, "signing_key", key.kid),
                "now": now,
                "signs_from": signs_from,
            },
        )
        return PublishedKey(key.kid, key.public_key, now, signs_from, None)

    async def _refresh(self, connection: Connection, now: datetime) -> None:
        # In one statement: between two, a key could be withdrawn, and would sign and count as withdrawn at once.
        rows = await fetch_all(
            connection,
            _Stored,
            """SELECT kid, public_key, coalesce(master_key_id, '') AS master_key_id, coalesce(wrapped, '') AS wrapped,
                      signs_from
               FROM signing_key WHERE wrapped IS NOT NULL OR withdrawn_at IS NOT NULL
               ORDER BY signs_from DESC, kid DESC""",
        )
        known, sealed = self._opened, [row for row in rows if row.wrapped]
        # A process that was restarted with a new master key may have added a key under it.
        await self._master_keys.find(row.master_key_id for row in sealed if row.kid not in known)
        self._opened = {
            # A key that is open stays open: to unwrap all of them each minute would only cost time.
            row.kid: _Opened(row.signs_from, known[row.kid].key if row.kid in known else self._open(row))
            for row in sealed
        }
        self._withdrawn = {row.kid: row.public_key for row in rows if not row.wrapped}
        self._refreshed_at = now

    def _open(self, row: _Stored) -> SigningKey:
        return SigningKey.of(self._master_keys.unwrap(row.master_key_id, row.wrapped, "signing_key", row.kid))


async def all_keys(connection: Connection) -> Sequence[PublishedKey]:
    """Every public key, newest first; also those that are no longer published."""
    return await fetch_all(
        connection,
        PublishedKey,
        f"SELECT {columns(PublishedKey)} FROM signing_key ORDER BY signs_from DESC, kid DESC",
    )


async def published_keys(connection: Connection, now: datetime) -> Sequence[PublishedKey]:
    """Every public key that a verifier of receipts may know, newest first; also those that were withdrawn."""
    keys = await all_keys(connection)
    return [each for each in keys if each.published_until is None or each.published_until >= now]


def key_set(keys: Sequence[PublishedKey]) -> dict[str, list[dict[str, str]]]:
    """The keys as a JWK set (RFC 7517 5). The withdrawn ones are in a member that other programs ignore."""
    return {
        "keys": [public_jwk(each.kid, each.public_key) for each in keys if each.withdrawn_at is None],
        "withdrawn": [
            {"kid": each.kid, "withdrawn_at": format_instant(each.withdrawn_at)}
            for each in keys
            if each.withdrawn_at is not None
        ],
    }


async def _delete_waiting(connection: Connection, keys: Sequence[PublishedKey]) -> None:
    """Deletes the newest key, which has signed nothing, so that the one before it stays the newest."""
    await run(connection, "DELETE FROM signing_key WHERE kid = %(kid)s", {"kid": keys[0].kid})
    await run(
        connection, "UPDATE signing_key SET published_until = NULL WHERE kid = %(kid)s", {"kid": keys[1].kid}
    )


async def destroy_retired_keys(connection: Connection, now: datetime) -> None:
    """Destroys the private keys that no longer sign."""
    await run(
        connection,
        """UPDATE signing_key old SET wrapped = NULL, master_key_id = NULL
           WHERE old.wrapped IS NOT NULL AND EXISTS (
               SELECT FROM signing_key next
               WHERE next.signs_from > old.signs_from AND next.signs_from <= %(before)s)""",
        {"before": now - KEPT_PRIVATE},
    )


async def _has_key(connection: Connection) -> bool:
    cursor = await connection.execute("SELECT EXISTS (SELECT FROM signing_key)")
    return await cursor.fetchone() == (True,)
