"""The URL of the portal."""

from coatcheck.errors import UserDisabled
from coatcheck.http.decoding import parse
from coatcheck.http.i18n import choose_locale
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.portal import PortalUrlRequestBody, PortalUrlResponseBody, portal_url_body
from coatcheck.model.users import find_user


async def create_portal_url(request: ManagementRequest) -> PortalUrlResponseBody:
    locale = parse(request.body, PortalUrlRequestBody).portal_url.locale if request.body else None
    user = await find_user(request.connection, request.client.guid, request.path["user"])
    if user.is_disabled:
        raise UserDisabled
    url = await request.services.portal_sessions.create_url(
        request.connection, user, locale=choose_locale(locale) if locale else None
    )
    return portal_url_body(url)
