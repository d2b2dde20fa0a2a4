"""The webhook endpoints of clients and processors: where their events are sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

import httpx

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, Database
from coatcheck.errors import InvalidRequest, NotFound, Unprocessable
from coatcheck.events import endpoint_secrets, history
from coatcheck.events.catalogue import CATALOGUE, EventType, patterns
from coatcheck.events.endpoint_secrets import EndpointSecrets
from coatcheck.events.endpoints import (
    AuthenticationType,
    Endpoint,
    EndpointStatus,
    add_endpoint,
    change_endpoint,
    delete_endpoint,
    end_deliveries,
    find_endpoint,
    list_endpoints,
    lock_endpoints,
)
from coatcheck.events.history import Delivery, DeliveryFilter
from coatcheck.events.receivers import forget_failures
from coatcheck.events.signing import new_secret
from coatcheck.events.ssrf import check_url
from coatcheck.model.paging import Page, PageRequest
from coatcheck.vault.vault import Vault

MAX_ENDPOINTS = 20


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns endpoints and gets events: a client or a processor."""

    guid: str
    is_processor: bool
    actor: str | None = None
    """Who acts for the owner, in the audit log. None: the owner itself."""

    @property
    def client_guid(self) -> str | None:
        """Whose audit log has the entries; None for that of the operator."""
        return None if self.is_processor else self.guid


