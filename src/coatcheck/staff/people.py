"""Staff: who they are, their role, and the invitation with which they join.

    invited --passkey registered, or signed in by OpenID Connect--> joined --reset--> invited
                                                                     `-----removed

An invitation is a secret in a link. It works once and expires; a new one replaces it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from coatcheck import ids, text
from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, columns, fetch_all, fetch_one, run
from coatcheck.errors import Conflict, ConstraintNotMet, InvalidRequest, NotFound, SignInFailed
from coatcheck.grants.secrets import Kind, generate, parse_secret
from coatcheck.model.clients import find_client, find_processor
from coatcheck.staff.addresses import INVITATION_PATH, origin
from coatcheck.staff.roles import Role, client_of, roles_of

INVITATION_TTL = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class StaffMember:
    guid: str
    name: str
    email: str
    role: Role
    organisation_guid: str | None
    """The client or the processor. None: the operator."""
    joined_at: datetime | None
    """When the invitation was accepted. None: it was not yet."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Invitation:
    staff: StaffMember
    url: str = field(repr=False)
    expires_at: datetime


class People:
    """Each method that changes something writes in the caller's transaction, with its audit entry.

    `actor` is the guid of who makes the change, or `operator`. `organisation_guid` restricts a method to the staff of
    one client or processor, where it is not None.
    """

    def __init__(self, settings: Settings, clock: Clock, hash_key: bytes, journal: Journal) -> None:
        self._settings = settings
        self._clock = clock
        self._hash_key = hash_key
        self._journal = journal

    async def invite(
        self,
        connection: Connection,
        new: "NewStaff",
        *,
        actor: str,
    ) -> Invitation:
        """Adds a person, and returns the link with which they join.

        Raises:
            InvalidRequest: the name or the e-mail address is not valid, or the organisation's staff has no such role.
            NotFound: there is no such client or processor.
            Conflict: a person has this e-mail address.
        """
        await self._check_role(connection, new.organisation_guid, new.role)
        staff = StaffMember(
            guid=ids.new("STF"),
            name=text.name(new.name),
            email=_address(new.email),
            role=new.role,
            organisation_guid=new.organisation_guid,
            joined_at=None,
            created_at=self._clock.now(),
        )
        if not staff.name:
            raise InvalidRequest("The name must not be empty.")
        try:
            async with connection.transaction():
                await run(
                    connection,
                    """INSERT INTO staff (guid, name, email, role, organisation_guid, created_at)
                       VALUES (%(guid)s, %(name)s, %(email)s, %(role)s, %(organisation_guid)s, %(created_at)s)""",
                    {name: getattr(staff, name) for name in StaffMember.__slots__},
                )
        except psycopg.errors.UniqueViolation:
            raise Conflict("A person with this e-mail address is already invited.") from None
        await self.record(connection, staff, "staff.invited", actor, role=staff.role)
        return await self._new_invitation(connection, staff)

    async def reset(
        self, connection: Connection, guid: str, *, actor: str, organisation_guid: str | None = None
    ) -> Invitation:
        """Removes how a person signs in, ends their sessions, and returns a new link with which they join again.

        Raises:
            NotFound: there is no such person.
        """
        staff = await self.find(connection, guid, organisation_guid)
        # In the order in which a sign-in takes its locks. Each statement waits for the sign-ins that have got as far,
        # and those after it end what they began: no session and no passkey may outlive the reset.
        await run(connection, "DELETE FROM staff_sign_in WHERE staff_guid = %(guid)s", {"guid": guid})
        await run(connection, "DELETE FROM staff_passkey WHERE staff_guid = %(guid)s", {"guid": guid})
        await run(
            connection,
            # Otherwise the account of the identity provider would still lead here by its e-mail address.
            "UPDATE staff SET oidc_subject = NULL, joined_at = NULL, by_invitation_only = true WHERE guid = %(guid)s",
            {"guid": guid},
        )
        await self.end_sessions(connection, guid)
        await self.record(connection, staff, "staff.reset", actor)
        return await self._new_invitation(connection, staff)

    async def set_role(
        self,
        connection: Connection,
        guid: str,
        role: Role,
        *,
        actor: str,
        organisation_guid: str | None = None,
    ) -> None:
        """Gives a person another role of their organisation. Their sessions have it from the next request on.

        Raises:
            NotFound: there is no such person.
            InvalidRequest: staff of their organisation has no such role.
            ConstraintNotMet: it is the actor's own role.
        """
        staff = await self.find(connection, guid, organisation_guid)
        # Without a lock: the organisation of a person never changes.
        await self._check_role(connection, staff.organisation_guid, role)
        if guid == actor:
            raise ConstraintNotMet("Nobody changes their own role. Ask another administrator.")
        await run(
            connection, "UPDATE staff SET role = %(role)s WHERE guid = %(guid)s", {"guid": guid, "role": role}
        )
        await self.record(connection, staff, "staff.role_changed", actor, old_role=staff.role, role=role)

    async def remove(
        self, connection: Connection, guid: str, *, actor: str, organisation_guid: str | None = None
    ) -> None:
        """Removes a person. Their sessions, passkeys and invitation end at once.

        Raises:
            NotFound: there is no such person.
            ConstraintNotMet: it is the actor.
        """
        staff = await self.find(connection, guid, organisation_guid)
        if guid == actor:
            raise ConstraintNotMet("Nobody removes themselves. Ask another administrator.")
        # By their foreign keys, passkeys, sessions, sign-ins and the invitation are deleted with the person.
        await run(connection, "DELETE FROM staff WHERE guid = %(guid)s", {"guid": guid})
        await self.record(connection, staff, "staff.removed", actor)

    async def find(
        self, connection: Connection, guid: str, organisation_guid: str | None = None
    ) -> StaffMember:
        """Raises NotFound if there is no such person, or not in the organisation."""
        staff = await fetch_one(
            connection,
            StaffMember,
            f"""SELECT {columns(StaffMember)} FROM staff
                WHERE guid = %(guid)s
                  AND (%(organisation_guid)s::text IS NULL OR organisation_guid = %(organisation_guid)s)""",
            {"guid": guid, "organisation_guid": organisation_guid},
        )
        if staff is None:
            raise NotFound
        return staff

    async def list(
        self, connection: Connection, organisation_guid: str | None = None
    ) -> Sequence[StaffMember]:
        """The staff of an organisation, or all, by organisation and name."""
        return await fetch_all(
            connection,
            StaffMember,
            f"""SELECT {columns(StaffMember)} FROM staff
                WHERE %(organisation_guid)s::text IS NULL OR organisation_guid = %(organisation_guid)s
                ORDER BY organisation_guid NULLS FIRST, name, guid""",
            {"organisation_guid": organisation_guid},
        )

    async def invited(self, connection: Connection, secret: str) -> StaffMember:
        """Whom an invitation is for. It stays usable.

        Raises:
            NotFound: the invitation is unknown, used, replaced or expired.
        """
        presented = parse_secret(Kind.STAFF_INVITATION, secret, self._hash_key)
        if presented is None:
            raise NotFound
        staff = await fetch_one(
            connection,
            StaffMember,
            f"""SELECT {columns(StaffMember, "s.")}
                FROM staff_invitation i JOIN staff s ON s.guid = i.staff_guid
                WHERE i.invitation_hash = %(hash)s AND i.expires_at > %(now)s""",
            {"hash": presented.hash, "now": self._clock.instant()},
        )
        if staff is None:
            raise NotFound
        return staff

    async def use_invitation(self, connection: Connection, staff_guid: str, *, begun_at: datetime) -> None:
        """Uses the invitation of a person up. One statement checks and deletes it: of two at once, one succeeds.

        Args:
            connection: the caller's transaction.
            staff_guid: the person.
            begun_at: when the browser began to answer an invitation.

        Raises:
            NotFound: it is used, replaced or expired.
        """
        # An answer that was begun with an earlier invitation must not use the one that replaced it: the earlier one may
        # have been replaced because somebody else had it.
        used = await run(
            connection,
            """DELETE FROM staff_invitation
               WHERE staff_guid = %(guid)s AND expires_at > %(now)s AND expires_at <= %(latest)s""",
            {
                "guid": staff_guid,
                "now": self._clock.instant(),
                "latest": begun_at + INVITATION_TTL,
            },
        )
        if not used:
            raise NotFound

    async def identified(self, connection: Connection, subject: str, email: str | None) -> StaffMember:
        """The person whom the identity provider names.

        A person is known by the subject that they signed in with first. Until then by their e-mail address, if the
        provider has verified it. An address that was given to somebody else later does not lead to the account, and
        after a reset none does: the person must use the new link.

        Raises:
            SignInFailed: nobody was invited under this identity.
        """
        staff = await fetch_one(
            connection,
            StaffMember,
            # Locked: a reset at the same time waits, or is waited for, and then the row does not match any more.
            f"""SELECT {columns(StaffMember)} FROM staff
                WHERE oidc_subject = %(subject)s
                   OR (oidc_subject IS NULL AND NOT by_invitation_only AND lower(email) = lower(%(email)s::text))
                ORDER BY oidc_subject NULLS LAST LIMIT 1 FOR NO KEY UPDATE""",
            {"subject": subject, "email": email},
        )
        if staff is None:
            raise SignInFailed("Nobody was invited with this account of the identity provider.")
        await self.bind(connection, staff.guid, subject)
        return staff

    async def bind(self, connection: Connection, staff_guid: str, subject: str) -> None:
        """Makes the identity provider's subject the one of this person, who can sign in with it from now on.

        Raises:
            SignInFailed: the subject is another person's, or the person has another subject.
        """
        try:
            async with connection.transaction():
                bound = await run(
                    connection,
                    # A subject that is set stays until a reset: nobody takes over the account of a person who joined.
                    """UPDATE staff SET oidc_subject = %(subject)s
                       WHERE guid = %(guid)s AND coalesce(oidc_subject, %(subject)s) = %(subject)s""",
                    {"guid": staff_guid, "subject": subject},
                )
        except psycopg.errors.UniqueViolation:
            bound = 0
        if not bound:
            raise SignInFailed("This account of the identity provider is another person's.")
        await self.join(connection, staff_guid)

    async def end_sessions(self, connection: Connection, staff_guid: str) -> None:
        """Signs a person out everywhere."""
        await run(connection, "DELETE FROM staff_session WHERE staff_guid = %(guid)s", {"guid": staff_guid})

    async def join(self, connection: Connection, staff_guid: str) -> None:
        """Records that a person can sign in from now on. An invitation that was not used ends."""
        await run(
            connection, "DELETE FROM staff_invitation WHERE staff_guid = %(guid)s", {"guid": staff_guid}
        )
        joined = await run(
            connection,
            "UPDATE staff SET joined_at = %(now)s WHERE guid = %(guid)s AND joined_at IS NULL",
            {"guid": staff_guid, "now": self._clock.now()},
        )
        if joined:
            staff = await self.find(connection, staff_guid)
            await self.record(connection, staff, "staff.joined", staff_guid)

    async def record(
        self, connection: Connection, staff: StaffMember, action: str, actor: str, **detail: str
    ) -> None:
        """Writes the audit entry of a change of this person."""
        entry = Entry(
            client_guid=client_of(staff.organisation_guid),
            actor=actor,
            action=action,
            subject=staff.guid,
            detail={"name": staff.name, **detail},
        )
        await self._journal.record(connection, entry)

    async def _new_invitation(self, connection: Connection, staff: StaffMember) -> Invitation:
        secret = generate(Kind.STAFF_INVITATION, self._hash_key)
        expires_at = self._clock.instant() + INVITATION_TTL
        # The earlier one ends: it may be replaced because somebody else has it.
        await run(
            connection, "DELETE FROM staff_invitation WHERE staff_guid = %(guid)s", {"guid": staff.guid}
        )
        await run(
            connection,
            """INSERT INTO staff_invitation (invitation_hash, staff_guid, expires_at)
               VALUES (%(hash)s, %(guid)s, %(expires_at)s)""",
            {"hash": secret.hash, "guid": staff.guid, "expires_at": expires_at},
        )
        return Invitation(staff, f"{origin(self._settings)}{INVITATION_PATH}{secret.text}", expires_at)

    @staticmethod
    async def _check_role(connection: Connection, organisation_guid: str | None, role: Role) -> None:
        if organisation_guid is not None:
            await (find_client if client_of(organisation_guid) else find_processor)(
                connection, organisation_guid
            )
        if role not in roles_of(organisation_guid):
            allowed = ", ".join(roles_of(organisation_guid))
            raise InvalidRequest(f"Staff of this organisation can have the role {allowed}.")


@dataclass(frozen=True, slots=True)
class NewStaff:
    name: str
    email: str
    role: Role
    organisation_guid: str | None = None
    """The client or the processor. None: the operator."""


def _address(email: str) -> str:
    """The e-mail address in its canonical form.

    Raises:
        InvalidRequest: it is none. It identifies the person to the organisation's identity provider.
    """
    address = text.email(email)
    local, at, domain = address.rpartition("@")
    if not (local and at and domain):
        raise InvalidRequest("The e-mail address is not valid.")
    return address
