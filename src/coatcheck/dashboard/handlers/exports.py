"""A client's lists as CSV files, by the filters of the lists. Account numbers are masked in all but one."""

from collections.abc import AsyncIterator, Mapping, Sequence

from starlette.responses import Response

from coatcheck.audit.search import each_entry
from coatcheck.dashboard.handlers.audit import entry_filter
from coatcheck.dashboard.handlers.grants import grant_filter
from coatcheck.dashboard.handlers.users import is_disabled, searched_text
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.directory.accounts import stated_reason
from coatcheck.directory.client_exports import Export, numbers_of_user, reads_of_grants, start_export
from coatcheck.http.exports import csv_file
from coatcheck.model.accounts import each_account
from coatcheck.model.members import each_broken_member
from coatcheck.model.users import User, each_user, find_user

USER_COLUMNS = ("guid", "id", "email", "is_disabled", "created_at")
MEMBER_COLUMNS = (
    "guid", "user_guid", "user_id", "institution_code", "name", "connection_status", "aggregated_at",
    "successfully_aggregated_at", "created_at",
)  # fmt: skip
ACCOUNT_COLUMNS = (
    "guid", "user_guid", "member_guid", "institution_code", "name", "type", "subtype", "account_number",
    "currency_code", "is_closed", "created_at",
)  # fmt: skip
NUMBER_COLUMNS = (
    "account_guid", "member_guid", "account_number", "routing_number", "institution_number", "transit_number",
    "passed_validation",
)  # fmt: skip
GRANT_COLUMNS = (
    "guid", "status", "processor_guid", "processor_name", "user_guid", "member_guid", "account_guid", "permissions",
    "reads", "max_reads", "last_read_at", "lookback_days", "created_at", "expires_at", "revoked_at", "revoked_by",
    "revoked_because",
)  # fmt: skip
READ_COLUMNS = (
    "at", "token_guid", "reader_guid", "record_guid", "what", "shown", "address", "request_id",
)  # fmt: skip
ENTRY_COLUMNS = ("at", "guid", "action", "actor", "actor_name", "subject", "detail")


async def export_users(request: DashboardRequest) -> Response:
    text = searched_text(request)
    batches = each_user(request.services.db, request.client_guid, text=text, is_disabled=is_disabled(request))
    # The text can be an address. The audit log keeps no personal data of users.
    filters = {**_given(request, "status"), **({"search": "not recorded"} if text else {})}
    return await _file(request, "users", USER_COLUMNS, batches, filters)


async def export_members(request: DashboardRequest) -> Response:
    filters = _given(request, "institution")
    batches = each_broken_member(
        request.services.db, request.client_guid, institution_code=filters.get("institution")
    )
    return await _file(request, "broken connections", MEMBER_COLUMNS, batches, filters)


async def export_accounts(request: DashboardRequest) -> Response:
    """The accounts of a user, with masked numbers."""
    user = await _user(request)
    batches = each_account(request.services.db, user.guid)
    return await _file(request, "accounts", ACCOUNT_COLUMNS, batches, {"user": user.guid})


async def ask_for_reason(request: DashboardRequest) -> Response:
    return request.page("export_numbers", user=await _user(request))


async def export_numbers(request: DashboardRequest) -> Response:
    """The full numbers of the accounts of a user.

    Raises:
        InvalidRequest: no reason is given.
    """
    services, user = request.services, await _user(request)
    reason = stated_reason(request.field("reason"))
    batches = numbers_of_user(services.db, services.accounts, user, reason=reason, actor=request.actor)
    detail = {"user": user.guid, "reason": reason}
    return await _file(request, "account numbers", NUMBER_COLUMNS, batches, detail)


async def export_grants(request: DashboardRequest) -> Response:
    batches = request.services.grants.each(request.services.db, grant_filter(request))
    return await _file(request, "grants", GRANT_COLUMNS, batches, _grant_filters(request))


async def export_reads(request: DashboardRequest) -> Response:
    """What was read with the grants of the list."""
    services = request.services
    batches = reads_of_grants(services.db, services.grants, grant_filter(request))
    return await _file(request, "reads", READ_COLUMNS, batches, _grant_filters(request))


async def export_entries(request: DashboardRequest) -> Response:
    filters = entry_filter(request)
    period = {"since": filters.since.isoformat(), "until": filters.until.isoformat()}
    batches = each_entry(request.services.db, filters)
    given = _given(request, "action", "actor", "before")
    return await _file(request, "audit log", ENTRY_COLUMNS, batches, {**given, **period})


async def _user(request: DashboardRequest) -> User:
    async with request.services.db.connection() as connection:
        return await find_user(connection, request.client_guid, request.path["user"])


def _grant_filters(request: DashboardRequest) -> Mapping[str, str]:
    return _given(request, "status", "processor", "user", "member", "account", "grant")


def _given(request: DashboardRequest, *names: str) -> Mapping[str, str]:
    """The filters of these names that the URL has."""
    return {name: value for name in names if (value := request.filter(name))}


async def _file(
    request: DashboardRequest,
    name: str,
    columns: Sequence[str],
    batches: AsyncIterator[Sequence[object]],
    detail: Mapping[str, str],
) -> Response:
    services = request.services
    export = Export(client_guid=request.client_guid, actor=request.actor, list=name, detail=detail)
    recorded = await start_export(services.db, services.journal, export, batches)
    return csv_file(name.replace(" ", "-"), recorded, columns, services.settings.request_deadline)
