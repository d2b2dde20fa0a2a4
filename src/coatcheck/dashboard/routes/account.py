"""The pages that everyone has, and those about staff."""

from coatcheck.dashboard.handlers import account, staff
from coatcheck.dashboard.permissions import Permission
from coatcheck.dashboard.route import DashboardRoute
from coatcheck.dashboard.texts import _

OWN = (
    DashboardRoute("GET", "", account.show_home, Permission.USE_DASHBOARD, menu=_("Overview")),
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
    DashboardRoute(
        "GET",
        "/passkeys/{passkey}/remove",
        account.confirm_removal_of_passkey,
        Permission.USE_DASHBOARD,
        needs_confirmation=True,
    ),
    DashboardRoute(
        "POST",
        "/passkeys/{passkey}/remove",
        account.remove_passkey,
        Permission.USE_DASHBOARD,
        needs_confirmation=True,
    ),
    DashboardRoute("POST", "/sign-out", account.sign_out, Permission.USE_DASHBOARD),
)

STAFF = (
    DashboardRoute("GET", "/staff", staff.show_staff, Permission.SEE_STAFF, menu=_("Staff")),
    DashboardRoute(
        "GET", "/staff/invite", staff.show_invitation_form, Permission.MANAGE_STAFF, needs_confirmation=True
    ),
    DashboardRoute("POST", "/staff/invite", staff.invite, Permission.MANAGE_STAFF, needs_confirmation=True),
    DashboardRoute("GET", "/staff/{person}", staff.show_person, Permission.SEE_STAFF),
    DashboardRoute(
        "POST", "/staff/{person}", staff.set_role, Permission.MANAGE_STAFF, needs_confirmation=True
    ),
    DashboardRoute(
        "GET",
        "/staff/{person}/remove",
        staff.confirm_removal,
        Permission.MANAGE_STAFF,
        needs_confirmation=True,
    ),
    DashboardRoute(
        "POST", "/staff/{person}/remove", staff.remove, Permission.MANAGE_STAFF, needs_confirmation=True
    ),
    DashboardRoute(
        "GET", "/staff/{person}/reset", staff.confirm_reset, Permission.MANAGE_STAFF, needs_confirmation=True
    ),
    DashboardRoute(
        "POST", "/staff/{person}/reset", staff.reset, Permission.MANAGE_STAFF, needs_confirmation=True
    ),
)
