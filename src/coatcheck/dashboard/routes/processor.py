"""The pages of a processor's staff."""

from coatcheck.dashboard.handlers import processor
from coatcheck.dashboard.permissions import Permission
from coatcheck.dashboard.route import DashboardRoute
from coatcheck.http.i18n import marked as _

PROCESSOR = (
    DashboardRoute(
        "GET",
        "/processor/grants",
        processor.show_grants,
        Permission.SEE_PROCESSOR_GRANTS,
        menu=_("Your grants"),
    ),
    DashboardRoute("GET", "/processor/grants/{grant}", processor.show_grant, Permission.SEE_PROCESSOR_GRANTS),
    DashboardRoute(
        "GET",
        "/processor/conformance",
        processor.show_report_form,
        Permission.TEST_PROCESSOR,
        menu=_("Conformance"),
    ),
    DashboardRoute("POST", "/processor/conformance", processor.show_report, Permission.TEST_PROCESSOR),
)
