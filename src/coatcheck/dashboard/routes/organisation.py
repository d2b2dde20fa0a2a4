"""The pages that the staff of clients and of processors share: API keys and webhooks of their organisation."""

from coatcheck.dashboard.handlers import api_keys, deliveries, webhooks
from coatcheck.dashboard.permissions import Permission
from coatcheck.dashboard.route import DashboardRoute, sensitive
from coatcheck.http.i18n import marked as _

SEE, MANAGE = Permission.SEE_WEBHOOKS, Permission.MANAGE_WEBHOOKS

API_KEYS = (
    DashboardRoute("GET", "/api-keys", api_keys.show_keys, Permission.SEE_KEYS, menu=_("API keys")),
    *sensitive("/api-keys/rotate", api_keys.confirm_rotation, api_keys.rotate, Permission.MANAGE_KEYS),
    *sensitive("/api-keys/networks", api_keys.show_networks, api_keys.set_networks, Permission.MANAGE_KEYS),
)

WEBHOOKS = (
    DashboardRoute("GET", "/webhooks", webhooks.show_endpoints, SEE, menu=_("Webhooks")),
    *sensitive("/webhooks/add", webhooks.show_form, webhooks.create, MANAGE),
    DashboardRoute("GET", "/webhooks/{endpoint}", webhooks.show_endpoint, SEE),
    DashboardRoute("POST", "/webhooks/{endpoint}", webhooks.set_status, MANAGE),
    DashboardRoute("POST", "/webhooks/{endpoint}/test", webhooks.test, MANAGE),
    *sensitive(
        "/webhooks/{endpoint}/rotate-secret",
        webhooks.confirm_secret_rotation,
        webhooks.rotate_secret,
        MANAGE,
    ),
    *sensitive("/webhooks/{endpoint}/delete", webhooks.confirm_deletion, webhooks.delete, MANAGE),
    DashboardRoute("GET", "/deliveries", deliveries.show_deliveries, SEE, menu=_("Deliveries")),
    # Before the path of one delivery, which it matches too.
    DashboardRoute("GET", "/deliveries/redeliver", deliveries.confirm_redelivery, MANAGE),
    DashboardRoute("POST", "/deliveries/redeliver", deliveries.redeliver_selected, MANAGE),
    DashboardRoute("GET", "/deliveries/{delivery}", deliveries.show_delivery, SEE),
    DashboardRoute("POST", "/deliveries/{delivery}", deliveries.redeliver, MANAGE),
)
