"""How the bank's own page went, for the page that opened it: of this session alone."""

from coatcheck.errors import NotFound
from coatcheck.model.oauth_states import (
    OAuthState,
    find_oauth_state,
    list_oauth_states,
    note_retrieval,
)
from coatcheck.widget import schemas
from coatcheck.widget.presenters import show_oauth_state
from coatcheck.widget.request import Visit


async def list_(visit: Visit) -> schemas.OAuthStates:
    found = await list_oauth_states(
        visit.connection,
        visit.session.user_guid,
        visit.session.guid,
        member_guid=visit.query.get("outbound_member_guid") or None,
    )
    return schemas.OAuthStates(oauth_states=[_show(visit, each) for each in found])


async def read(visit: Visit) -> schemas.OAuthState:
    state = await find_oauth_state(visit.connection, visit.session.user_guid, visit.path["state"])
    if state.session_guid != visit.session.guid:
        raise NotFound
    if state.first_retrieved_at is None:
        await note_retrieval(visit.connection, state, visit.house.clock.now())
    return _show(visit, state)


def _show(visit: Visit, state: OAuthState) -> schemas.OAuthState:
    return show_oauth_state(state, oldest=visit.house.clock.now() - visit.house.settings.link_ttl)
