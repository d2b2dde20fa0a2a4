"""Passkeys (WebAuthn Level 3): registration and authentication.

The authenticator counts its signatures. A counter that does not advance says that two authenticators have the same
private key (WebAuthn 6.1.1): the passkey was copied, and neither copy is accepted any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
import webauthn
from webauthn.helpers import exceptions, structs

from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, columns, fetch_all, fetch_one, run
from coatcheck.errors import ClonedPasskey, Conflict, ConstraintNotMet, NotFound, SignInFailed
from coatcheck.staff.addresses import origin, relying_party
from coatcheck.staff.people import People, StaffMember

NAME = "Coatcheck"
MAX_RESPONSE_CHARACTERS = 32 * 1024
MAX_PASSKEYS = 20
"""Of a person."""
UNREADABLE = (exceptions.WebAuthnException, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What the library raises for text that anyone can send."""
REQUIRED = structs.UserVerificationRequirement.REQUIRED


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
        options = webauthn.generate_registration_options(
            rp_id=relying_party(self._settings),
            rp_name=NAME,
            user_id=staff.guid.encode(),
            user_name=staff.email,
            user_display_name=staff.name,
            challenge=challenge,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                # The passkey itself says who signs in, and the device checks a finger, a face or a PIN.
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=REQUIRED,
            ),
            exclude_credentials=[structs.PublicKeyCredentialDescriptor(each) for each in known],
        )
        return webauthn.options_to_json(options)

    def request_options(self, challenge: bytes, allowed: Sequence[bytes] | None = None) -> str:
        """The JSON of `PublicKeyCredentialRequestOptions`. Without `allowed`, any passkey of this site."""
        options = webauthn.generate_authentication_options(
            rp_id=relying_party(self._settings),
            challenge=challenge,
            allow_credentials=[structs.PublicKeyCredentialDescriptor(each) for each in allowed or ()],
            user_verification=REQUIRED,
        )
        return webauthn.options_to_json(options)

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
        if len(await self.list(connection, staff.guid)) >= MAX_PASSKEYS:
            raise ConstraintNotMet(f"A person can have {MAX_PASSKEYS} passkeys. Remove one first.")
        try:
            verified = webauthn.verify_registration_response(
                credential=_limited(response),
                expected_challenge=challenge,
                expected_rp_id=relying_party(self._settings),
                expected_origin=origin(self._settings),
                require_user_verification=True,
            )
        except UNREADABLE as error:
            raise SignInFailed(detail=type(error).__name__) from None
        try:
            async with connection.transaction():
                await run(
                    connection,
                    """INSERT INTO staff_passkey (credential_id, staff_guid, public_key, sign_count, created_at)
                       VALUES (%(id)s, %(staff_guid)s, %(public_key)s, %(sign_count)s, %(now)s)""",
                    {
                        "id": verified.credential_id,
                        "staff_guid": staff.guid,
                        "public_key": verified.credential_public_key,
                        "sign_count": verified.sign_count,
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
        try:
            credential = webauthn.helpers.parse_authentication_credential_json(_limited(response))
        except UNREADABLE as error:
            raise SignInFailed(detail=type(error).__name__) from None
        # The row stays locked until the counter is written: of two answers with one counter, one succeeds.
        passkey = await fetch_one(
            connection,
            Passkey,
            f"SELECT {columns(Passkey)} FROM staff_passkey WHERE credential_id = %(id)s FOR UPDATE",
            {"id": credential.raw_id},
        )
        if passkey is None or passkey.is_disabled:
            raise SignInFailed(detail="passkey unknown or disabled")
        try:
            verified = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=relying_party(self._settings),
                expected_origin=origin(self._settings),
                credential_public_key=passkey.public_key,
                # The counter is compared below: the library raises the same error for it as for a wrong signature.
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except UNREADABLE as error:
            raise SignInFailed(detail=type(error).__name__) from None
        await self._count(connection, passkey, verified.new_sign_count)
        return passkey.staff_guid

    async def _count(self, connection: Connection, passkey: Passkey, sign_count: int) -> None:
        """Stores the counter. An authenticator that has none sends 0 always."""
        is_clone = (sign_count or passkey.sign_count) and sign_count <= passkey.sign_count
        await run(
            connection,
            """UPDATE staff_passkey SET sign_count = %(sign_count)s, is_disabled = %(is_clone)s, last_used_at = %(now)s
               WHERE credential_id = %(id)s""",
            {
                "id": passkey.credential_id,
                "sign_count": max(sign_count, passkey.sign_count),
                "is_clone": bool(is_clone),
                "now": self._clock.now(),
            },
        )
        if is_clone:
            staff = await self._people.find(connection, passkey.staff_guid)
            await self._people.end_sessions(connection, staff.guid)
            await self._people.record(connection, staff, "staff.passkey_cloned", staff.guid)
            raise ClonedPasskey(detail=f"passkey of {staff.guid}")


def _limited(response: str) -> str:
    """Raises SignInFailed if the text is too long to be parsed."""
    if len(response) > MAX_RESPONSE_CHARACTERS:
        raise SignInFailed(detail="response too long")
    return response
