"""The endpoint that opens the portal for an end user."""

from coatcheck import errors
from coatcheck.http.route import Group
from coatcheck.management.handlers import portal
from coatcheck.management.routes.route import Route
from coatcheck.management.schemas.portal import PortalUrlRequestBody, PortalUrlResponseBody

PORTAL = Group(
    "Portal",
    "The pages on which an end user sees who may read what and who read it, and narrows or stops access.",
    (
        Route(
            "POST",
            "/coatcheck/users/{user}/portal_urls",
            portal.create_portal_url,
            "createPortalUrl",
            "Open the portal for a user",
            "The URL works once, for `link_ttl`. Open it in a window or in a frame of your page; the origins that may "
            "frame it are those of the widget. The session ends after 15 minutes without a request, and after an hour.",
            status=201,
            body=PortalUrlRequestBody,
            answer=PortalUrlResponseBody,
            refusals=(errors.UserDisabled(),),
        ),
    ),
)
