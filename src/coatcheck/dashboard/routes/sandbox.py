"""The pages of a sandbox. A production server does not load this module."""

from coatcheck.dashboard.handlers import playground
from coatcheck.dashboard.permissions import Permission
from coatcheck.dashboard.route import DashboardRoute
from coatcheck.http.i18n import marked as _

SANDBOX = (
    DashboardRoute(
        "GET",
        "/processor/playground",
        playground.show_form,
        Permission.TEST_PROCESSOR,
        menu=_("Playground"),
    ),
    DashboardRoute(
        "POST",
        "/processor/playground",
        playground.give_token,
        Permission.TEST_PROCESSOR,
        has_deadline=False,
    ),
)
