"""Processors, which redeem clients' codes and read accounts with the tokens."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from coatcheck import ids
from coatcheck.audit.entries import OPERATOR, Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.db.database import Connection
from coatcheck.directory.clients import Identity, caller_name
from coatcheck.directory.networks import networks_detail, parse_networks
from coatcheck.directory.processor_rows import (
    add_processor,
    disable_processor,
    enable_processor,
    set_processor_disabled,
    set_processor_networks,
)
from coatcheck.directory.processor_security import ProcessorSecuritySettings
from coatcheck.errors import InvalidRequest
from coatcheck.grants.api_keys import ApiKeys, Rotated
from coatcheck.model.clients import Processor, find_client, find_processor


@dataclass(frozen=True, slots=True)
class NewProcessor:
    processor: Processor
    api_key: str = field(repr=False)
    """Only its hash is stored."""


@dataclass(frozen=True, slots=True)
class ProcessorOptions:
    """How answers to one processor differ from the usual ones."""

    owners_at_transactions: bool = False
    numbers_as_strings: bool = False


class Processors:
    """Each method writes in the caller's transaction, with its audit entry.

    `actor` is the guid of who makes the change, or `operator`. Each method raises NotFound for an unknown
    processor or client.
    """

    def __init__(self, clock: Clock, journal: Journal, api_keys: ApiKeys) -> None:
        self._clock = clock
        self._journal = journal
        self._api_keys = api_keys
        self.security = ProcessorSecuritySettings(journal)
        """How each processor authenticates, and what its tokens are bound to."""

    async def add(
        self,
        connection: Connection,
        name: str,
        options: ProcessorOptions | None = None,
        *,
        actor: str,
        identity: Identity | None = None,
    ) -> NewProcessor:
        """Adds a processor with its first API key. It may redeem no client's codes yet.

        Args:
            connection: the caller's transaction.
            name: the name that the widget and the operator see.
            options: how answers to it differ.
            actor: who adds it.
            identity: its guid and key, where they are determined beforehand.

        Raises:
            InvalidRequest: the name is empty, too long or contains characters that are not allowed.
        """
        options = options or ProcessorOptions()
        identity = identity or Identity(ids.new("PPR"))
        processor = Processor(
            guid=identity.guid,
            name=caller_name(name),
            owners_at_transactions=options.owners_at_transactions,
            numbers_as_strings=options.numbers_as_strings,
            is_disabled=False,
            created_at=self._clock.now(),
        )
        await add_processor(connection, processor)
        await self._record(connection, processor.guid, "processor.added", actor)
        key = await self._api_keys.issue(connection, processor.guid, entropy=identity.entropy, actor=actor)
        return NewProcessor(processor, key)

    async def enable(self, connection: Connection, guid: str, *, actor: str) -> None:
        """Accepts the processor's API keys again. Its tokens that have not expired work again."""
        await set_processor_disabled(connection, guid, False)
        await self._record(connection, guid, "processor.enabled", actor)

    async def disable(self, connection: Connection, guid: str, *, actor: str) -> None:
        """Refuses the processor's API keys and every one of its tokens, at once."""
        await set_processor_disabled(connection, guid, True)
        await self._record(connection, guid, "processor.disabled", actor)

    async def rotate_key(
        self, connection: Connection, guid: str, *, overlap: timedelta | None = None, actor: str = OPERATOR
    ) -> Rotated:
        """Issues a new API key. The newest old key works for `overlap` (by default the setting `key_overlap`).

        Raises:
            InvalidRequest: it is an app, which has no API key.
        """
        # The statement that authenticates would refuse the key, so to issue one would only mislead.
        if (await find_processor(connection, guid)).app_of is not None:
            raise InvalidRequest("An app has no API key. Create a setup token for it.")
        return await self._api_keys.rotate(connection, guid, overlap=overlap, actor=actor)

    async def set_allowed_networks(
        self, connection: Connection, guid: str, networks: Iterable[str] | None, *, actor: str
    ) -> None:
        """Accepts the processor's API keys and tokens from these networks only. None: from everywhere.

        Raises:
            InvalidRequest: one is not a network, or there are too many.
        """
        allowed = None if networks is None else parse_networks(networks)
        await set_processor_networks(connection, guid, allowed)
        await self._journal.record(
            connection,
            Entry(
                client_guid=None,
                actor=actor,
                action="processor.networks_changed",
                subject=guid,
                detail=networks_detail(allowed),
            ),
        )

    async def enable_for(self, connection: Connection, guid: str, client_guid: str, *, actor: str) -> None:
        """Lets the processor redeem the client's codes."""
        await self._find_both(connection, guid, client_guid)
        await enable_processor(
            connection, client_guid=client_guid, processor_guid=guid, now=self._clock.now()
        )
        await self._record(connection, guid, "processor.enabled_for_client", actor, client_guid)

    async def disable_for(self, connection: Connection, guid: str, client_guid: str, *, actor: str) -> None:
        """Ends the processor's tokens of this client, and lets it redeem no more of the client's codes."""
        await self._find_both(connection, guid, client_guid)
        await disable_processor(connection, client_guid=client_guid, processor_guid=guid)
        await self._record(connection, guid, "processor.disabled_for_client", actor, client_guid)

    @staticmethod
    async def _find_both(connection: Connection, guid: str, client_guid: str) -> None:
        # For the NotFound: the statements that enable and disable do not say which of both does not exist.
        await find_processor(connection, guid)
        await find_client(connection, client_guid)

    async def _record(
        self, connection: Connection, guid: str, action: str, actor: str, client_guid: str | None = None
    ) -> None:
        await self._journal.record(
            connection, Entry(client_guid=client_guid, actor=actor, action=action, subject=guid)
        )
