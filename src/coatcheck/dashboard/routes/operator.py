"""The pages of the operator."""

from coatcheck.dashboard.handlers import installation, institutions, jobs, organisations
from coatcheck.dashboard.permissions import Permission
from coatcheck.dashboard.route import DashboardRoute, sensitive
from coatcheck.dashboard.texts import _

SEE, MANAGE = Permission.SEE_ORGANISATIONS, Permission.MANAGE_ORGANISATIONS

ORGANISATIONS = (
    DashboardRoute("GET", "/clients", organisations.show_clients, SEE, menu=_("Clients")),
    *sensitive("/clients/add", organisations.show_new_client, organisations.add_client, MANAGE),
    DashboardRoute("GET", "/clients/{client}", organisations.show_client, SEE),
    *sensitive(
        "/clients/{client}/switch", organisations.confirm_client_switch, organisations.switch_client, MANAGE
    ),
    *sensitive(
        "/clients/{client}/rotate-key",
        organisations.confirm_client_rotation,
        organisations.rotate_client_key,
        MANAGE,
    ),
    *sensitive(
        "/clients/{client}/processors/{processor}",
        organisations.confirm_partner,
        organisations.set_partner,
        MANAGE,
    ),
    DashboardRoute("GET", "/processors", organisations.show_processors, SEE, menu=_("Processors")),
    *sensitive("/processors/add", organisations.show_new_processor, organisations.add_processor, MANAGE),
    DashboardRoute("GET", "/processors/{processor}", organisations.show_processor, SEE),
    *sensitive(
        "/processors/{processor}/switch",
        organisations.confirm_processor_switch,
        organisations.switch_processor,
        MANAGE,
    ),
    *sensitive(
        "/processors/{processor}/rotate-key",
        organisations.confirm_processor_rotation,
        organisations.rotate_processor_key,
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