@dataclass(frozen=True, slots=True)
class Authentication:
    """How the receiver wants to be authenticated to."""

    type: AuthenticationType
    authorization: str | None = field(default=None, repr=False)
    """The value of the header `Authorization`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointChanges:
    """What an endpoint becomes. None: as it is."""

    url: str | None = None
    events: Sequence[str] | None = None
    status: EndpointStatus | None = None
    authentication: Authentication | None = None


@dataclass(frozen=True, slots=True)
class NewSecret:
    """An endpoint with the secret that signs from now on. It is shown this once."""

    endpoint: Endpoint
    secret: str = field(repr=False)


class WebhookEndpoints:
    """Each method writes in the caller's transaction, with its audit entry. Another owner's endpoint is NotFound.

    `redeliver_range` opens transactions of its own.
    """

    def __init__(
        self, settings: Settings, clock: Clock, db: Database, vault: Vault, journal: Journal
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._db = db
        self._vault = vault
        self._journal = journal

    async def create(
        self, connection: Connection, owner: Owner, new: EndpointChanges, *, secret: str | None = None
    ) -> NewSecret:
        """Adds an endpoint. Without `events` it gets every event.

        Args:
            connection: the caller's transaction.
            owner: who gets the events.
            new: the endpoint.
            secret: signs its deliveries; None for a new secret.

        Raises:
            InvalidRequest: webhooks must not be sent to this URL, or an event is unknown or not for this owner.
            Unprocessable: the owner has 20 endpoints.
        """
        assert new.url is not None, "a new endpoint has a URL"
        self._check(owner, new)
        # Of two at once, the second counts the endpoint of the first.
        await lock_endpoints(connection, owner.guid)
        if (await list_endpoints(connection, owner.guid, PageRequest(size=1))).total >= MAX_ENDPOINTS:
            raise Unprocessable(f"You can have at most {MAX_ENDPOINTS} webhook endpoints. Delete one first.")
        authentication = new.authentication or Authentication(AuthenticationType.NONE)
        endpoint = Endpoint(
            guid=ids.new("WHE"),
            owner_guid=owner.guid,
            url=new.url,
            events=new.events or ["*"],
            status=(new.status or EndpointStatus.ENABLED).value,
            authentication=authentication.type.value,
            created_at=self._clock.now(),
        )
        secrets = EndpointSecrets(secret or new_secret(), authorization=authentication.authorization)
        await add_endpoint(connection, endpoint)
        await endpoint_secrets.store(connection, self._vault, owner.guid, endpoint.guid, secrets)
        await self._record(connection, owner, endpoint.guid, "webhook_endpoint.created")
        return NewSecret(endpoint, secrets.secret)

    async def list(self, connection: Connection, owner: Owner, page: PageRequest) -> Page[Endpoint]:
        return await list_endpoints(connection, owner.guid, page)

    async def find(self, connection: Connection, owner: Owner, guid: str) -> Endpoint:
        return await find_endpoint(connection, owner.guid, guid)

    async def update(
        self, connection: Connection, owner: Owner, guid: str, changes: EndpointChanges
    ) -> Endpoint:
        """Writes the changes. What waits for a paused endpoint is sent when it is enabled, and fails if it is disabled.

        Raises:
            InvalidRequest: as `create`.
            Unprocessable: the URL leads to another receiver, to which the credentials of this one would be sent.
        """
        self._check(owner, changes)
        endpoint = await find_endpoint(connection, owner.guid, guid, lock=True)
        _check_credentials(endpoint, changes)
        values: dict[str, object] = {
            name: value
            for name, value in (("url", changes.url), ("status", changes.status and changes.status.value))
            if value is not None
        }
        if changes.events is not None:
            values["events"] = list(changes.events)
        if changes.authentication is not None:
            values["authentication"] = changes.authentication.type.value
            # Read first: they are sealed together with the secret that signs, which stays.
            secrets = await self._secrets(connection, endpoint)
            authorization = changes.authentication.authorization
            await self._store(connection, endpoint, replace(secrets, authorization=authorization))
        if values:
            await change_endpoint(connection, guid, values)
        # Whatever it failed by may be mended.
        await forget_failures(connection, guid)
        if changes.status is EndpointStatus.DISABLED:
            await end_deliveries(connection, guid)
        await self._record(connection, owner, guid, "webhook_endpoint.updated")
        return await find_endpoint(connection, owner.guid, guid)

    async def delete(self, connection: Connection, owner: Owner, guid: str) -> None:
        """Deletes the endpoint and its secrets. What waits to be delivered to it fails; its deliveries stay listed."""
        await find_endpoint(connection, owner.guid, guid, lock=True)
        # In this order, as a worker that saves the outcome of a delivery.
        await forget_failures(connection, guid)
        await end_deliveries(connection, guid)
        await delete_endpoint(connection, guid)
        await self._vault.delete(connection, owner_guid=owner.guid, record_guid=guid)
        await self._record(connection, owner, guid, "webhook_endpoint.deleted")

    async def rotate_secret(self, connection: Connection, owner: Owner, guid: str) -> NewSecret:
        """A new secret. The old one signs too for 24 hours; one that was replaced before no longer does."""
        # Locked: of two rotations at once, the second must keep the secret of the first, not the one before it.
        endpoint = await find_endpoint(connection, owner.guid, guid, lock=True)
        rotated = (await self._secrets(connection, endpoint)).rotated(self._clock.instant())
        await self._store(connection, endpoint, rotated)
        await self._record(connection, owner, guid, "webhook_endpoint.secret_rotated")
        return NewSecret(endpoint, rotated.secret)

    async def test(self, connection: Connection, owner: Owner, guid: str, event_type: str) -> Delivery:
        """Delivers an example of the type to the endpoint, whether it subscribes to the type or not.

        Raises:
            InvalidRequest: there is no such type, or it is not for this owner.
            Unprocessable: the endpoint is not enabled.
        """
        endpoint = await find_endpoint(connection, owner.guid, guid)
        types = [each for each in EventType if CATALOGUE[each].is_for_processors or not owner.is_processor]
        if event_type not in types:
            raise InvalidRequest(f"type must be one of {', '.join(types)}.")
        if endpoint.status != EndpointStatus.ENABLED:
            raise Unprocessable(f"The endpoint is {endpoint.status}. Enable it first.")
        delivery = await history.send_sample(
            connection, endpoint, EventType(event_type), self._clock.instant()
        )
        await self._record(connection, owner, guid, "webhook_endpoint.tested")
        return delivery

    async def redeliver(self, connection: Connection, owner: Owner, delivery_guid: str) -> Delivery:
        """Makes a delivery again, whatever became of it.

        Raises:
            Unprocessable: its endpoint was deleted or is disabled.
        """
        delivery = await history.find_delivery(connection, owner.guid, delivery_guid)
        if delivery.receiver_guid != owner.guid:
            await self._refuse_disabled(connection, owner, delivery.receiver_guid)
        made = await history.redeliver(connection, owner.guid, delivery_guid, self._clock.instant())
        await self._record(connection, owner, delivery_guid, "delivery.redelivered")
        return made

    async def redeliver_range(self, owner: Owner, guid: str, since: datetime, until: datetime | None) -> int:
        """Delivers again what occurred in the time and the endpoint subscribes to; returns how many events.

        It opens its own transactions, one for each batch: the time can have very many events. If it fails in between,
        a repetition delivers the others, and those of the first call that do not wait any more.

        Raises:
            Unprocessable: the endpoint is disabled, or `until` is before `since`.
        """
        now = self._clock.instant()
        wanted = history.Redelivery(endpoint_guid=guid, since=since, until=until or now, now=now)
        async with self._db.transaction() as connection:
            await find_endpoint(connection, owner.guid, guid)
            await self._refuse_disabled(connection, owner, guid)
            if wanted.until < since:
                raise Unprocessable("until must not be before since.")
            # First: whatever is delivered, the log says why.
            await self._record(connection, owner, guid, "webhook_endpoint.redelivered")
        count, position = 0, 0
        while True:
            async with self._db.transaction() as connection:
                made = await history.redeliver_batch(connection, wanted, position)
            count += made.count
            if made.last_position is None:
                return count
            position = made.last_position

    async def redeliver_selected(self, connection: Connection, owner: Owner, filters: DeliveryFilter) -> int:
        """As `history.redeliver_selected`, for the owner."""
        # Of two at once, the second finds what the first has made.
        await lock_endpoints(connection, owner.guid)
        now = self._clock.instant()
        count = await history.redeliver_selected(connection, owner.guid, filters, now)
        await self._record(
            connection, owner, owner.guid, "deliveries.redelivered", {"deliveries": str(count)}
        )
        return count

    def _check(self, owner: Owner, changes: EndpointChanges) -> None:
        if changes.url is not None:
            check_url(changes.url, allow_private=self._settings.webhook_allow_private)
        if changes.events is not None:
            allowed = patterns(is_processor=owner.is_processor)
            if not changes.events or not set(changes.events) <= set(allowed):
                raise InvalidRequest(f"events must be some of {', '.join(allowed)}.")

    async def _refuse_disabled(self, connection: Connection, owner: Owner, guid: str) -> None:
        try:
            status = (await find_endpoint(connection, owner.guid, guid)).status
        except NotFound:
            # The caller's delivery exists, so that 404 would be wrong.
            raise Unprocessable("The endpoint was deleted.") from None
        if status == EndpointStatus.DISABLED:
            raise Unprocessable("The endpoint is disabled. Enable it first.")

    async def _secrets(self, connection: Connection, endpoint: Endpoint) -> EndpointSecrets:
        secrets = await endpoint_secrets.disclose(
            connection, self._vault, endpoint.owner_guid, endpoint.guid, reader_guid=endpoint.owner_guid
        )
        assert secrets is not None, "an endpoint has secrets"
        return secrets

    async def _store(self, connection: Connection, endpoint: Endpoint, secrets: EndpointSecrets) -> None:
        await endpoint_secrets.store(connection, self._vault, endpoint.owner_guid, endpoint.guid, secrets)

    async def _record(
        self,
        connection: Connection,
        owner: Owner,
        subject: str,
        action: str,
        detail: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        await self._journal.record(
            connection,
            Entry(
                client_guid=owner.client_guid,
                actor=owner.actor or owner.guid,
                action=action,
                subject=subject,
                detail=detail,
            ),
        )


def _check_credentials(endpoint: Endpoint, changes: EndpointChanges) -> None:
    """The credentials are never shown. Whoever could send them elsewhere would read them.

    Raises:
        Unprocessable: as `WebhookEndpoints.update`.
    """
    keeps_credentials = changes.authentication is None and endpoint.authentication != AuthenticationType.NONE
    if keeps_credentials and changes.url is not None and _origin(changes.url) != _origin(endpoint.url):
        raise Unprocessable("The URL leads to another host. Send its authentication too.")


def _origin(url: str) -> tuple[str, str, int | None]:
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port
