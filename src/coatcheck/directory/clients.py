"""Clients, which let their users link accounts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from coatcheck import ids, text
from coatcheck.audit.entries import OPERATOR, Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection
from coatcheck.directory.client_rows import (
    add_client,
    lock_client,
    put_widget_appearance,
    set_client_disabled,
    set_client_networks,
    set_client_redirect_urls,
    set_client_webhook_url,
)
from coatcheck.directory.networks import networks_detail, parse_networks
from coatcheck.errors import InvalidRequest
from coatcheck.events.signing import signing_secret
from coatcheck.events.ssrf import check_url
from coatcheck.grants.api_keys import ApiKeys, Rotated
from coatcheck.members.return_target import ReturnTarget
from coatcheck.model.clients import Client, find_client
from coatcheck.model.widgets import WidgetAppearance, widget_appearance
from coatcheck.vault.vault import Vault

MAX_REDIRECT_URLS = 50


@dataclass(frozen=True, slots=True)
class Identity:
    """The guid and the API key of a new client or processor; a seeded sandbox determines both."""

    guid: str
    entropy: int | None = field(default=None, repr=False)
    """256 bits that determine the API key. None: it is random."""


@dataclass(frozen=True, slots=True)
class NewClient:
    client: Client
    api_key: str = field(repr=False)
    """Only its hash is stored."""


class Clients:
    """Each method writes in the caller's transaction, with its audit entry.

    `actor` is the guid of who makes the change, or `operator`. Each method raises NotFound for an unknown client.
    """

    def __init__(
        self, settings: Settings, clock: Clock, vault: Vault, journal: Journal, api_keys: ApiKeys
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._vault = vault
        self._journal = journal
        self._api_keys = api_keys

    async def add(
        self, connection: Connection, name: str, *, actor: str, identity: Identity | None = None
    ) -> NewClient:
        """Adds a client with its first API key.

        Args:
            connection: the caller's transaction.
            name: the name that the widget and the operator see.
            actor: who adds it.
            identity: its guid and key, where they are determined beforehand.

        Raises:
            InvalidRequest: the name is empty, too long or contains characters that are not allowed.
        """
        identity = identity or Identity(ids.new("CLT"))
        client = Client(identity.guid, caller_name(name), None, False, self._clock.now())
        await add_client(connection, client)
        await self._record(connection, client.guid, "client.added", actor)
        key = await self._api_keys.issue(connection, client.guid, entropy=identity.entropy, actor=actor)
        return NewClient(client, key)

    async def enable(self, connection: Connection, guid: str, *, actor: str) -> None:
        """Accepts the client's API keys again. Its tokens that have not expired work again."""
        await set_client_disabled(connection, guid, False)
        await self._record(connection, guid, "client.enabled", actor)

    async def disable(self, connection: Connection, guid: str, *, actor: str) -> None:
        """Refuses the client's API keys, and every token on its users' data, at once."""
        await set_client_disabled(connection, guid, True)
        await self._record(connection, guid, "client.disabled", actor)

    async def rotate_key(
        self, connection: Connection, guid: str, *, overlap: timedelta | None = None, actor: str = OPERATOR
    ) -> Rotated:
        """Issues a new API key. The newest old key works for `overlap` (by default the setting `key_overlap`)."""
        # For the NotFound: the rotation itself does not look whether the owner exists.
        await find_client(connection, guid)
        return await self._api_keys.rotate(connection, guid, overlap=overlap, actor=actor)

    async def set_allowed_networks(
        self, connection: Connection, guid: str, networks: Iterable[str] | None, *, actor: str
    ) -> None:
        """Accepts the client's API keys from these networks only. None: from everywhere.

        Raises:
            InvalidRequest: one is not a network, or there are too many.
        """
        allowed = None if networks is None else parse_networks(networks)
        await set_client_networks(connection, guid, allowed)
        await self._record(connection, guid, "client.networks_changed", actor, networks_detail(allowed))

    async def set_redirect_urls(
        self, connection: Connection, guid: str, urls: Iterable[str] | None, *, actor: str
    ) -> None:
        """Sends end users of the client back to these URLs only (RFC 9700 4.1.3). None: to any.

        Raises:
            InvalidRequest: one is not an absolute http or https URL, or there are none or more than 50.
        """
        allowed = None if urls is None else list(dict.fromkeys(urls))
        if allowed is not None and not 0 < len(allowed) <= MAX_REDIRECT_URLS:
            raise InvalidRequest(f"Give 1 to {MAX_REDIRECT_URLS} URLs.")
        for url in allowed or ():
            # Its constructor refuses what is no absolute http or https URL.
            ReturnTarget(client_redirect_url=url)
        await set_client_redirect_urls(connection, guid, allowed)
        await self._record(connection, guid, "client.redirect_urls_changed", actor)

    async def set_webhook_url(
        self, connection: Connection, guid: str, url: str | None, *, actor: str
    ) -> None:
        """Sets where the client's webhooks are sent. None: no webhook is sent.

        Raises:
            InvalidRequest: webhooks must not be sent to this URL.
        """
        if url is not None:
            # A worker checks the address again at each delivery: a name can lead elsewhere by then.
            check_url(url, allow_private=self._settings.webhook_allow_private)
        await set_client_webhook_url(connection, guid, url)
        await self._record(connection, guid, "client.webhook_changed", actor)

    async def webhook_secret(self, connection: Connection, guid: str, *, reader: str) -> str:
        """Discloses the secret that signs the client's webhooks, and records the disclosure."""
        return await signing_secret(connection, self._vault, guid, reader_guid=reader)

    async def set_widget_appearance(
        self, connection: Connection, guid: str, appearance: WidgetAppearance, *, actor: str
    ) -> None:
        """Replaces which pages may embed the client's widget and how it looks. The audit entry names what changes."""
        await find_client(connection, guid)
        before = await widget_appearance(connection, guid)
        names = [each.name for each in fields(appearance)]
        changed = [name for name in names if getattr(before, name) != getattr(appearance, name)]
        if changed:
            await put_widget_appearance(connection, guid, appearance)
            detail = {"changed": ",".join(changed)}
            await self._record(connection, guid, "client.widget_changed", actor, detail)

    async def change_widget_appearance(
        self, connection: Connection, guid: str, changes: Mapping[str, Any], *, actor: str
    ) -> WidgetAppearance:
        """Changes some fields of how the client's widget looks and which pages may embed it, and returns all.

        Raises:
            NotFound: there is no such client.
            InvalidRequest: a value is not valid.
        """
        # Locked before it is read: a change of the colour must not bring back an origin that is being removed.
        await lock_client(connection, guid)
        appearance = replace(await widget_appearance(connection, guid), **changes)
        await self.set_widget_appearance(connection, guid, appearance, actor=actor)
        return appearance

    async def _record(
        self,
        connection: Connection,
        guid: str,
        action: str,
        actor: str,
        detail: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        await self._journal.record(
            connection, Entry(client_guid=guid, actor=actor, action=action, subject=guid, detail=detail)
        )


def caller_name(name: str) -> str:
    """The canonical name of a client or a processor.

    Raises:
        InvalidRequest: it is empty, too long or contains characters that are not allowed.
    """
    canonical = text.name(name)
    if not canonical:
        raise InvalidRequest("The name must not be empty.")
    return canonical
