"""Access for an app of the user's own, by a SimpleFIN setup token."""

from datetime import timedelta

import segno
from markupsafe import Markup
from starlette.responses import Response

from coatcheck.directory.apps import NewSetupToken
from coatcheck.errors import InvalidRequest
from coatcheck.http.forms import optional_number
from coatcheck.model.accounts import list_accounts
from coatcheck.portal.overview import MOST
from coatcheck.portal.request import PortalRequest


async def show_form(request: PortalRequest) -> Response:
    session = request.session
    async with request.services.db.connection() as connection:
        accounts = await list_accounts(connection, session.user_guid, MOST)
    longest = request.services.settings.app_token_ttl
    return await request.page("app", accounts=accounts.items, longest_days=longest.days)


async def connect(request: PortalRequest) -> Response:
    """Creates the setup token and shows it, this once.

    Raises:
        InvalidRequest: no account is chosen, or a field is not valid.
        NotFound: an account is not the user's.
    """
    days = optional_number(request.field("days"))
    new = NewSetupToken(
        account_guids=request.form.get("account_guids", ()),
        app_name=request.field("app_name").strip(),
        expires_in=None if days is None else round(timedelta(days=days).total_seconds()),
        lookback_days=optional_number(request.field("lookback_days")),
        max_reads=optional_number(request.field("max_reads")),
    )
    if not new.app_name:
        raise InvalidRequest
    async with request.services.db.transaction() as connection:
        user = await request.user(connection)
        created = await request.services.apps.create_setup_token(connection, user, new, actor=user.guid)
    # Black on white in both colour schemes: many cameras do not read the reverse.
    code = segno.make(created.token).svg_inline(border=4, light="#fff", omitsize=True)
    return await request.page("app_token", created=created, qr_code=Markup(code))  # noqa: S704 (numbers and paths)
