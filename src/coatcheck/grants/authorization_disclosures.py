"""Authorization disclosures: what an end user agreed to, signed when the user agreed (12 CFR 1033.401, .411, .441).

    consent in the widget --> signed disclosure --for each member connected under it--> codes --> grants

    the same text later      --> no consent is asked for; the earlier disclosure counts for new members as well
    selection of accounts    --> the same disclosure with the accounts: no other account of the member has codes

A grant has the disclosure under which its member was connected, if that disclosure names its processor. A code that a
client requests for a member connected without the widget gives a grant without a disclosure.

A disclosure names its objects by their guids, and companies by their names. It is kept while a member is connected
under it, and for `DOCUMENTS_KEPT` after the last grant under it, past the deletion of the user.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from coatcheck import ids
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.batches import delete_in_batches
from coatcheck.db.database import Connection, Database, columns, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.grants.token_indexes import is_of
from coatcheck.grants.widget_sessions import WidgetSession
from coatcheck.model.moving_users import is_settled
from coatcheck.model.paging import Page, PageRequest, Selection, each_batch, fetch_page
from coatcheck.signatures import DocumentType, format_instant, verify
from coatcheck.vault.signing_keys import DOCUMENTS_KEPT, SigningKeys, key_set, published_keys

UNKNOWN_PROCESSOR = (
    "The processor was not known when the user agreed. "
    "The text names every processor that the client could authorize."
)
USED_INTERVAL = timedelta(days=1)
"""How exactly the last grant under a disclosure is known. It is written at most this often."""

CONSENT_COUNTS = timedelta(days=365)
"""How long a consent counts in later sessions (12 CFR 1033.421(b): an authorization lasts one year at most)."""


@dataclass(frozen=True, slots=True)
class Party:
    """A company that the text names."""

    guid: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the end user saw and agreed to."""

    text: str
    """Every line, as the user saw it."""
    version: str
    """Changes when a text changes."""
    language: str
    client: Party
    processors: Sequence[Party]
    """The companies that the client could authorize, all named in the text."""
    data: Sequence[str]
    """The kinds of data."""
    refreshes: str
    access_days: int
    """For how long a processor that is authorized can read."""


@dataclass(frozen=True, slots=True)
class StoredDisclosure:
    guid: str
    client_guid: str
    user_guid: str
    text: str
    signed_at: datetime
    statement: str
    """A compact JWS."""


@dataclass(frozen=True, slots=True)
class EarlierConsent:
    """What a user agreed to before."""

    guid: str
    """Of the disclosure."""
    signed_at: datetime


AUTHORIZATION_OF_MEMBER = """LEFT JOIN member_authorization ma
           ON ma.user_guid = a.user_guid AND ma.member_guid = a.member_guid"""
"""A fragment of the statements that issue codes: what the user agreed to for the member of the account `a`.

`ma.disclosure_guid` is the disclosure under which the member was connected, or NULL."""

IS_SELECTED = "(ma.account_guids IS NULL OR a.guid = ANY (ma.account_guids))"
"""A condition after that fragment: the user agreed for every account of the member, or selected this one."""

# Only once a day: otherwise every code would write this row, and those issued at once would wait for its lock.
USED = """UPDATE authorization_disclosure d SET last_granted_at = %(now)s
    FROM accepted WHERE d.guid = accepted.disclosure_guid AND d.last_granted_at < %(used_before)s"""
"""The body of a CTE of that statement, over the relation `accepted`: the disclosure is kept for longer."""

SHOWN = """LEFT JOIN authorization_disclosure d
           ON d.guid = t.disclosure_guid AND t.processor_guid = ANY (d.processor_guids)"""
"""A fragment of a query for grants: the disclosure `d` of the token `t`, if it names the token's processor.

The columns for `disclosure` in the Grant object are `d.text` and `d.signed_at`."""

# A selection of accounts has no session of its own.
# What was agreed to in this session comes before what counts from an earlier one.
AGREED = """FROM authorization_disclosure
                WHERE (session_guid = %(session_guid)s OR guid = %(earlier)s) AND user_guid = %(user_guid)s
                ORDER BY session_guid IS NULL, session_guid = %(session_guid)s DESC LIMIT 1"""
REPLACING = """ON CONFLICT (user_guid, member_guid)
                DO UPDATE SET disclosure_guid = excluded.disclosure_guid, account_guids = excluded.account_guids"""


