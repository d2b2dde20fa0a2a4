"""The pages of a client's staff."""

from coatcheck.dashboard.handlers import audit, client_institutions, exports, grants, users, widget
from coatcheck.dashboard.permissions import Permission
from coatcheck.dashboard.route import DashboardRoute, Handler, sensitive
from coatcheck.http.i18n import marked as _

SEE = Permission.SEE_USERS

USERS = (
    DashboardRoute("GET", "/users", users.show_users, SEE, menu=_("Users")),
    DashboardRoute("GET", "/users/{user}", users.show_user, SEE),
    DashboardRoute("GET", "/members", users.show_members, SEE, menu=_("Broken connections")),
    DashboardRoute("GET", "/members/{member}", users.show_member, SEE),
    *sensitive(
        "/accounts/{account}/numbers", users.ask_for_reason, users.reveal_numbers, Permission.REVEAL_NUMBERS
    ),
)

GRANTS = (
    DashboardRoute("GET", "/grants", grants.show_grants, SEE, menu=_("Grants")),
    DashboardRoute("GET", "/grants/{grant}", grants.show_grant, SEE),
    *sensitive("/grants/{grant}/revoke", grants.confirm_revocation, grants.revoke, Permission.REVOKE_GRANTS),
)

INSTITUTIONS = (
    DashboardRoute(
        "GET",
        "/client/institutions",
        client_institutions.show_institutions,
        Permission.SEE_CONNECTION_SUCCESS,
        menu=_("Institutions"),
    ),
    DashboardRoute(
        "GET",
        "/client/institutions/{institution}",
        client_institutions.show_institution,
        Permission.SEE_CONNECTION_SUCCESS,
    ),
)

AUDIT = (DashboardRoute("GET", "/audit", audit.show_entries, Permission.SEE_AUDIT_LOG, menu=_("Audit log")),)


def _file(path: str, handler: Handler, permission: Permission = Permission.EXPORT_USERS) -> DashboardRoute:
    return DashboardRoute("GET", f"/exports{path}", handler, permission, is_file=True)


EXPORTS = (
    _file("/users", exports.export_users),
    _file("/users/{user}/accounts", exports.export_accounts),
    *sensitive(
        "/exports/users/{user}/numbers",
        exports.ask_for_reason,
        exports.export_numbers,
        Permission.REVEAL_NUMBERS,
    ),
    _file("/members", exports.export_members),
    _file("/grants", exports.export_grants),
    _file("/reads", exports.export_reads),
    _file("/audit", exports.export_entries, Permission.SEE_AUDIT_LOG),
)

WIDGET = (
    DashboardRoute("GET", "/widget", widget.show_settings, Permission.MANAGE_WIDGET, menu=_("Widget")),
    DashboardRoute("POST", "/widget", widget.change_look, Permission.MANAGE_WIDGET),
    *sensitive("/widget/origins", widget.show_origins, widget.change_origins, Permission.MANAGE_WIDGET),
)
