"""All endpoints, in the order in which requests are matched and the documentation lists them."""

from coatcheck.http.route import Group
from coatcheck.management.routes.grants import GRANTS
from coatcheck.management.routes.imports import IMPORTS
from coatcheck.management.routes.portal import PORTAL
from coatcheck.management.routes.route import Route
from coatcheck.management.routes.setup_tokens import SETUP_TOKENS
from coatcheck.management.routes.signed_documents import SIGNED_DOCUMENTS
from coatcheck.management.routes.webhook_endpoints import WEBHOOKS

GROUPS: tuple[Group[Route], ...] = (GRANTS, IMPORTS, PORTAL, SETUP_TOKENS, WEBHOOKS, SIGNED_DOCUMENTS)
ROUTES: tuple[Route, ...] = tuple(route for group in GROUPS for route in group.routes)
