"""The pages of the operator."""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.responses import Response

from coatcheck.dashboard.handlers import installation, institutions, jobs, organisations
from coatcheck.dashboard.handlers.organisations import Kind
from coatcheck.dashboard.permissions import Permission
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.route import DashboardRoute, Handler, sensitive
from coatcheck.http.i18n import marked as _

SEE, MANAGE = Permission.SEE_ORGANISATIONS, Permission.MANAGE_ORGANISATIONS


def _organisation_routes(kind: Kind, menu: str) -> tuple[DashboardRoute, ...]:
    """The pages of clients or of processors."""
    path, one = f"/{kind.name}", f"/{kind.name}/{{organisation}}"

    def of(handler: Callable[[Kind, DashboardRequest], Awaitable[Response]]) -> Handler:
        return partial(handler, kind)

    return (
        DashboardRoute("GET", path, of(organisations.show_list), SEE, menu=menu),
        *sensitive(f"{path}/add", of(organisations.show_form), of(organisations.add), MANAGE),
        DashboardRoute("GET", one, of(organisations.show), SEE),
        *sensitive(f"{one}/switch", of(organisations.confirm_switch), of(organisations.switch), MANAGE),
        *sensitive(
            f"{one}/rotate-key", of(organisations.confirm_rotation), of(organisations.rotate_key), MANAGE
        ),
    )


ORGANISATIONS = (
    *_organisation_routes(organisations.CLIENTS, _("Clients")),
    *_organisation_routes(organisations.PROCESSORS, _("Processors")),
    *sensitive(
        "/clients/{client}/processors/{processor}",
        organisations.confirm_partner,
        organisations.set_partner,
        MANAGE,
    ),
)

INSTITUTIONS = (
    DashboardRoute(
        "GET", "/connectors", institutions.show_connectors, Permission.SEE_INSTITUTIONS, menu=_("Connectors")
    ),
    DashboardRoute(
        "GET",
        "/institutions",
        institutions.show_institutions,
        Permission.SEE_INSTITUTIONS,
        menu=_("Institutions"),
    ),
    DashboardRoute(
        "GET", "/calls", institutions.show_calls, Permission.SEE_INSTITUTIONS, menu=_("Calls of institutions")
    ),
    DashboardRoute(
        "GET", "/institutions/{institution}", institutions.show_institution, Permission.SEE_INSTITUTIONS
    ),
    DashboardRoute(
        "POST", "/institutions/{institution}", institutions.set_status, Permission.MANAGE_INSTITUTIONS
    ),
    *sensitive(
        "/institutions/{institution}/{client}",
        institutions.show_client_status,
        institutions.set_client_status,
        Permission.MANAGE_INSTITUTIONS,
    ),
)

INSTALLATION = (
    DashboardRoute("GET", "/jobs", jobs.show_jobs, Permission.SEE_JOBS, menu=_("Jobs")),
    DashboardRoute("GET", "/jobs/{user}/{job}", jobs.show_job, Permission.SEE_JOBS),
    DashboardRoute("POST", "/jobs/{user}/{job}", jobs.retry_job, Permission.RETRY_JOBS),
    DashboardRoute("GET", "/keys", installation.show_keys, Permission.SEE_INSTALLATION, menu=_("Keys")),
    *sensitive(
        "/keys/rotate-signing",
        installation.confirm_signing_rotation,
        installation.rotate_signing_key,
        Permission.ROTATE_SIGNING_KEYS,
    ),
    DashboardRoute(
        "GET", "/database", installation.show_database, Permission.SEE_INSTALLATION, menu=_("Database")
    ),
    DashboardRoute(
        "GET",
        "/checkpoints",
        installation.show_checkpoints,
        Permission.SEE_INSTALLATION,
        menu=_("Audit log: checkpoints"),
    ),
    DashboardRoute(
        "GET", "/findings", installation.show_findings, Permission.SEE_INSTALLATION, menu=_("Findings")
    ),
    DashboardRoute(
        "GET", "/metrics", installation.show_metrics, Permission.SEE_INSTALLATION, menu=_("Metrics")
    ),
)
