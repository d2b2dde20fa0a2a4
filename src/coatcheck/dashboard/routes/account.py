"""The pages that everyone has, and those about staff."""

from coatcheck.dashboard.handlers import account, overview, staff
from coatcheck.dashboard.permissions import Permission
from coatcheck.dashboard.route import DashboardRoute, sensitive
from coatcheck.http.i18n import marked as _

OVERVIEW = (DashboardRoute("GET", "", overview.show_overview, Permission.USE_DASHBOARD, menu=_("Overview")),)

STAFF = (
    DashboardRoute("GET", "/staff", staff.show_staff, Permission.SEE_STAFF, menu=_("Staff")),
    *sensitive("/staff/invite", staff.show_invitation_form, staff.invite, Permission.MANAGE_STAFF),
    DashboardRoute("GET", "/staff/{person}", staff.show_person, Permission.SEE_STAFF),
    DashboardRoute(
        "POST", "/staff/{person}", staff.set_role, Permission.MANAGE_STAFF, needs_confirmation=True
    ),
    *sensitive("/staff/{person}/remove", staff.confirm_removal, staff.remove, Permission.MANAGE_STAFF),
    *sensitive("/staff/{person}/reset", staff.confirm_reset, staff.reset, Permission.MANAGE_STAFF),
)

OWN = (
    DashboardRoute("GET", "/confirm", account.show_confirmation, Permission.USE_DASHBOARD),
    DashboardRoute("POST", "/confirm", account.confirm, Permission.USE_DASHBOARD),
    DashboardRoute("GET", "/confirm/provider", account.confirm_at_provider, Permission.USE_DASHBOARD),
    DashboardRoute(
        "GET",
        "/passkeys",
        account.show_passkeys,
        Permission.USE_DASHBOARD,
        menu=_("Your passkeys"),
        needs_confirmation=True,
    ),
    DashboardRoute(
        "POST", "/passkeys", account.add_passkey, Permission.USE_DASHBOARD, needs_confirmation=True
    ),
    *sensitive(
        "/passkeys/{passkey}/remove",
        account.confirm_removal_of_passkey,
        account.remove_passkey,
        Permission.USE_DASHBOARD,
    ),
    DashboardRoute("POST", "/sign-out", account.sign_out, Permission.USE_DASHBOARD),
)
