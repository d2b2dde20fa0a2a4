"""Everything the page can ask, in one table (docs/reference/widget-api.md)."""

from coatcheck.widget.endpoint import Asked
from coatcheck.widget.handlers import institutions, members, micro_deposits, oauth, starting

ROUTES = (
    Asked("GET", "/start", starting.start),
    Asked("POST", "/consent", starting.consent),
    Asked("GET", "/institutions", institutions.search),
    Asked("GET", "/institutions/{institution}", institutions.read),
    Asked("GET", "/institutions/{institution}/credentials", institutions.credentials),
    Asked("GET", "/members", members.list_),
    Asked("POST", "/members", members.create, 201),
    Asked("GET", "/members/{member}", members.read),
    Asked("PUT", "/members/{member}", members.update),
    Asked("DELETE", "/members/{member}", members.delete),
    Asked("GET", "/members/{member}/credentials", members.credentials),
    Asked("PUT", "/members/{member}/mfa", members.answer),
    Asked("POST", "/members/{member}/jobs", members.start_job),
    Asked("GET", "/members/{member}/oauth_window_uri", members.oauth_window_uri),
    Asked("GET", "/members/{member}/accounts", members.list_accounts),
    Asked("POST", "/members/{member}/account_selection", members.select_account),
    Asked("GET", "/jobs/{job}", members.job),
    Asked("GET", "/oauth_states", oauth.list_),
    Asked("GET", "/oauth_states/{state}", oauth.read),
    Asked("POST", "/micro_deposits", micro_deposits.create, 201),
    Asked("GET", "/micro_deposits/{micro_deposit}", micro_deposits.read),
    Asked("PUT", "/micro_deposits/{micro_deposit}/verify", micro_deposits.verify),
    Asked("GET", "/routing_numbers/{number}", micro_deposits.check_routing_number),
)
