"""Links to the widget. A link can be opened once, within `link_ttl`. The vault stores its options under its guid."""

import json
from dataclasses import asdict, dataclass, field

from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.config import Settings
from coatcheck.connectors.contract import JobKind
from coatcheck.db.database import Connection
from coatcheck.errors import NotFound
from coatcheck.grants.links import Link, LinkKind, Links
from coatcheck.members.return_target import ReturnTarget, check_redirect
from coatcheck.model.users import User
from coatcheck.vault.vault import SecretKind, Vault, WorkerReader

OPEN_PATH = "/md/connect/"


@dataclass(frozen=True, slots=True, kw_only=True)
class WidgetOptions:
    """What the widget is opened for and how it looks, with every default applied."""

    kinds: list[JobKind]
    """The jobs of a member that is connected here, in order."""
    include_transactions: bool
    background_aggregation_is_disabled: bool
    return_target: ReturnTarget
    current_institution_code: str | None = None
    current_member_guid: str | None = None
    current_microdeposit_guid: str | None = None
    update_credentials: bool = False
    disable_institution_search: bool = False
    select_several_accounts: bool = False
    iso_country_codes: list[str] = field(default_factory=list)
    use_cases: list[str] | None = None
    is_mobile_webview: bool = False
    ui_message_version: int = 4
    color_scheme: str = "light"
    locale: str | None = None
    callback_payload: str | None = None
    announces_initial_data: bool = False
    """As `NewMember.announces_initial_data`, of a member that is connected here."""

    def encode(self) -> bytes:
        values = asdict(self)
        # Only if it is true: a program of an earlier version does not know the field.
        if not self.announces_initial_data:
            del values["announces_initial_data"]
        return json.dumps(values).encode()

    @classmethod
    def decode(cls, encoded: bytes | str) -> "WidgetOptions":
        # A program of a later version may have written more fields.
        values = {name: value for name, value in json.loads(encoded).items() if name in cls.__slots__}
        kinds = [JobKind(kind) for kind in values.pop("kinds")]
        return cls(kinds=kinds, return_target=ReturnTarget(**values.pop("return_target")), **values)


@dataclass(frozen=True, slots=True)
class OpenedLink:
    link: Link
    options: WidgetOptions


class WidgetLinks:
    def __init__(self, settings: Settings, vault: Vault, links: Links, journal: Journal) -> None:
        self._base_url = settings.base_url
        self._vault = vault
        self._links = links
        self._journal = journal

    async def create_url(self, connection: Connection, user: User, options: WidgetOptions) -> str:
        """Returns a URL that opens the widget for the user once.

        Raises:
            InvalidRequest: the client's end users may not be sent to `client_redirect_url`.
        """
        await check_redirect(connection, user.client_guid, options.return_target)
        link, secret = await self._links.issue(
            connection,
            LinkKind.WIDGET,
            client_guid=user.client_guid,
            user_guid=user.guid,
            member_guid=options.current_member_guid,
        )
        await self._vault.store_secret(
            connection,
            owner_guid=user.guid,
            record_guid=link.guid,
            kind=SecretKind.LINK,
            value=options.encode(),
        )
        # Whoever has the URL connects accounts as the user, so the log says who asked for it.
        await self._journal.record(
            connection,
            Entry(
                client_guid=user.client_guid,
                actor=user.client_guid,
                action="widget_url.issued",
                subject=link.guid,
                detail={"user_guid": user.guid},
            ),
        )
        return f"{self._base_url}{OPEN_PATH}{secret}"

    async def open(self, connection: Connection, secret: str) -> OpenedLink:
        """Opens the link and deletes its options from the vault.

        Raises:
            NotFound: the link is unknown, expired or used, or its user was deleted.
        """
        link = await self._links.open(connection, LinkKind.WIDGET, secret)
        encoded = await self._vault.disclose_secret(
            connection,
            owner_guid=link.user_guid,
            record_guid=link.guid,
            kind=SecretKind.LINK,
            reader=WorkerReader(link.guid, link.client_guid),
        )
        if encoded is None:
            raise NotFound
        await self._vault.delete(connection, owner_guid=link.user_guid, record_guid=link.guid)
        return OpenedLink(link, WidgetOptions.decode(encoded))
