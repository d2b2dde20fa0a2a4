"""The link to the widget: opened once, within `link_ttl`, with what the client asked for sealed under it."""

from dataclasses import dataclass, field

import msgspec

from coatcheck.app import Services
from coatcheck.connectors.contract import JobKind
from coatcheck.db.database import Connection
from coatcheck.grants.links import LinkKind
from coatcheck.members.return_target import ReturnTarget
from coatcheck.model.users import User
from coatcheck.vault.vault import SecretKind

PATH = "/md/connect/"


@dataclass(frozen=True, slots=True, kw_only=True)
class WidgetOptions:
    """What one opened widget is for and how it looks; every default is settled."""

    widget_type: str
    mode: str
    """`aggregation` or `verification`."""
    kinds: list[JobKind]
    """The jobs a member that is connected here gets, one after the other."""
    include_transactions: bool
    background_aggregation_is_disabled: bool
    return_target: ReturnTarget
    current_institution_code: str | None = None
    current_member_guid: str | None = None
    current_microdeposit_guid: str | None = None
    update_credentials: bool = False
    disable_institution_search: bool = False
    iso_country_codes: list[str] = field(default_factory=list)
    use_cases: list[str] | None = None
    is_mobile_webview: bool = False
    ui_message_version: int = 4
    color_scheme: str = "light"
    locale: str | None = None
    callback_payload: str | None = None


async def create_widget_url(
    services: Services, connection: Connection, user: User, options: WidgetOptions
) -> str:
    """A URL that loads the widget for the user: this once."""
    link, secret = await services.links.issue(
        connection,
        LinkKind.WIDGET,
        client_guid=user.client_guid,
        user_guid=user.guid,
        member_guid=options.current_member_guid,
    )
    await services.vault.store_secret(
        connection,
        owner_guid=user.guid,
        record_guid=link.guid,
        kind=SecretKind.LINK,
        value=msgspec.json.encode(options),
    )
    return f"{services.settings.base_url}{PATH}{secret}"
