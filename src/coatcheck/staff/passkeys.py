"""The passkeys of staff: registration and authentication.

An authenticator counts its signatures. A counter that does not advance says that two authenticators have the same
private key (WebAuthn 6.1.1): the passkey was copied, and neither copy is accepted any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any

import psycopg

from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, columns, fetch_all, fetch_one, run
from coatcheck.errors import ClonedPasskey, Conflict, ConstraintNotMet, NotFound, SignInFailed
from coatcheck.staff.people import People, StaffMember

MAX_PASSKEYS = 20
"""Of a person."""


@dataclass(frozen=True, slots=True)
class Passkey:
    credential_id: bytes
    staff_guid: str
    public_key: bytes = field(repr=False)
    sign_count: int
    is_disabled: bool
    """Whether its counter went back."""
    created_at: datetime
    last_used_at: datetime | None


class Passkeys:
    def __init__(self, settings: Settings, clock: Clock, people: People) -> None:
        self._settings = settings
        self._clock = clock
        self._people = people

    def creation_options(self, staff: StaffMember, challenge: bytes, known: Sequence[bytes]) -> str:
        """The JSON of `PublicKeyCredentialCreationOptions`. Authenticators that have one of `known` are left out."""
        options: str = _authenticators().creation_options(self._settings, staff, challenge, known)
        return options

    def request_options(self, challenge: bytes, allowed: Sequence[bytes] = ()) -> str:
        """The JSON of `PublicKeyCredentialRequestOptions`. Without `allowed`, any passkey of this site."""
        options: str = _authenticators().request_options(self._settings, challenge, allowed)
        return options

    async def list(self, connection: Connection, staff_guid: str) -> Sequence[Passkey]:
        """The passkeys of a person, oldest first; those that are disabled too."""
        return await fetch_all(
            connection,
            Passkey,
            f"""SELECT {columns(Passkey)} FROM staff_passkey
                WHERE staff_guid = %(guid)s ORDER BY created_at, credential_id""",
            {"guid": staff_guid},
        )

    async def remove(self, connection: Connection, staff: StaffMember, credential_id: bytes) -> None:
        """Removes a passkey of a person.

        Raises:
            NotFound: the person has no such passkey.
        """
        removed = await run(
            connection,
            "DELETE FROM staff_passkey WHERE credential_id = %(id)s AND staff_guid = %(guid)s",
            {"id": credential_id, "guid": staff.guid},
        )
        if not removed:
            raise NotFound
        await self._people.record(connection, staff, "staff.passkey_removed", staff.guid)

    async def register(
        self, connection: Connection, staff: StaffMember, challenge: bytes, response: str
    ) -> None:
        """Stores a new passkey of a person.

        Args:
            connection: the caller's transaction.
            staff: the person.
            challenge: what the authenticator signed.
            response: the JSON of the browser's `RegistrationResponseJSON`.

        Raises:
            SignInFailed: the response is not one to this challenge, or not of this site.
            Conflict: the authenticator is registered already.
            ConstraintNotMet: the person has too many passkeys.
        """
        # Two registrations at once can exceed it. The limit keeps the lists short, and protects nothing.
        if len(await self.list(connection, staff.guid)) >= MAX_PASSKEYS:
            raise ConstraintNotMet(f"A person can have {MAX_PASSKEYS} passkeys. Remove one first.")
        new = _authenticators().verify_registration(self._settings, challenge, response)
        try:
            async with connection.transaction():
                await run(
                    connection,
                    """INSERT INTO staff_passkey (credential_id, staff_guid, public_key, sign_count, created_at)
                       VALUES (%(id)s, %(staff_guid)s, %(public_key)s, %(sign_count)s, %(now)s)""",
                    {
                        "id": new.credential_id,
                        "staff_guid": staff.guid,
                        "public_key": new.public_key,
                        "sign_count": new.sign_count,
                        "now": self._clock.now(),
                    },
                )
        except psycopg.errors.UniqueViolation:
            raise Conflict("This passkey is registered already.") from None
        await self._people.record(connection, staff, "staff.passkey_added", staff.guid)
        await self._people.join(connection, staff.guid)

    async def authenticate(self, connection: Connection, challenge: bytes, response: str) -> str:
        """The guid of the person whose passkey signed the challenge.

        Args:
            connection: the caller's transaction, which `ClonedPasskey` does not roll back.
            challenge: what the authenticator signed.
            response: the JSON of the browser's `AuthenticationResponseJSON`.

        Raises:
            SignInFailed: the passkey is unknown, removed or disabled, or the response is not one to this challenge.
            ClonedPasskey: the counter of the authenticator did not advance. The passkey is disabled.
        """
        library = _authenticators()
        # The row stays locked until the counter is written: of two answers with one counter, one succeeds.
        passkey = await fetch_one(
            connection,
            Passkey,
            f"SELECT {columns(Passkey)} FROM staff_passkey WHERE credential_id = %(id)s FOR UPDATE",
            {"id": library.credential_id_of(response)},
        )
        if passkey is None or passkey.is_disabled:
            raise SignInFailed(detail="passkey unknown or disabled")
        sign_count = library.verify_authentication(self._settings, challenge, response, passkey.public_key)
        await self._count(connection, passkey, sign_count)
        return passkey.staff_guid

    async def _count(self, connection: Connection, passkey: Passkey, sign_count: int) -> None:
        """Stores the counter. An authenticator that has none always sends 0."""
        has_counter = sign_count > 0 or passkey.sign_count > 0
        is_copied = has_counter and sign_count <= passkey.sign_count
        await run(
            connection,
            """UPDATE staff_passkey
               SET sign_count = %(sign_count)s, is_disabled = %(is_copied)s, last_used_at = %(now)s
               WHERE credential_id = %(id)s""",
            {
                "id": passkey.credential_id,
                "sign_count": max(sign_count, passkey.sign_count),
                "is_copied": is_copied,
                "now": self._clock.now(),
            },
        )
        if is_copied:
            staff = await self._people.find(connection, passkey.staff_guid)
            await self._people.end_sessions(connection, staff.guid)
            await self._people.record(connection, staff, "staff.passkey_cloned", staff.guid)
            raise ClonedPasskey(detail=f"passkey of {staff.guid}")


def _authenticators() -> Any:
    """The module `authenticators`, which is loaded now if it was not before."""
    return import_module("coatcheck.staff.authenticators")
