"""The routes of the widget's API, in one table (docs/reference/widget-api.md)."""

from coatcheck.widget.endpoint import WidgetRoute
from coatcheck.widget.handlers import (
    boot,
    institutions,
    members,
    micro_deposits,
    oauth,
    start,
    statement_files,
)

ROUTES = (
    WidgetRoute("GET", "/boot", boot.read),
    WidgetRoute("GET", "/start", start.read),
    WidgetRoute("POST", "/consent", start.consent),
    WidgetRoute("GET", "/institutions", institutions.search),
    WidgetRoute("GET", "/institutions/{institution}", institutions.read),
    WidgetRoute("GET", "/institutions/{institution}/credentials", institutions.credentials),
    WidgetRoute("GET", "/members", members.list_),
    WidgetRoute("POST", "/members", members.create, 201, signs_in_at=members.signs_in_at),
    WidgetRoute("GET", "/members/{member}", members.read),
    WidgetRoute("PUT", "/members/{member}", members.update),
    WidgetRoute("DELETE", "/members/{member}", members.delete),
    WidgetRoute("GET", "/members/{member}/credentials", members.credentials),
    WidgetRoute("PUT", "/members/{member}/mfa", members.answer),
    WidgetRoute("POST", "/members/{member}/jobs", members.start_job),
    WidgetRoute(
        "GET",
        "/members/{member}/oauth_window_uri",
        members.oauth_window_uri,
        signs_in_at=members.signs_in_again_at,
    ),
    WidgetRoute("GET", "/members/{member}/accounts", members.list_accounts),
    WidgetRoute("POST", "/members/{member}/account_selection", members.select_account),
    WidgetRoute("GET", "/jobs/{job}", members.job),
    WidgetRoute("GET", "/oauth_states", oauth.list_),
    WidgetRoute("GET", "/oauth_states/{state}", oauth.read),
    WidgetRoute("POST", "/micro_deposits", micro_deposits.create, 201),
    WidgetRoute("GET", "/micro_deposits/{micro_deposit}", micro_deposits.read),
    WidgetRoute("PUT", "/micro_deposits/{micro_deposit}/verify", micro_deposits.verify),
    WidgetRoute(
        "POST",
        "/statement_files",
        statement_files.create,
        file_of=statement_files.file_of,
        max_body_bytes=statement_files.MAX_BODY_BYTES,
        body_deadline=statement_files.BODY_DEADLINE,
        has_deadline=False,
    ),
    WidgetRoute("GET", "/routing_numbers/{number}", micro_deposits.check_routing_number),
)
