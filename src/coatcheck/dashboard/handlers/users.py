"""A client's users: their connections with status and history, and their accounts."""

from enum import StrEnum

from starlette.responses import Response

from coatcheck.dashboard.lists import SEARCH, page_request, shown
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.model.accounts import accounts_of_member, find_client_account
from coatcheck.model.jobs import newest_jobs
from coatcheck.model.members import find_client_member, list_broken_members, list_members
from coatcheck.model.users import find_user, search_users


class UserStatus(StrEnum):
    """What a list of users can be restricted to."""

    ENABLED = "enabled"
    DISABLED = "disabled"


async def show_users(request: DashboardRequest) -> Response:
    """The users; with `status`, the disabled or the enabled ones."""
    async with request.services.db.connection() as connection:
        page = await search_users(
            connection,
            request.client_guid,
            page_request(request),
            text=searched_text(request),
            is_disabled=is_disabled(request),
        )
    return request.page("users", users=shown(request, page))


def searched_text(request: DashboardRequest) -> str:
    return (request.filter(SEARCH) or "").strip()


def is_disabled(request: DashboardRequest) -> bool | None:
    """Whether the users with this `status` are disabled; None: all are listed.

    Raises:
        InvalidRequest: there is no such status.
    """
    status = request.optional_choice("status", UserStatus)
    return None if status is None else status is UserStatus.DISABLED


async def show_user(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        user = await find_user(connection, request.client_guid, request.path["user"])
        members = await list_members(connection, user.guid, page_request(request))
    return request.page("user", user=user, members=shown(request, members))


async def show_members(request: DashboardRequest) -> Response:
    """The connections that are broken; with `institution`, those to one bank."""
    async with request.services.db.connection() as connection:
        page = await list_broken_members(
            connection,
            request.client_guid,
            page_request(request),
            institution_code=request.filter("institution"),
        )
    return request.page("members", members=shown(request, page))


async def show_member(request: DashboardRequest) -> Response:
    """A connection: its status, its latest jobs, and its accounts with masked numbers."""
    async with request.services.db.connection() as connection:
        member = await find_client_member(connection, request.client_guid, request.path["member"])
        jobs = await newest_jobs(connection, member.user_guid, member.guid)
        accounts = await accounts_of_member(connection, member.user_guid, member.guid)
    return request.page("member", member=member, jobs=jobs, accounts=accounts)


async def ask_for_reason(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        account = await find_client_account(connection, request.client_guid, request.path["account"])
    return request.page("reveal", account=account)


async def reveal_numbers(request: DashboardRequest) -> Response:
    """Shows the full numbers of an account, this once.

    Raises:
        InvalidRequest: no reason is given.
    """
    async with request.services.db.transaction() as connection:
        account = await find_client_account(connection, request.client_guid, request.path["account"])
        numbers = await request.services.accounts.reveal_numbers(
            connection, account, reason=request.field("reason"), actor=request.actor
        )
    return request.page("numbers", account=account, numbers=numbers)
