"""How the bank's own page went, for the page that opened it: of this session alone."""

from coatcheck.errors import NotFound
from coatcheck.members.oauth_states import set_first_retrieved
from coatcheck.model.oauth_states import OAuthState, find_oauth_state, list_oauth_states
from coatcheck.widget import schemas
from coatcheck.widget.presenters import show_oauth_state
from coatcheck.widget.request import WidgetRequest


async def list_(request: WidgetRequest) -> schemas.OAuthStates:
    found = await list_oauth_states(
        request.connection,
        request.session.user_guid,
        request.session.guid,
        member_guid=request.query.get("outbound_member_guid") or None,
    )
    return schemas.OAuthStates(oauth_states=[_show(request, each) for each in found])


async def read(request: WidgetRequest) -> schemas.OAuthState:
    state = await find_oauth_state(request.connection, request.session.user_guid, request.path["state"])
    if state.session_guid != request.session.guid:
        raise NotFound
    if state.first_retrieved_at is None:
        await set_first_retrieved(request.connection, state, request.services.clock.now())
    return _show(request, state)


def _show(request: WidgetRequest, state: OAuthState) -> schemas.OAuthState:
    return show_oauth_state(state, oldest=request.services.clock.now() - request.services.settings.link_ttl)
