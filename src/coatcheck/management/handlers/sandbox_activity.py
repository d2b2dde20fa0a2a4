"""What happened in a sandbox last, for its inspector page."""

from coatcheck.emulator.request_log import current_log
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.sandbox_activity import ActivityResponseBody, activity_body
from coatcheck.model.members import list_changed_members

MEMBERS = 100


async def read_activity(request: ManagementRequest) -> ActivityResponseBody:
    members = await list_changed_members(request.connection, request.client.guid, limit=MEMBERS)
    return activity_body(current_log.get().newest_first, members)
