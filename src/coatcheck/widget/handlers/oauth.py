"""The results of the sign-in windows that this session opened."""

from coatcheck.errors import NotFound
from coatcheck.members.oauth_states import set_first_retrieved
from coatcheck.model.oauth_states import OAuthState, find_oauth_state, list_oauth_states
from coatcheck.widget import schemas
from coatcheck.widget.presenters import present_oauth_state
from coatcheck.widget.request import WidgetRequest


async def list_(request: WidgetRequest) -> schemas.OAuthStates:
    found = await list_oauth_states(
        request.connection,
        request.session.user_guid,
        request.session.guid,
        member_guid=request.query.get("outbound_member_guid") or None,
    )
    return schemas.OAuthStates(oauth_states=[_present(request, each) for each in found])


async def read(request: WidgetRequest) -> schemas.OAuthState:
    state = await find_oauth_state(request.connection, request.session.user_guid, request.path["state"])
    # 404 instead of 403: a session does not learn of the states of another session.
    if state.session_guid != request.session.guid:
        raise NotFound
    if state.first_retrieved_at is None:
        await set_first_retrieved(request.connection, state, request.services.clock.now())
    return _present(request, state)


def _present(request: WidgetRequest, state: OAuthState) -> schemas.OAuthState:
    return present_oauth_state(
        state, oldest=request.services.clock.now() - request.services.settings.link_ttl
    )