class AuthorizationDisclosures:
    """Signs what end users agree to, and finds it again."""

    def __init__(self, settings: Settings, clock: Clock, signing_keys: SigningKeys) -> None:
        self._issuer = settings.base_url
        self._clock = clock
        self._signing_keys = signing_keys

    async def record(self, connection: Connection, session: WidgetSession, agreement: Agreement) -> None:
        """Signs and stores the agreement of the session's user. The first one of a session counts."""
        key = await self._signing_keys.current(connection)
        now, guid = self._clock.now(), ids.new("DSC")
        statement = key.sign(DocumentType.DISCLOSURE, self._claims(session, agreement, guid, now))
        # DO NOTHING: a second tap, or a reload of the page, must not replace what the user agreed to first.
        await run(
            connection,
            """INSERT INTO authorization_disclosure (guid, client_guid, user_guid, session_guid, processor_guids, text,
                                                     signed_at, last_granted_at, statement)
               VALUES (%(guid)s, %(client_guid)s, %(user_guid)s, %(session_guid)s, %(processor_guids)s, %(text)s,
                       %(now)s, %(now)s, %(statement)s)
               ON CONFLICT (session_guid) DO NOTHING""",
            {
                "guid": guid,
                "client_guid": session.client_guid,
                "user_guid": session.user_guid,
                "session_guid": session.guid,
                "processor_guids": [each.guid for each in agreement.processors],
                "text": agreement.text,
                "now": now,
                "statement": statement,
            },
        )

    async def earlier(
        self, connection: Connection, session: WidgetSession, agreement: Agreement
    ) -> EarlierConsent | None:
        """The newest disclosure of the session's user with the text of this agreement, if it still counts.

        It counts for a year, while a member is connected under it and the user has stopped none of its grants.
        """
        # The processors too: the text has their names, which two can share.
        # `same` is found by its instant: a selection of accounts keeps `signed_at`, and its grants count as well.
        return await fetch_one(
            connection,
            EarlierConsent,
            f"""SELECT d.guid, d.signed_at FROM authorization_disclosure d
               WHERE d.user_guid = %(user_guid)s AND d.client_guid = %(client_guid)s AND d.text = %(text)s
                 AND d.processor_guids = %(processor_guids)s AND d.signed_at > %(after)s
                 AND EXISTS (SELECT FROM member_authorization ma
                             WHERE ma.user_guid = d.user_guid AND ma.disclosure_guid = d.guid)
                 AND NOT EXISTS (SELECT FROM access_token t
                                 JOIN authorization_disclosure same ON same.guid = t.disclosure_guid
                                 WHERE {is_of("user_guid", "d.user_guid")} AND t.client_guid = d.client_guid
                                   AND t.revoked_by = d.user_guid
                                   AND same.user_guid = d.user_guid AND same.signed_at = d.signed_at)
               ORDER BY d.signed_at DESC LIMIT 1""",
            {
                "user_guid": session.user_guid,
                "client_guid": session.client_guid,
                "text": agreement.text,
                "processor_guids": [each.guid for each in agreement.processors],
                "after": self._clock.now() - CONSENT_COUNTS,
            },
        )

    async def bind(
        self,
        connection: Connection,
        session: WidgetSession,
        member_guid: str,
        account_guids: Sequence[str] | None = None,
    ) -> None:
        """Makes what the session's user agreed to the disclosure of a member: later codes for its accounts have it.

        That is what the user agreed to in the session, else what counts from an earlier one. Without either, the
        member keeps its disclosure. It keeps a selection of accounts unless the user has agreed in this session.

        Args:
            connection: the caller's transaction.
            session: whose user agreed.
            member_guid: a member of the user.
            account_guids: the accounts of the member that can have codes. None: all of them.
        """
        await run(
            connection,
            f"""INSERT INTO member_authorization (user_guid, member_guid, disclosure_guid, account_guids)
                SELECT user_guid, %(member_guid)s, guid, %(account_guids)s {AGREED}
                {REPLACING}
                WHERE member_authorization.account_guids IS NULL OR %(is_new)s""",
            {
                "member_guid": member_guid,
                "account_guids": account_guids,
                # What the user agreed to before must not undo a selection that came after it.
                "is_new": session.earlier_disclosure_guid is None,
                **_agreed(session),
            },
        )

    async def record_selection(
        self, connection: Connection, session: WidgetSession, member_guid: str, account_guids: Sequence[str]
    ) -> None:
        """Signs which accounts of a member the session's user selected, with all that the user agreed to before.

        It is the disclosure of the member from now on, and only these accounts can have codes. The day of the
        agreement stays, so that a selection does not prolong it.
        """
        agreed = await fetch_one(
            connection, StoredDisclosure, f"SELECT {columns(StoredDisclosure)} {AGREED}", _agreed(session)
        )
        assert agreed is not None, "the caller has required the consent"
        key, now = await self._signing_keys.current(connection), self._clock.now()
        # First: what a withdrawn key signed is verified by no published key.
        stored = await self._signing_keys.signed_validly(connection, agreed.statement)
        claims = verify(stored, key_set(await published_keys(connection, now))["keys"]).claims
        guid = ids.new("DSC")
        named = {
            "iat": int(now.timestamp()),
            "jti": guid,
            "session_guid": session.guid,
            "member_guid": member_guid,
            "account_guids": list(account_guids),
        }
        await run(
            connection,
            f"""WITH selection AS (
                    INSERT INTO authorization_disclosure (guid, client_guid, user_guid, processor_guids, text,
                                                          signed_at, last_granted_at, statement)
                    SELECT %(guid)s, client_guid, user_guid, processor_guids, text, signed_at, %(now)s, %(statement)s
                    FROM authorization_disclosure WHERE guid = %(agreed)s RETURNING guid, user_guid
                )
                INSERT INTO member_authorization (user_guid, member_guid, disclosure_guid, account_guids)
                SELECT user_guid, %(member_guid)s, guid, %(account_guids)s FROM selection
                {REPLACING}""",
            {
                "guid": guid,
                "agreed": agreed.guid,
                "now": now,
                "statement": key.sign(DocumentType.DISCLOSURE, {**claims, **named}),
                "member_guid": member_guid,
                "account_guids": list(account_guids),
            },
        )

    async def selected(self, connection: Connection, user_guid: str, member_guid: str) -> Collection[str]:
        """The accounts of a member that its user selected; empty if the user selected none, or agreed for all."""
        cursor = await connection.execute(
            """SELECT coalesce(account_guids, '{}') FROM member_authorization
               WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s""",
            {"user_guid": user_guid, "member_guid": member_guid},
        )
        row = await cursor.fetchone()
        return row[0] if row else ()

    async def find(self, connection: Connection, client_guid: str, guid: str) -> StoredDisclosure:
        """A disclosure of the client, with its signed statement.

        Raises:
            NotFound: the client has no such disclosure.
        """
        found = await fetch_one(
            connection,
            StoredDisclosure,
            f"""SELECT {columns(StoredDisclosure)} FROM authorization_disclosure
                WHERE guid = %(guid)s AND client_guid = %(client_guid)s""",
            {"guid": guid, "client_guid": client_guid},
        )
        if found is None:
            raise NotFound
        (signed,) = await self._signed_validly(connection, [found])
        return signed

    async def list(
        self, connection: Connection, client_guid: str, user_guid: str, page: PageRequest
    ) -> Page[StoredDisclosure]:
        """One page of what a user of the client agreed to, newest first; also after the user was deleted."""
        selection = _of_user(client_guid, user_guid, "guid DESC")
        found = await fetch_page(connection, StoredDisclosure, selection, page)
        return replace(found, items=await self._signed_validly(connection, found.items))

    async def each(
        self, db: Database, client_guid: str, user_guid: str
    ) -> AsyncIterator[Sequence[StoredDisclosure]]:
        """All that a user of the client agreed to, oldest first, in batches. No connection is held between two."""
        async for batch in each_batch(db, StoredDisclosure, _of_user(client_guid, user_guid, "guid")):
            async with db.connection() as connection:
                signed = await self._signed_validly(connection, batch)
            yield signed

    async def _signed_validly(
        self, connection: Connection, found: Sequence[StoredDisclosure]
    ) -> Sequence[StoredDisclosure]:
        return [
            replace(each, statement=await self._signing_keys.signed_validly(connection, each.statement))
            for each in found
        ]

    def _claims(
        self, session: WidgetSession, agreement: Agreement, guid: str, now: datetime
    ) -> dict[str, object]:
        return {
            "iss": self._issuer,
            "iat": int(now.timestamp()),
            "jti": guid,
            "text": agreement.text,
            "version": agreement.version,
            "language": agreement.language,
            "agreed_at": format_instant(now),
            "client": asdict(agreement.client),
            "user_guid": session.user_guid,
            "session_guid": session.guid,
            "processor": None,
            "processor_note": UNKNOWN_PROCESSOR,
            "processors": [asdict(each) for each in agreement.processors],
            "data": list(agreement.data),
            "refreshes": agreement.refreshes,
            "access_days": agreement.access_days,
        }


def _of_user(client_guid: str, user_guid: str, order: str) -> Selection:
    return Selection(
        "authorization_disclosure", (order,), {"user_guid": user_guid, "client_guid": client_guid}
    )


def _agreed(session: WidgetSession) -> Mapping[str, object]:
    return {
        "user_guid": session.user_guid,
        "session_guid": session.guid,
        "earlier": session.earlier_disclosure_guid,
    }


async def delete_old_disclosures(connection: Connection, now: datetime, token_ttl: timedelta) -> None:
    """Deletes the disclosures whose last grant ended more than `DOCUMENTS_KEPT` ago and that no member is under."""
    await delete_in_batches(
        connection,
        "authorization_disclosure",
        # The grant that was given last ends `token_ttl` later, and the instant is known to `USED_INTERVAL`. With its
        # disclosure, a member would lose the selection of its accounts, and each of them could have codes.
        f"""last_granted_at < %(before)s AND {is_settled("authorization_disclosure.user_guid")}
            AND NOT EXISTS (SELECT FROM member_authorization ma
                            WHERE ma.disclosure_guid = authorization_disclosure.guid)""",
        {"before": now - DOCUMENTS_KEPT - token_ttl - USED_INTERVAL},
    )
