"""One-time links of an end user: to the widget, to the portal, and back from the authorization page of a bank."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.grants.secrets import GeneratedSecret, Kind, day_of, generate, parse_secret
from coatcheck.ids import timed

# The kind too: a link to the widget must open neither the portal nor the return from a bank.
USABLE = """expires_day = %(day)s AND link_hash = %(hash)s AND kind = %(kind)s
            AND opened_at IS NULL AND expires_at > %(now)s"""


class LinkKind(StrEnum):
    WIDGET = "widget"
    OAUTH = "oauth"
    PORTAL = "portal"


@dataclass(frozen=True, slots=True)
class Link:
    guid: str
    """The record under which the vault stores its options."""
    client_guid: str
    user_guid: str
    member_guid: str | None


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link that is not stored yet."""

    secret: GeneratedSecret
    expires_at: datetime


class Links:
    """Issues links and opens each of them once."""

    def __init__(self, settings: Settings, clock: Clock, hash_key: bytes) -> None:
        self._settings = settings
        self._clock = clock
        self._hash_key = hash_key

    def generate(self) -> NewLink:
        """A secret that is valid for `link_ttl`, for a link that is stored later."""
        expires_at = self._clock.instant() + self._settings.link_ttl
        return NewLink(generate(Kind.LINK, self._hash_key, period=day_of(expires_at)), expires_at)

    async def issue(
        self,
        connection: Connection,
        kind: LinkKind,
        *,
        client_guid: str,
        user_guid: str,
        member_guid: str | None = None,
    ) -> tuple[Link, str]:
        """A new link and its secret, which is valid for `link_ttl`."""
        new_link = self.generate()
        # By time also in a sandbox with a seed: `delete_expired_links` finds the options of old links by their guids.
        link = Link(timed("LNK"), client_guid, user_guid, member_guid)
        await self.store(connection, kind, link, new_link)
        return link, new_link.secret.text

    async def store(self, connection: Connection, kind: LinkKind, link: Link, new_link: NewLink) -> None:
        """Stores a link under a secret that was generated before."""
        await run(
            connection,
            """INSERT INTO link (expires_day, link_hash, guid, kind, client_guid, user_guid, member_guid,
                                 created_at, expires_at)
               VALUES (%(expires_day)s, %(link_hash)s, %(guid)s, %(kind)s, %(client_guid)s, %(user_guid)s,
                       %(member_guid)s, %(now)s, %(expires_at)s)""",
            {
                "expires_day": new_link.secret.period,
                "link_hash": new_link.secret.hash,
                "guid": link.guid,
                "kind": kind,
                "client_guid": link.client_guid,
                "user_guid": link.user_guid,
                "member_guid": link.member_guid,
                "now": self._clock.instant(),
                "expires_at": new_link.expires_at,
            },
        )

    async def find(self, connection: Connection, kind: LinkKind, secret: str) -> Link:
        """The link, which stays usable. Its row is locked until the transaction ends.

        Raises:
            NotFound: the link is unknown, expired, or has been opened before.
        """
        return await self._fetch(
            connection, f"SELECT {columns(Link)} FROM link WHERE {USABLE} FOR UPDATE", kind, secret
        )

    async def open(self, connection: Connection, kind: LinkKind, secret: str) -> Link:
        """Opens a link. One statement checks and marks it, so that concurrent requests cannot open it twice.

        Raises:
            NotFound: the link is unknown, expired, or has been opened before.
        """
        return await self._fetch(
            connection,
            f"UPDATE link SET opened_at = %(now)s WHERE {USABLE} RETURNING {columns(Link)}",
            kind,
            secret,
        )

    async def _fetch(self, connection: Connection, statement: str, kind: LinkKind, secret: str) -> Link:
        presented = parse_secret(Kind.LINK, secret, self._hash_key)
        if presented is None:
            raise NotFound
        link = await fetch_one(
            connection,
            Link,
            statement,
            {"day": presented.period, "hash": presented.hash, "kind": kind, "now": self._clock.instant()},
        )
        if link is None:
            raise NotFound
        return link
